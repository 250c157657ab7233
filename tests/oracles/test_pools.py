"""What is taken from a queue that does not tell: a stack, or one by priority."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from tests.examples.build import process
from waitspy.model import syscalls
from waitspy.oracles import NEVER_NS, Watched
from waitspy.oracles.pools import PoolsOracle
from waitspy.recording.pools import PoolQueue
from waitspy.remote.queues import QueueMark
from waitspy.remote.reader import Reader
from waitspy.remote.values import GroupFacts

(FUTEX,) = syscalls.futexes()
MS = 1_000_000
GROUP = GroupFacts(0, 0x10, 0x20, (0x10,), "serve", None, (11, 12), any_order=True)


class Scripted:
    """A reader of pools that finds one group, and in its queue what it is told to."""

    items: tuple[int, ...] = ()
    many = unread = 0
    has_news = False
    is_there = True
    searched = 0

    def __init__(self, one: GroupFacts) -> None:
        self.one = one

    def executors(self) -> tuple[()]:
        return ()

    processes = limiters = executors

    def groups(self, executors: Iterable[object], until_ns: int) -> tuple[GroupFacts, ...]:
        assert executors == ()
        assert until_ns > time.thread_time_ns()
        self.searched += 1
        self.has_news = False
        self.unread, self.many = self.many, 0
        return (self.one,) if self.is_there and not self.unread else ()

    def go_on(self, until_ns: int) -> None:
        assert until_ns > time.thread_time_ns()
        self.unread -= 1

    def marks(self, pools: Iterable[object]) -> dict[int, QueueMark]:
        assert list(pools) == [self.one]
        return {}

    def queued(self, pool: object) -> tuple[int, ...]:
        assert pool == self.one
        return self.items

    def group(self, group: GroupFacts) -> GroupFacts:
        return group


class Looks:
    """The oracle at one process, whose threads stand since they did so last."""

    def __init__(self, one: GroupFacts = GROUP) -> None:
        self.reader = Scripted(one)
        self.watched = Watched(process(), "/proc/100", tids={11, 12})
        self.watched.reader = cast("Reader", SimpleNamespace(pools=self.reader))
        self.oracle = PoolsOracle(1 << 62)
        assert self.oracle.attach(self.watched) == "ok"

    def at(
        self, ms: int, *items: int, stand: Iterable[int] = (), run: Iterable[int] = ()
    ) -> list[tuple[int, int]]:
        """How many items wait and were taken, if that is told, as these threads have run and stand
        again, or run.
        """
        self.reader.items = items
        for tid in (*stand, *run):
            self.watched.blocked.pop(tid, None)
            self.watched.blocked_since_ns.pop(tid, None)
        for tid in stand:
            self.watched.blocked[tid] = FUTEX, 0
            self.watched.blocked_since_ns[tid] = ms * MS
        self.watched.begin_tick(ran=True)
        # what reading costs is none of these tests' business
        rows = self.oracle.tick(self.watched, ms * 1_000 * MS)
        return [(row.waiting, row.taken) for row in rows if isinstance(row, PoolQueue)]


def test_items_are_taken_in_whatever_order() -> None:
    looks = Looks()
    assert looks.at(10, 1, 2, 3, stand=(11, 12)) == [(3, 0)]
    assert looks.at(20, 1, 3, stand=(11,)) == [(2, 1)]
    assert looks.at(30, 4, 1, 3, 3) == [(4, 1)]
    assert looks.at(40, 3, 4, 1, stand=(12,)) == [(3, 2)]
    assert looks.at(50, 3, 4, 1) == []


def test_a_thread_that_has_run_may_have_taken_what_looks_the_same() -> None:
    looks = Looks()
    assert looks.at(10, 1, 2, stand=(11, 12)) == [(2, 0)]
    assert looks.at(20, 1, 2) == []
    assert looks.at(30, 1, 2, run=(11,)) == []
    assert looks.at(40, 1, 2, stand=(11,)) == [(2, 1)]
    assert looks.at(50, 1, 2) == []


def test_but_not_one_that_was_seen_to_take_something() -> None:
    looks = Looks()
    assert looks.at(10, 1, 2, 3, stand=(11, 12)) == [(3, 0)]
    assert looks.at(20, 1, 2, run=(11,)) == [(2, 1)]
    assert looks.at(30, 1, 2, stand=(11,)) == []
    assert looks.at(40, 1, 2, stand=(12,)) == [(2, 2)]


def test_what_is_put_into_an_empty_queue_was_not_taken() -> None:
    looks = Looks()
    assert looks.at(10, stand=(11, 12)) == []
    assert looks.at(20, 1, stand=(11,)) == [(1, 0)]


def test_where_few_may_work_at_a_time_what_looks_the_same_is_the_same_while_these_stand() -> None:
    looks = Looks(replace(GROUP, limit=1))
    assert looks.at(10, 1, 2, stand=(11,), run=(12,)) == [(2, 0)]
    assert looks.at(20, 1, 2, run=(12,)) == []
    assert looks.at(30, 1, 2, stand=(12,)) == [], "the other one has stood since before"
    assert looks.at(40, 1, 2, stand=(11,)) == [], "and so has this one"
    assert looks.at(50, 1, 2, stand=(11, 12)) == [(2, 1)]
    assert looks.at(60, 2, run=(11,)) == [(1, 2)], "what is seen to be taken is taken once"


def test_who_waits_for_work_does_none() -> None:
    looks = Looks(replace(GROUP, limit=1))
    looks.watched.blocked[12] = FUTEX, GROUP.signals[0]
    looks.watched.blocked_since_ns[12] = MS
    assert looks.at(10, 1, stand=(11,)) == [(1, 0)]
    assert looks.at(20, 1) == []
    assert looks.at(30, 1, run=(11,)) == [(1, 1)]


def test_threads_there_is_no_time_for_are_read_little_by_little_and_then_searched_again() -> None:
    looks = Looks()
    looks.reader.many = 2
    assert looks.at(10, 1) == []
    assert looks.at(20, 1) == []
    assert looks.at(30, 1) == []
    assert looks.reader.unread == 0
    assert looks.at(40, 1) == [(1, 0)]


def test_it_idles_only_while_there_is_no_pool_and_it_knows_that_the_process_ran() -> None:
    looks = Looks()
    groups, looks.reader.groups = looks.reader.groups, lambda *_: ()  # type: ignore[method-assign]
    looks.at(0)
    assert not looks.watched.idles_until_ns, "it has just searched"
    looks.at(0)
    assert 0 < looks.watched.idles_until_ns == looks.watched.rests_until_ns < NEVER_NS
    looks.reader.groups = groups  # type: ignore[method-assign]
    looks.watched.tids = {11, 12, 13}
    looks.watched.idles_until_ns = 0
    looks.at(2, 7)
    looks.at(3, 7)
    assert looks.oracle._processes[100].queues, "a new thread is a reason to search at once"
    assert not looks.watched.idles_until_ns, "each time that it runs, items may be taken"


def test_pools_are_searched_for_more_rarely_until_there_is_a_reason() -> None:
    looks = Looks()

    def searches(first_ms: int, last_ms: int) -> int:
        before = looks.reader.searched
        for ms in range(first_ms, last_ms, 10):
            looks.watched.begin_tick(ran=True)
            list(looks.oracle.tick(looks.watched, ms * MS))
        return looks.reader.searched - before

    assert searches(0, 1_000) == 2
    assert searches(1_000, 20_000) in range(9, 12)
    looks.watched.tids = {11, 12, 13}
    assert searches(20_000, 20_050) == 1, "a thread has come"
    assert searches(20_050, 21_500) <= 1
    looks.reader.has_news = True
    assert searches(21_500, 21_550) == 1, "a thread was seen to take"
    looks.reader.is_there = False
    assert searches(21_550, 25_550) in range(3, 6), "from what is new on, often again"
