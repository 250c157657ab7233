"""The recording is of a newer or an older version of waitspy.

One of another format is refused, and both formats are named; what a newer version has added to
the same format changes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.reading import few, read, refused, reported
from tests.faults.recording.changing import change_meta, change_rows, stream


@pytest.mark.parametrize("number", ["1", "3", "20", "2.1"])
def test_another_format_is_refused(rec: Path, number: str) -> None:
    change_meta(rec, lambda meta: meta.update(schema=f"waitspy.recording/{number}"))
    refused(
        rec,
        f"waitspy.recording/{number}; this waitspy reads waitspy.recording/2",
        "read it with the waitspy that wrote it, or a newer one",
        by=few,
    )


def test_what_is_new_in_the_same_format_changes_nothing(rec: Path) -> None:
    before = reported(rec)

    def add(meta: dict[str, Any]) -> None:
        meta["colour"] = "green"
        meta["workers"][0]["mood"] = {"good": True}
        meta["segments"][0]["flavour"] = [1, 2]

    change_meta(rec, add)
    for oracle in ("threads", "epoll", "asyncio", "pools", "backlog", "requests", "places"):
        assert change_rows(stream(rec, oracle), lambda row: row.append("new"))
    (rec / "oracles" / "locks").mkdir()
    (rec / "oracles" / "locks" / "1.jsonl").write_text('{"type":"start"}\n["lock",1]\n')
    (rec / "notes.txt").write_text("mine")
    assert reported(rec) == before
    assert (rec / "notes.txt").read_text() == "mine"


def test_what_an_older_version_did_not_tell_is_not_claimed(rec: Path) -> None:
    """Without the oracle of pools, and without its rows."""

    def forget(meta: dict[str, Any]) -> None:
        del meta["workers"][0]["oracles"]["pools"], meta["cost"]
        del meta["waitspy"]

    change_meta(rec, forget)
    stream(rec, "pools").unlink()
    report = reported(rec)
    assert report["losses"] == []
    assert "exhausted-pool" not in {finding["kind"] for finding in report["findings"]}
    assert json.loads(read("report", str(rec), "-f", "json").out) == report
