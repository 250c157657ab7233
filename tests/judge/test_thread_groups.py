"""Groups of threads with one queue: whose work it is decides whether it starves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.build import at, ms, stack
from tests.examples.pool_examples import BLOCKED as OF_OWN
from tests.examples.pool_examples import OWN, POOL, SLEEPS, STUCK, THREAD, found, queue, waits
from waitspy.model.pools import PoolEvent, PoolInfo, PoolKind, PoolWaits
from waitspy.model.requests import RequestsEvent
from waitspy.model.wait_for import WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind

QUEUE, PROMISE = 40, 50
GROUP = PoolInfo("group", "serve", None, None, (11, 12), (QUEUE,))
TWISTED = PoolInfo("group", "work", PoolKind.TWISTED, None, (11, 12), (41, 42))
SERVE = THREAD + stack("serve@/app/jobs.py:30")
SLOW = SERVE + stack("slow@/app/jobs.py:5")
GET = THREAD + stack(
    "serve@/app/jobs.py:29 > Queue.get@lib/queue.py:171 > Condition.wait@lib/threading.py:327"
)
PUT = THREAD + stack(
    "serve@/app/jobs.py:29 > Queue.put@lib/queue.py:140 > Condition.wait@lib/threading.py:327"
)
BLOCKED = {tid: [(0.0, 2_000.0, SLOW, SLEEPS)] for tid in (11, 12)}
FOR_ITEM = Wait(WaitKind.QUEUE, "queue.Queue.get", "futex")
HANG = queue((0, 4, 0))


def look(when: float, **more: Any) -> PoolEvent:
    return PoolEvent(at(when), POOL, waits=PoolWaits((("quick", None),), (), **more))


def edges(when: float, *waiting: tuple[int, Any, int]) -> WaitForEvent:
    return WaitForEvent(at(when), tuple(WaitEdge(t, k, s, (), True) for t, k, s in waiting))


def test_tasks_of_a_server_that_wait_for_items_are_starved() -> None:
    waits = look(160, promises=(PROMISE,), awaiting=2, of_requests=True)
    (one,) = found(GROUP, [*STUCK, waits], BLOCKED)
    assert (one.kind.name, one.verdict, one.pool) == ("exhausted-pool", "starving", PoolKind.GROUP)
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 900)
    assert one.detail == "the queue of serve: all 2 threads"


def test_a_batch_that_tasks_of_the_program_await_is_not() -> None:
    at_once = queue((100, 9, 0), (900, 0, 9))
    assert found(GROUP, [*at_once, look(160, awaiting=9)], BLOCKED) == []
    coming = queue((100, 1, 0), (300, 2, 0), (600, 3, 0), (900, 0, 3))
    (one,) = found(GROUP, [*coming, look(160, awaiting=1)], BLOCKED)
    assert one.verdict == "starving"


def test_a_queue_that_is_joined_is_a_batch() -> None:
    joins = stack("main@/app/main.py:9 > Queue.join@lib/queue.py:90")
    did = {**BLOCKED, 1: [(0.0, 2_000.0, joins, Wait(WaitKind.QUEUE))]}
    coming = queue((100, 1, 0), (300, 2, 0), (600, 3, 0), (900, 0, 3))
    assert found(GROUP, [*coming, look(160, awaiting=1)], did) == []


@pytest.mark.parametrize(("tid", "subject", "starves"), [(1, 50, 1), (1, 51, 0), (11, 50, 0)])
def test_threads_that_wait_for_what_is_promised(tid: int, subject: int, starves: int) -> None:
    coming = queue((100, 1, 0), (300, 2, 0), (600, 3, 0), (900, 0, 3))
    seen = (edges(200, (tid, "event", subject)),)
    events = [*coming, look(160, promises=(PROMISE,))]
    assert len(found(GROUP, events, BLOCKED, wait_for=seen)) == starves


@pytest.mark.parametrize(("tids", "starves"), [((1, 2), 1), ((1, 1), 0), ((1, 11), 0)])
def test_threads_that_wait_each_for_their_own_item_are_no_batch(
    tids: tuple[int, int], starves: int
) -> None:
    at_once = queue((100, 2, 0), (900, 0, 2))
    waiting = edges(200, *((tid, "event", PROMISE + n) for n, tid in enumerate(tids)))
    events = [*at_once, look(160, promises=(PROMISE, PROMISE + 1))]
    assert len(found(GROUP, events, BLOCKED, wait_for=(waiting,))) == starves


@pytest.mark.parametrize(
    ("items", "starves"),
    [
        ((("quick", "/app/jobs.py:9"),), 1),
        ((("slow", "/app/jobs.py:5"),), 0),
        ((("quick", "/app/jobs.py:9"), ("slow", "/app/jobs.py:5")), 0),
        ((("Job", None),), 0),
    ],
)
def test_other_work_than_what_is_done_is_no_batch(
    items: tuple[tuple[str, str | None], ...], starves: int
) -> None:
    at_once = queue((100, len(items), 0), (900, 0, len(items)))
    waits = PoolEvent(at(160), POOL, waits=PoolWaits(items, (), awaiting=1))
    assert len(found(GROUP, [*at_once, waits], BLOCKED)) == starves
    joins = stack("main@/app/main.py:9 > Queue.join@lib/queue.py:90")
    did = {**BLOCKED, 1: [(0.0, 2_000.0, joins, Wait(WaitKind.QUEUE))]}
    assert found(GROUP, [*at_once, waits], did) == []


@pytest.mark.parametrize(("since", "starves"), [(120, 1), (850, 0), (None, 0)])
def test_clients_whose_connections_are_in_the_queue(since: float | None, starves: int) -> None:
    owed = RequestsEvent(at(500), 80, 3, 3, None if since is None else at(since))
    events = [*STUCK, look(160, of_clients=True)]
    assert len(found(GROUP, events, BLOCKED, requests=(owed,))) == starves
    assert found(GROUP, [*STUCK, look(160)], BLOCKED, requests=(owed,)) == []


@pytest.mark.parametrize(("since", "starves"), [(120, 1), (850, 0), (None, 0)])
def test_clients_whose_connections_an_executor_was_given_are_no_batch(
    since: float | None, starves: int
) -> None:
    owed = RequestsEvent(at(500), 80, 3, 3, None if since is None else at(since))
    first = PoolWaits((("slow", "/app/jobs.py:5"),), (), of_clients=True)
    given = PoolEvent(at(160), POOL, waits=first)
    assert len(found(OWN, [*STUCK, given], OF_OWN, requests=(owed,))) == starves
    assert found(OWN, [*STUCK, waits(160, "slow")], OF_OWN, requests=(owed,)) == []


def test_work_that_nobody_waits_for_is_late_when_it_hangs() -> None:
    assert found(GROUP, [*STUCK, look(160)], BLOCKED) == []
    (one,) = found(GROUP, [*HANG, look(160)], BLOCKED)
    assert (one.kind.name, one.verdict) == ("exhausted-pool", "late")


def test_a_thread_that_waits_for_an_item_is_idle() -> None:
    waits = look(160, awaiting=1, of_requests=True)
    did = {**BLOCKED, 12: [(0.0, 2_000.0, GET, FOR_ITEM)]}
    idle = (edges(50, (12, "queue", QUEUE)),)
    assert found(GROUP, [*STUCK, waits], did, wait_for=idle) == []
    elsewhere = (edges(50, (12, "queue", QUEUE + 1)),)
    assert len(found(GROUP, [*STUCK, waits], did, wait_for=elsewhere)) == 1
    did[12] = [(0.0, 60.0, GET, FOR_ITEM), (60.0, 2_000.0, PUT, FOR_ITEM)]
    assert len(found(GROUP, [*STUCK, waits], did, wait_for=idle)) == 1


def test_threads_of_a_reactor_serve_all_sorts_of_requests() -> None:
    (one,) = found(TWISTED, [*STUCK, look(160)], BLOCKED)
    assert (one.kind.name, one.verdict) == ("exhausted-pool", "starving")
    assert one.detail == "Twisted's reactor threads: all 2 threads"
    idle = (edges(50, (12, "queue", 42)),)
    did = {**BLOCKED, 12: [(0.0, 2_000.0, GET, FOR_ITEM)]}
    assert found(TWISTED, [*STUCK, look(160)], did, wait_for=idle) == []
