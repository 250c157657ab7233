"""Pools of processes: what waits for them is told with what their processes did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from msgspec import structs

from tests.examples.build import activities, activity, at, stack, states, worker
from tests.examples.pool_examples import IDLE, POOL, SLEEPS, STUCK, queue, waits
from waitspy.judge import pool_episodes, pools
from waitspy.judge.episode import Starvation
from waitspy.model.pools import PoolEvent, PoolInfo, PoolKind, PoolWaits
from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait

INFO = PoolInfo("processes", None, None, 2, (201, 202))
FORKED = stack("<module>@/app/main.py:3 > start@/app/main.py:8")
WORKER = FORKED + stack("_process_worker@lib/concurrent/futures/process.py:240")
SLOW = WORKER + stack("convert@/app/jobs.py:5")
GET = WORKER + stack("Queue.get@lib/multiprocessing/queues.py:103")
BLOCKED = {pid: [(0.0, 2_000.0, SLOW, SLEEPS)] for pid in (201, 202)}


MULTIPROCESSING = FORKED + stack("worker@lib/multiprocessing/pool.py:125")
CONVERTS = MULTIPROCESSING + stack("convert@/app/jobs.py:5")
UNNAMED = PoolEvent(at(160), POOL, waits=PoolWaits((), ()))


def found(
    events: Sequence[PoolEvent],
    did: Mapping[int, Sequence[tuple[float, float, Stack, Wait]]],
    infos: Sequence[tuple[float, PoolInfo]] = ((0, INFO),),
) -> list[Starvation]:
    """The episodes of a pool of process 100, whose processes did that in their main threads."""
    told = [PoolEvent(at(when), POOL, info=info) for when, info in infos]
    owner = worker(pools=tuple(sorted((*told, *events), key=lambda event: event.at_ns)))
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
    one_process = structs.replace(INFO, size=1, tids=(201,))
    did = {201: BLOCKED[201]}
    (one,) = found([*STUCK, waits(160, "thumbnail")], did, [(0, one_process)])
    assert one.detail == "a pool of processes: its only process"


def test_an_idle_process_is_no_exhausted_pool() -> None:
    did = {**BLOCKED, 202: [(0.0, 2_000.0, GET, IDLE)]}
    assert found([*STUCK, waits(160, "thumbnail")], did) == []


@pytest.mark.parametrize("pid", [201, 202])
def test_processes_that_are_not_recorded_are_not_known_to_be_blocked(pid: int) -> None:
    assert found([*STUCK, waits(160, "thumbnail")], {}) == []
    assert found([*STUCK, waits(160, "thumbnail")], {pid: BLOCKED[pid]}) == []


@pytest.mark.parametrize(
    ("looks", "verdict"),
    [
        ([waits(160, "thumbnail")], "starving"),
        ([waits(160, "convert")], "late"),
        ([UNNAMED], "late"),
    ],
    ids=["other work", "the same", "not known"],
)
def test_work_that_keeps_coming_to_a_pool_of_multiprocessing(
    looks: list[PoolEvent], verdict: str
) -> None:
    coming = queue((100, 1, 0), (600, 2, 0), (800, 3, 0), (900, 0, 3))
    did = {pid: [(0.0, 2_000.0, CONVERTS, SLEEPS)] for pid in (201, 202)}
    (one,) = found([*coming, *looks], did)
    assert (one.kind.name, one.verdict) == ("exhausted-pool", verdict)


def test_processes_that_took_the_place_of_others() -> None:
    did = {**BLOCKED, 203: [(0.0, 90.0, SLOW, SLEEPS)]}
    before = PoolInfo("processes", None, None, 2, (202, 203))
    (one,) = found([*STUCK, waits(160, "thumbnail")], did, [(0, before), (95, INFO)])
    assert one.threads == (ThreadKey(201, 201), ThreadKey(202, 202))
    # one that was not there all the time may have been idle
    assert found([*STUCK, waits(160, "thumbnail")], did, [(0, before), (400, INFO)]) == []
    few = PoolInfo("processes", None, None, 3, (201, 202))
    assert found([*STUCK, waits(160, "thumbnail")], did, [(0, few)]) == []
