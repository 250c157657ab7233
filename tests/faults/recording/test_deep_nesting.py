"""The JSON of a recording is nested 200,000 deep.

Without its main file it is one clear error, without another one the rest is reported, with what
was lost.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.reading import lost, refused, reported
from tests.faults.recording.changing import files

_DEPTH = 200_000


@pytest.mark.parametrize(
    "nested",
    ["[" * _DEPTH + "]" * _DEPTH, '{"a":' * _DEPTH + "1" + "}" * _DEPTH, "[" * _DEPTH],
    ids=["lists", "objects", "unclosed"],
)
def test_it_is_not_followed_down(rec: Path, nested: str) -> None:
    meta, *others = files(rec)
    for file in others:
        file.write_text(nested, "utf-8")
    report = reported(rec)
    losses = dict(lost(report))
    assert "they cannot be read" in losses.values() or "the file is cut short" in losses.values()
    assert "source lines" in losses
    assert [what for what in losses if what.startswith("stacks")]
    assert report["findings"] == []
    meta.write_text(nested, "utf-8")
    refused(rec, str(meta), "is empty or not JSON")
