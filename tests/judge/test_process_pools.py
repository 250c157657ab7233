"""Pools of processes: what waits for them is told with what their processes did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from msgspec import structs

from tests.examples.build import activities, activity, at, stack, states, worker
from tests.examples.pool_examples import IDLE, POOL, SLEEPS, STUCK, queue, waits
from waitspy.judge import pool_episodes, pools
from waitspy.judge.episode import Starvation
from waitspy.model.pools import PoolEvent, PoolInfo, PoolKind
from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait

INFO = PoolInfo("processes", None, None, 2, (201, 202))
FORKED = stack("<module>@/app/main.py:3 > start@/app/main.py:8")
WORKER = FORKED + stack("_process_worker@lib/concurrent/futures/process.py:240")
SLOW = WORKER + stack("convert@/app/jobs.py:5")
GET = WORKER + stack("Queue.get@lib/multiprocessing/queues.py:103")
BLOCKED = {pid: [(0.0, 2_000.0, SLOW, SLEEPS)] for pid in (201, 202)}


def found(
    events: Sequence[PoolEvent],
    did: Mapping[int, Sequence[tuple[float, float, Stack, Wait]]],
    info: PoolInfo = INFO,
) -> list[Starvation]:
    """The episodes of a pool of process 100, whose processes did that in their main threads."""
    owner = worker(pools=(PoolEvent(at(0), POOL, info=info), *events))
    rows = [(0.0, "clock_nanosleep 1"), (2_000.0, "clock_nanosleep 1")]
    others = [worker(pid, kernel={pid: states(*rows)}) for pid in did]
    done = {
        ThreadKey(pid, pid): activities(*(activity(*one) for one in parts))
        for pid, parts in did.items()
    }
    members = pools.main_threads([owner, *others], done)
    return [
        starved
        for pool in pools.find(owner, {}, at(2_000), 100_000_000, None, members)
        for starved in pool_episodes.find(pool, owner, {}, 100_000_000)
    ]


def test_other_work_behind_blocked_processes_is_starved() -> None:
    (one,) = found([*STUCK, waits(160, "thumbnail")], BLOCKED)
    assert (one.kind.name, one.verdict, one.pool) == (
        "exhausted-pool", "starving", PoolKind.PROCESSES,
    )  # fmt: skip
    assert one.threads == (ThreadKey(201, 201), ThreadKey(202, 202))
    assert one.detail == "a pool of processes: all 2 processes"


def test_more_of_the_same_work_is_a_batch_or_late() -> None:
    at_once = queue((100, 3, 0), (900, 0, 3))
    assert found([*at_once, waits(160, "convert", "convert", "convert")], BLOCKED) == []
    coming = queue((100, 1, 0), (600, 2, 0), (800, 3, 0), (900, 0, 3))
    (one,) = found([*coming, waits(160, "convert")], BLOCKED)
    assert (one.kind.name, one.verdict) == ("exhausted-pool", "late")
    (one,) = found(coming, BLOCKED)
    assert one.verdict == "starving", "what waits is not known to be the same"


def test_a_pool_of_one_process() -> None:
    one_process = structs.replace(INFO, tids=(201,))
    (one,) = found([*STUCK, waits(160, "thumbnail")], {201: BLOCKED[201]}, one_process)
    assert one.detail == "a pool of processes: its only process"


def test_an_idle_process_is_no_exhausted_pool() -> None:
    did = {**BLOCKED, 202: [(0.0, 2_000.0, GET, IDLE)]}
    assert found([*STUCK, waits(160, "thumbnail")], did) == []


@pytest.mark.parametrize("pid", [201, 202])
def test_processes_that_are_not_recorded_are_not_known_to_be_blocked(pid: int) -> None:
    assert found([*STUCK, waits(160, "thumbnail")], {}) == []
    assert found([*STUCK, waits(160, "thumbnail")], {pid: BLOCKED[pid]}) == []
