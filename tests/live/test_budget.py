"""What the samplers use in each second, watched from beside them, against their budget."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

import pytest

from tests.live.running import TARGETS, read_report, target
from tests.live.session import BY_PYSPY, finished, meta, session, spies
from waitspy.kernel import procfs

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_BUDGET = 0.10
_SLACK = 1.3  # what ends between two looks of ours, and what waitspy itself sees 50 ms later


class _Meter:
    """The CPU time of all py-spys of one process, those that have ended too."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.used_s: dict[int, float] = {}
        self.marks: list[tuple[float, float]] = []
        self.most_alive = 0

    def look(self) -> None:
        alive = spies(self.pid)
        self.most_alive = max(self.most_alive, len(alive))
        for spy in alive:
            with contextlib.suppress(OSError):
                self.used_s[spy.pid] = time.clock_gettime_ns(procfs.cpu_clock(spy.pid)) / 1e9
        self.marks.append((time.monotonic(), sum(self.used_s.values())))

    def most_in_a_second(self) -> float:
        """The largest share of a core over any second."""
        return max(
            (later_s - before_s) / (until - since)
            for since, before_s in self.marks
            for until, later_s in self.marks
            if 0.95 <= until - since <= 1.1
        )


@pytest.mark.slow
@pytest.mark.parametrize("threads_a_second", [300, 800])
def test_threads_that_come_and_go_keep_the_samplers_within_their_budget_each_second(
    threads_a_second: int, tmp_path: Path
) -> None:
    argv = [sys.executable, TARGETS / "thread_storm.py", threads_a_second, 0.02, 5]
    with target(argv) as storm:
        meter = _Meter(storm.pid)
        with session(tmp_path, *BY_PYSPY, storm.pid, "-d", 8, "-o", "rec") as waitspy:
            while waitspy.poll() is None:
                meter.look()
                time.sleep(0.04)
            code, out, err = finished(waitspy)
    assert (code, err) == (0, ""), out + err
    told = meta(tmp_path / "rec")
    cost, seconds = told["cost"], (told["end_ns"] - told["clock"]["monotonic_ns"]) / 1e9
    samplers = (cost["cpu_s"] - cost["observer_cpu_s"]) / seconds
    assert meter.most_in_a_second() < _BUDGET * _SLACK, told["segments"]
    assert _BUDGET * 0.3 < samplers < _BUDGET, "it is used, and not exceeded"
    (worker,) = read_report(tmp_path / "rec")["workers"]
    assert 1 <= worker["rate_hz"] < 60, "the report tells what was reached"
