"""How much of the time a worker's threads ran, and waited for the GIL."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.build import activities, activity, at, states, worker
from waitspy.judge import worker_time
from waitspy.model.judged import WorkerTime
from waitspy.model.processes import ThreadKey
from waitspy.model.waits import Wait, WaitKind

GIL, RUNS = Wait(WaitKind.GIL, syscall="futex"), Wait(WaitKind.ON_CPU)
DONE = {
    ThreadKey(100, 7): activities(activity(0, 1_000, (), GIL), activity(1_000, 9_000, (), RUNS)),
    ThreadKey(100, 8): activities(activity(0, 1_500, (), GIL)),
    ThreadKey(101, 8): activities(activity(0, 9_000, (), GIL)),
}
RAN = states((0, "run"), (2_000, "run"))
SAT = states((0, "futex 0x7"), (4_000, "run"), (6_000, "futex 0x7"))


def times(**more: Any) -> list[WorkerTime]:
    known = {"oracles": {"threads": "ok"}, "kernel": {7: RAN, 8: SAT}}
    return list(worker_time.of_workers([worker(**{**known, **more})], DONE, at(10_000)))


def test_all_threads_of_a_worker_count_together() -> None:
    (one,) = times()
    assert (one.pid, one.gil_share) == (100, 0.25)
    assert one.cpu_share == pytest.approx(0.4, abs=0.001)


def test_a_worker_that_ended_is_measured_by_its_own_time() -> None:
    (one,) = times(gone_ns=at(5_000))
    assert one.cpu_share == pytest.approx(0.8, abs=0.001)


def test_what_cannot_be_known_is_none() -> None:
    (one,) = times(runtime_span=None, kernel={7: states((0, "run"), schedstat=False), 8: SAT})
    assert one == WorkerTime(100, None, None)
    assert times(oracles={"threads": "no"}) == []
    assert times(kernel={}) == []
