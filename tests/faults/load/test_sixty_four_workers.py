"""64 workers on a small machine stall now and then.

Each is watched within seconds, and told from when on; from then on each stall is told once, and nothing
that was not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, starved_by_itself, target

pytestmark = [pytest.mark.alone, pytest.mark.slow]

WORKERS, STALL_S, EVERY_S = 64, 0.25, 3.0
_NEAR_S = 0.15


@pytest.mark.parametrize("beat_s", [0.05, 0.01])
def test_no_stall_of_many_workers_is_lost(beat_s: float, tmp_path: Path) -> None:
    argv = [sys.executable, TARGETS / "many_workers.py", WORKERS, STALL_S, EVERY_S, beat_s]
    with target(argv) as server:
        report = record(server.pid, tmp_path / "rec", seconds=10)
        log = server.read_log()
    watched_s = {worker["pid"]: worker["watched_from_s"] for worker in report["workers"]}
    begin_s = report["recording"]["monotonic_start_s"]
    end_s = begin_s + report["recording"]["duration_s"]
    assert len(watched_s) == WORKERS + 1
    assert max(watched_s.values()) < begin_s + 5
    stalls = [s for s in log if watched_s[s["pid"]] < s["start"] and s["end"] < end_s]
    assert len(stalls) > WORKERS
    told = [e for finding in starved_by_itself(report) for e in finding["episodes"]]
    for stall in stalls:
        mine = [e for e in told if e["pid"] == stall["pid"]]
        near = [e for e in mine if abs(e["end_s"] - stall["end"]) < _NEAR_S]
        assert len(near) == 1, f"{stall} {said(report)}"
    for episode in told:
        mine = [s for s in log if s["pid"] == episode["pid"]]
        assert any(s["start"] - _NEAR_S < episode["end_s"] < s["end"] + _NEAR_S for s in mine)
    assert {f["kind"] for f in starved_by_itself(report)} == {"blocked-loop"}
    assert "hold_up" in {(f["blame"] or {}).get("function") for f in starved_by_itself(report)}
