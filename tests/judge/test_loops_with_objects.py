"""Loops of which the objects can be read: who owns them, and when their own queue says they served."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.examples.build import (
    ARCH,
    at,
    collected,
    ms,
    opened,
    ready,
    sock,
    states,
    unread,
    worker,
)
from waitspy.judge.loops import Loop, find, pending
from waitspy.model.epolls import EpollEvents
from waitspy.model.loops import LoopEvent, LoopInfo
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import KernelState

END_NS = at(10_000)
ELSEWHERE = {1: states((0, "futex 7")), 2: states((0, "futex 7"))}


def object_of(epfd: int | None, tid: int | None, *, closed: bool = False) -> LoopEvent:
    return LoopEvent(at(0), 77, facts=LoopInfo("asyncio", epfd, tid, "running", closed))


def found(record: WorkerRecord, *shared: int) -> list[tuple[int, int, str]]:
    return [
        (loop.epfd, loop.tid, loop.seen)
        for loop in find(record, END_NS, ARCH, frozenset(), frozenset(shared))
    ]


def test_a_loop_that_is_never_seen_to_poll_belongs_to_the_thread_that_its_object_names() -> None:
    record = worker(kernel=ELSEWHERE, epolls=[opened(0, 5, 1)], loops=(object_of(5, 2),))
    (loop,) = find(record, END_NS, ARCH, frozenset(), frozenset())
    assert (loop.pid, loop.epfd, loop.tid, loop.polls, loop.seen) == (100, 5, 2, (), "memory")
    assert found(record, 3) == [(5, 2, "memory")]


@pytest.mark.parametrize(
    "said",
    [object_of(None, 2), object_of(5, None), object_of(5, 2, closed=True), object_of(6, 2)],
    ids=["no epoll", "no thread", "closed", "another epoll"],
)
def test_an_object_that_does_not_name_both_is_no_loop(said: LoopEvent) -> None:
    record = worker(kernel=ELSEWHERE, epolls=[opened(0, 5, 1)], loops=(said,))
    assert found(record) == []


def test_an_object_that_a_fork_may_have_copied_is_no_loop() -> None:
    record = worker(kernel=ELSEWHERE, epolls=[opened(0, 5, 1)], loops=(object_of(5, 2),))
    assert found(record, 1) == []
    assert found(replace(record, epolls=EpollEvents.of([ready(0, 5)]))) == []


def test_who_polls_owns_it_whatever_its_object_names() -> None:
    kernel = {**ELSEWHERE, 1: states((0, "epoll_wait 5"))}
    record = worker(kernel=kernel, epolls=[opened(0, 5, 1)], loops=(object_of(5, 2),))
    assert found(record) == [(5, 1, "polling")]


@pytest.mark.parametrize(("state", "polls"), [("S", 1), ("R", 1), ("T", 0), ("t", 0)])
def test_a_thread_that_is_stopped_in_its_poll_serves_nobody(state: str, polls: int) -> None:
    rows = (KernelState(at(0), "S", 232, 5), KernelState(at(100), state, 232, 5))
    (loop,) = find(
        worker(kernel={1: rows}, epolls=[opened(0, 5, 1)]), END_NS, ARCH, frozenset(), frozenset()
    )
    assert len(loop.polls) == 1 + polls


def test_a_poll_lasts_until_the_worker_is_gone() -> None:
    record = worker(kernel={1: states((0, "epoll_wait 5"))}, epolls=[opened(0, 5, 1)])
    for gone, end in ((None, 10_000), (700, 700), (20_000, 10_000)):
        ended = replace(record, gone_ns=None if gone is None else at(gone))
        (loop,) = find(ended, END_NS, ARCH, frozenset(), frozenset())
        assert loop.polls == ((at(0), at(end)),)


# --- its own queue ----------------------------------------------------------------------------------


def service(at_ms: float, queued: int, state: int) -> LoopEvent:
    return LoopEvent(at(at_ms), 77, service=(queued, state))


def test_a_loop_that_never_ran_while_we_looked_has_nothing_late() -> None:
    idle = (object_of(5, 2), service(0, 3, 10), service(500, 3, 10))
    for events, served in (
        ((object_of(5, 2),), None),
        (idle, ()),
        ((*idle, service(600, 0, 13)), (at(600),)),
    ):
        record = worker(kernel=ELSEWHERE, epolls=[opened(0, 5, 1)], loops=events)
        (loop,) = find(record, END_NS, ARCH, frozenset(), frozenset())
        assert (None if loop.served is None else tuple(loop.served)) == served


def spans(loop: Loop, *looks: tuple[float, int]) -> list[tuple[float, float]]:
    """What is pending of I/O that is ready from 100 to 600 ms; looks are (time, bytes read)."""
    events = [unread(at_ms, 5, sock(1, read=read)) for at_ms, read in looks]
    record = worker(epolls=[opened(0, 5, 1), ready(100, 5), *events, collected(600, 5)])
    return [(ms(p.start_ns), ms(p.end_ns)) for p in pending(loop, record, END_NS, 250_000_000)]


def test_ready_io_waits_until_the_loop_runs_callbacks() -> None:
    assert spans(Loop(100, 5, 1, (), "memory")) == [(100, 600)]
    assert spans(Loop(100, 5, 1, (), "memory", served=(at(300),))) == [(300, 600)]
    assert spans(Loop(100, 5, 1, (), "memory", served=(at(100), at(600)))) == [(100, 600)]
    assert spans(Loop(100, 5, 1, (), "memory", served=(at(300), at(500)))) == []


def test_but_a_connection_that_is_left_unread_waits_on() -> None:
    loop = Loop(100, 5, 1, (), "memory", served=(at(300),))
    assert spans(loop, (200, 0), (400, 0)) == [(100, 600)]
    assert spans(loop, (200, 0), (400, 7)) == [(300, 600)]
    assert spans(loop, (310, 0), (400, 0)) == [(300, 600)]
    assert spans(loop, (300, 0), (400, 0)) == [(300, 600)]
    assert spans(loop, (200, 0), (300, 0)) == [(100, 600)]
    assert spans(loop, (150, 0), (200, 7), (400, 7), (450, 9)) == [(100, 600)]
    assert spans(loop, (150, 0), (200, 0), (400, 7), (450, 7)) == [(300, 600)]
