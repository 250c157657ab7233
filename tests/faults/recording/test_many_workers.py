"""A recording tells of 100,000 processes, or of one process thousands of times.

Every report is made in time that grows with their number and not faster, and in 500 MB; processes
that came and went are told together, and what is told again does not count again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.reading import by_itself, is_well_formed, read, reported
from tests.faults.recording.changing import change_meta


def add(rec: Path, count: int) -> None:
    """So many more, which nobody could look into before they ended."""

    def more(meta: dict[str, Any]) -> None:
        (worker,) = meta["workers"]
        names = ("ppid", "role", "command", "start_ticks", "attached_ns", "python")
        few = {name: worker[name] for name in names}
        few |= {"gone_ns": worker["attached_ns"] + 1, "exit": "exited"}
        meta["workers"] += [few | {"pid": 100_000 + n} for n in range(count)]

    change_meta(rec, more)


def test_thousands_are_reported(rec: Path) -> None:
    add(rec, 500)
    report = reported(rec)
    assert len(report["workers"]) == 501
    assert report["findings"]
    text = by_itself("report", str(rec)).text
    assert "500" in text
    assert len(text) < 20_000


def test_one_process_told_again_and_again(rec: Path) -> None:
    def repeat(meta: dict[str, Any]) -> None:
        meta["workers"] *= 100

    whole = json.loads(read("report", str(rec), "-f", "json").out)
    change_meta(rec, repeat)
    report = json.loads(read("report", str(rec), "-f", "json").out)
    assert len(report["workers"]) == 1
    assert report["findings"] == whole["findings"]
    (loss,) = report["losses"]
    assert loss["what"] == "99 of the processes"
    is_well_formed(read("report", str(rec), "-f", "text"))


@pytest.mark.slow
def test_a_hundred_thousand_are_reported(rec: Path) -> None:
    add(rec, 100_000)
    for one in (by_itself("report", str(rec)), read("report", str(rec), "-f", "html")):
        assert one.code == 0, one.err
        is_well_formed(one)
