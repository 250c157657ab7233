"""A loop stalls in a process of 4,000 threads.

What is told is true and on the right line, as much as there was time for; of which threads no stack was read,
and how much of the time nobody looked, is said. Nothing is called healthy that was not seen.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, starved_by_itself, target

pytestmark = [pytest.mark.alone, pytest.mark.slow]


def test_what_is_told_of_thousands_of_threads_is_true(tmp_path: Path) -> None:
    argv = [sys.executable, TARGETS / "crowded_loop.py", 0.3, 0.7, "threads", 4000]
    with target(argv) as server:
        report = record(server.pid, tmp_path / "rec", seconds=8)
        log = server.read_log()
    found = starved_by_itself(report)
    assert found, said(report)
    assert {finding["kind"] for finding in found} == {"blocked-loop"}
    assert {(f["blame"] or {}).get("function") for f in found} <= {"hold_up", None}, said(report)
    for episode in (episode for finding in found for episode in finding["episodes"]):
        inside = [s for s in log if s["start"] < episode["end_s"] and episode["start_s"] < s["end"]]
        assert len(inside) == 1, f"{episode} {said(report)}"
    unread = [loss for loss in report["losses"] if loss["what"].startswith("stacks of ")]
    assert unread or any(f["blame"] for f in found), said(report)
    assert report["cost"]["cpu_share"] < 0.6
