"""A loop that stalls among a lot of something, recorded, and held against its own log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.live.running import TARGETS, record, said, starved_by_itself, target

STALL_S, GAP_S = 0.3, 0.7
_NEAR_S = 0.1


def check_crowd(what: str, count: int, folder: Path, seconds: float = 2.5) -> dict[str, Any]:
    """Every stall since it was watched is told once, at its time and on its line; nothing else.

    Beside that comes the report, for what it says of what was not seen.
    """
    argv = [sys.executable, TARGETS / "crowded_loop.py", STALL_S, GAP_S, what, count]
    with target(argv) as server:
        report = record(server.pid, folder, seconds=seconds)
        log = server.read_log()
    from_s = report["workers"][0]["watched_from_s"]
    until_s = report["recording"]["monotonic_start_s"] + report["recording"]["duration_s"]
    whole = [s for s in log if s["start"] > from_s + _NEAR_S and s["end"] < until_s - _NEAR_S]
    assert whole
    found = starved_by_itself(report)
    told = [(episode, finding) for finding in found for episode in finding["episodes"]]
    for stall in whole:
        near = [(e, f) for e, f in told if abs(e["end_s"] - stall["end"]) < _NEAR_S]
        assert len(near) == 1, f"{stall} {said(report)}"
        ((episode, finding),) = near
        assert abs(episode["start_s"] - stall["start"]) < _NEAR_S, f"{stall} {said(report)}"
        assert finding["kind"] == "blocked-loop", said(report)
        assert finding["blame"]["function"] == "hold_up", said(report)
    for episode, _ in told:
        inside = [s for s in log if s["start"] < episode["end_s"] and episode["start_s"] < s["end"]]
        assert len(inside) == 1, f"{episode} {said(report)}"
    return report
