"""A thread has a name with escape sequences, markup, line breaks, hidden marks, or of 100 kB.

It is recorded and reported as any other one, and its name is text in every format.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.names.naming import HOSTILE, recorded, variants


@pytest.mark.parametrize("name", variants(HOSTILE, "escapes"))
def test_what_it_does_is_told(tmp_path: Path, name: str) -> None:
    report = recorded(tmp_path, "file.py", "work", name)
    assert "work" in {f["blame"]["function"] for f in report["findings"] if f["blame"]}
    assert report["losses"] == []
