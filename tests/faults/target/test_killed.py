"""A worker is killed with SIGKILL while it is recorded.

What it gave until then is kept and its end is told; the other workers are recorded to the end. Where it was the
only one, the recording ends with it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.faults.target.served import lost, report, untouched, watched
from tests.live.harms import blamed
from tests.live.running import TARGETS, starved_by_itself, target, wait_until
from tests.live.session import (
    finished,
    flushed_s,
    load,
    no_spy_is_left,
    running_target,
    sampled,
    session,
)
from waitspy.model.clock import NS


def test_the_end_of_the_only_worker_ends_the_recording(tmp_path: Path) -> None:
    with (
        running_target() as mine,
        session(tmp_path, "record", mine.pid, "-d", "50", "-o", "rec") as waitspy,
    ):
        sampled(tmp_path / "rec")
        # The target's count says nothing of how long it is recorded: it began before that.
        wait_until(lambda: flushed_s(tmp_path / "rec") > 0.9, "nothing was written")
        mine.kill()
        code, out, err = finished(waitspy)
        no_spy_is_left(mine.pid)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    assert 0.9 < recording.info.duration_s < 40
    (worker,) = recording.workers
    assert worker.exit == "exited"
    assert worker.segments[0].threads
    assert "exited" in out


@pytest.mark.slow
def test_the_others_are_recorded_to_the_end(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "crew.py"]) as crew:
        pids = {name: ready["pid"] for name, ready in crew.ready.items()}
        with session(tmp_path, "record", crew.pid, "-d", "2.4", "-o", "rec") as waitspy:
            wait_until(lambda: flushed_s(tmp_path / "rec") > 0.4, "nothing was written")
            os.kill(pids["healthy"], signal.SIGKILL)
            code, out, err = finished(waitspy)
        assert (code, err) == (0, ""), out
        untouched(pids["blocked"])
    told = report(tmp_path)
    assert lost(told) == []
    assert watched(told, pids["healthy"])["exit"] == "exited"
    assert watched(told, pids["blocked"])["exit"] is None
    assert pids["healthy"] not in {pid for f in starved_by_itself(told) for pid in f["pids"]}
    mine = [f for f in blamed(told, tmp_path / "rec") if f["pids"] == [pids["blocked"]]]
    (blocked,) = (f for f in mine if f in starved_by_itself(told))
    assert blocked["kind"] == "blocked-loop"
    recording = load(tmp_path / "rec")
    gone = {w.worker.pid: w.gone_ns for w in recording.workers}
    ended_ns = gone[pids["healthy"]]
    assert ended_ns is not None
    assert any(e["start_s"] * NS > ended_ns for e in blocked["episodes"])
