"""When the places oracle looks, and what it makes of what a reader says."""

from __future__ import annotations

import errno
from collections.abc import Collection, Container, Iterable
from dataclasses import replace
from typing import cast

import pytest

from tests.examples.build import frame, process, stack
from waitspy.model.clock import NS
from waitspy.model.places import TaskGroup
from waitspy.model.stacks import Frame, Stack
from waitspy.model.task_waits import TaskHolder
from waitspy.model.wait_for import Holder
from waitspy.oracles import Watched
from waitspy.oracles.other_ends import OtherEnds
from waitspy.oracles.places import PlacesOracle
from waitspy.recording.places import PlacesRow, TasksHeld, TasksSame, TasksSeen
from waitspy.remote.memory import Torn, Unavailable
from waitspy.remote.reader import Reader
from waitspy.remote.task_streams import TaskStreams
from waitspy.remote.values import HeldByTasks, Service, StandingTask, TasksLook

STACK = stack("get@/app/main.py:7")
LOOP = 0xA0


def task(address: int, *, line: int = 7, waiter: int = 1) -> StandingTask:
    return StandingTask(address, 8, b"name", ((8, 80, line),), waiter, 99)


def look(*tasks: StandingTask, served: int | None = 0, pending: int = 9) -> TasksLook:
    service = None if served is None else Service(0, served)
    return TasksLook(LOOP, service, pending, pending, tasks)


class Scripted:
    """A reader that says what it is told to, look by look."""

    def __init__(self, *said: list[TasksLook] | Exception) -> None:
        self.said = list(said)
        self.known: list[Container[int]] = []
        self.named = 0
        self.lost: tuple[HeldByTasks, ...] = ()

    def imports_asyncio(self) -> bool:
        if isinstance(self.said[0], Unavailable):
            raise self.said[0]
        return True

    def tasks_looks(self, known: Container[int], cpu_ns: int) -> tuple[TasksLook, ...]:
        assert cpu_ns > 0
        self.known.append(known)
        said = self.said.pop(0)
        if isinstance(said, Exception):
            raise said
        return tuple(said)

    def lost_by_tasks(
        self, loop: int, tasks: object, waited: Collection[int], cpu_ns: int
    ) -> tuple[HeldByTasks, ...]:
        assert cpu_ns > 0
        return tuple(one for one in self.lost if {*one.waiters} <= {*waited})

    def where(self, task: StandingTask) -> tuple[Stack, str | None]:
        assert task.waiter_type == 99
        self.named += 1
        return STACK, "Future"

    def worker_of(self, task: StandingTask, likely: int | None) -> int | None:
        return None


class Watching:
    def __init__(self, *said: list[TasksLook] | Exception, reader: Scripted | None = None) -> None:
        self.reader = reader or Scripted(*said)
        self.oracle = PlacesOracle()
        self.watched = Watched(process(7), "/proc/7", reader=cast("Reader", self.reader))
        self.state = self.oracle.attach(self.watched)
        assert self.at(1) == []  # not at once

    def at(self, seconds: float, *, ran: bool = True) -> list[PlacesRow]:
        self.watched.begin_tick(ran=ran)
        return list(self.oracle.tick(self.watched, round(seconds * NS)))


def ns(seconds: float) -> int:
    return round(seconds * NS)


def seen(seconds: float, *groups: TaskGroup) -> TasksSeen:
    return TasksSeen(ns(seconds), LOOP, 9, 9, groups)


def group(count: int, since_s: float | None, *, still: bool = True) -> TaskGroup:
    return TaskGroup(STACK, "Future", count, None if since_s is None else ns(since_s), still)


def test_tasks_at_one_place_are_a_group_as_old_as_the_oldest() -> None:
    watching = Watching([look(task(1), task(2))], [look(task(1), task(3))])
    assert watching.at(10) == [seen(10, group(2, None))]
    assert watching.at(20) == [seen(20, group(2, 10))]
    assert watching.reader.known == [set(), {1, 2}]


def test_another_instruction_or_future_is_another_wait() -> None:
    watching = Watching([look(task(1))], [look(task(1, line=9))], [look(task(1, line=9, waiter=2))])
    assert [watching.at(second) for second in (10, 20, 30)] == [
        [seen(10, group(1, None))],
        [seen(20, group(1, None))],
        [seen(30, group(1, None))],
    ]


@pytest.mark.parametrize("served", [5, None])
def test_only_a_loop_that_ran_nothing_proves_that_a_task_has_stayed(served: int | None) -> None:
    watching = Watching([look(task(1))], [look(task(1), served=served)], [look(task(1), served=5)])
    watching.at(10)
    assert watching.at(20) == [seen(20, group(1, 10, still=False))]
    assert watching.at(30) == [TasksSame(ns(30), LOOP)]


def test_where_nothing_has_changed_or_run_a_short_row_says_so() -> None:
    watching = Watching([look(task(1))], [look(task(1))], [look(task(1))])
    watching.at(10)
    watching.at(20)
    assert watching.at(30) == [TasksSame(ns(30), LOOP)]
    assert watching.at(40, ran=False) == [TasksSame(ns(40), LOOP)]  # the reader has no more to say
    assert watching.reader.named == 1  # not again while a task stays there


def test_a_look_that_is_torn_says_nothing_and_is_tried_again_soon() -> None:
    watching = Watching([look(task(1))], Torn("it changes"), [look(task(1))])
    watching.at(10)
    assert watching.at(20) == []
    assert watching.at(20.2) == []
    assert watching.at(20.3) == [seen(20.3, group(1, 10))]


def test_a_loop_that_could_not_be_looked_at_is_told_so() -> None:
    watching = Watching([TasksLook(LOOP, None, 5, 0, ())])
    assert watching.at(10) == [TasksSeen(ns(10), LOOP, 5, 0, ())]


def test_the_places_where_most_is_waited_are_kept() -> None:
    tasks = [task(n, line=n) for n in range(1, 50)]
    more = [task(100 + n, line=7) for n in range(3)]
    (row,) = Watching([look(*tasks, *more)]).at(10)
    assert isinstance(row, TasksSeen)
    assert len(row.groups) == 32
    assert max(one.count for one in row.groups) == 4


def test_looks_are_half_a_second_apart_and_rarer_in_a_long_recording() -> None:
    watching = Watching(*([look()] for _ in range(9)))
    assert len(watching.at(1.3)) == 1
    assert watching.at(1.7) == []
    assert len(watching.at(1.9)) == 1
    assert len(watching.at(101)) == 1
    assert watching.at(105.9) == []
    assert len(watching.at(106.1)) == 1
    assert len(watching.at(10_000)) == 1
    assert watching.at(10_009.9) == []
    assert len(watching.at(10_010.1)) == 1


def test_a_process_that_ends_or_cannot_be_read_says_nothing() -> None:
    watching = Watching([look(task(1))], OSError(errno.ESRCH, "gone"), [look(task(1))])
    watching.at(10)
    assert watching.at(20) == []
    assert watching.at(30) == [seen(30, group(1, None))]
    watching.oracle.detach(watching.watched)
    assert watching.at(40) == []
    assert Watching(Unavailable("its tasks are not those in C")).state == (
        "its tasks are not those in C"
    )


def test_many_workers_take_turns() -> None:
    """Looks at all of them in one tick would keep the other oracles from theirs."""
    oracle = PlacesOracle()
    reader = Scripted(*([look(task(1))] for _ in range(3)))
    several = [
        Watched(process(pid), f"/proc/{pid}", reader=cast("Reader", reader)) for pid in (7, 8, 9)
    ]
    for watched in several:
        oracle.attach(watched)
    turns: list[int] = []
    for tick in range(100, 140):
        for watched in several:
            watched.begin_tick(ran=True)
            if list(oracle.tick(watched, tick * NS // 100)):
                turns.append(tick)
    assert len(turns) == len(set(turns)) == 3
    assert turns[-1] - turns[0] < 10


LOCK, HOLDER = 0xB0, 99
ACQUIRES = stack("get@/app/main.py:7 > Lock.acquire@/lib/python3.12/asyncio/locks.py:113")
TAKEN = frame("get@/app/main.py:6")


def held(stayed: Iterable[int] | None, left: int = 0, *, by: int = HOLDER) -> HeldByTasks:
    """A lock that tasks 1 and 2 want; one that is known to have stayed has been in its line."""
    known = None if stayed is None else frozenset(stayed)
    return HeldByTasks("lock", LOCK, (1, 2), ((by, TAKEN, "with"),), None, known, left)


class Asked(Scripted):
    """A reader that sees the same tasks stand there at every look, and says who has stayed."""

    def __init__(self, *held: HeldByTasks | None) -> None:
        looks = [look(task(1), task(2), task(HOLDER, line=8)) for _ in held]
        super().__init__(*([one] for one in looks))
        self.held = list(held)

    def where(self, task: StandingTask) -> tuple[Stack, str | None]:
        return (STACK if task.task == HOLDER else ACQUIRES), "Future"

    def where_at_last(self, task: StandingTask) -> tuple[StandingTask, Stack, str | None]:
        return task, *self.where(task)

    def held_by_tasks(
        self, loop: int, tasks: object, waited: Collection[int], cpu_ns: int
    ) -> tuple[HeldByTasks, ...] | None:
        said = self.held.pop(0)
        if not {1, 2} <= {*waited}:
            return ()
        return None if said is None else (said,)


def told(*says: HeldByTasks | None) -> list[list[tuple[float, float | None]]]:
    """Since when one has waited, and the holder has had it, as told at each look."""
    watching = Watching(reader=Asked(*says))
    rows = [watching.at(10 * (n + 1)) for n in range(len(says))]
    return [
        [
            (wait.since_ns / NS, None if (at := wait.holders[0].since_ns) is None else at / NS)
            for row in mine
            if isinstance(row, TasksHeld)
            for wait in row.waits
        ]
        for mine in rows
    ]


FIRST = held((), 1 << 32)


def test_a_task_that_has_stayed_in_line_has_waited_since_then() -> None:
    assert told(FIRST, held((1, 2)), held((1,))) == [[], [(10, 10)], []]


def test_a_task_that_may_have_come_again_has_not_waited() -> None:
    assert told(FIRST, held((), 7), held((), 7)) == [[], [], []]
    assert told(FIRST, held((), 7), held((2,))) == [[], [], [(20, 20)]]


def test_one_that_may_have_it_anew_has_not_kept_it() -> None:
    assert told(FIRST, held((1, 2)), held((2,), 1)) == [[], [(10, 10)], [(10, None)]]


def test_where_nobody_stands_in_line_it_is_told_how_it_looks() -> None:
    assert told(FIRST, held(None)) == [[], [(10, 10)]]


def test_a_look_without_time_proves_nothing_in_between() -> None:
    assert told(FIRST, None, held((1, 2))) == [[], [], [(10, 10)]]


def test_who_waits_for_what_nobody_else_can_reach_is_told() -> None:
    ended = Frame("consume", "/app/jobs.py", 9)
    reader = Scripted(*([look(task(1), task(2))] for _ in range(3)))
    reader.lost = (
        HeldByTasks("lost-queue", 0x70, (2,), (), None, None, 0, ended=(ended,), serves=True),
    )
    watching = Watching(reader=reader)
    rows = [row for at in (10, 20, 30) for row in watching.at(at) if isinstance(row, TasksHeld)]
    (row,) = rows
    (wait,) = row.waits
    assert (row.at_ns, wait.kind, wait.subject, wait.count) == (20 * NS, "lost-queue", 0x70, 1)
    assert (wait.since_ns, wait.stack, wait.serves) == (10 * NS, STACK, True)
    assert wait.holders == (TaskHolder((ended,), ended, 1, None, None, how="ended"),)


def test_a_lock_that_is_lost_is_told_once_and_holders_say_what_they_wait_for() -> None:
    waits_for_other = replace(held((), 1 << 32), subject=0x20, waiters=(HOLDER,), holders=())
    lost = replace(waits_for_other, kind="lost-lock")

    class Both(Asked):
        def held_by_tasks(
            self, loop: int, tasks: object, waited: Collection[int], cpu_ns: int
        ) -> tuple[HeldByTasks, ...] | None:
            mine = super().held_by_tasks(loop, tasks, waited, cpu_ns)
            return (*mine, waits_for_other) if mine else mine

    reader = Both(held((1, 2)), held((1, 2)), held((1, 2)))
    reader.lost = (replace(lost, stayed=None),)
    watching = Watching(reader=reader)
    rows = [row for at in (10, 20, 30) for row in watching.at(at) if isinstance(row, TasksHeld)]
    kinds = [[wait.kind for wait in row.waits] for row in rows]
    assert kinds[-1] == ["lock", "lost-lock"]
    assert [holder.waits for holder in rows[-1].waits[0].holders] == [0x20]


@pytest.mark.parametrize("closed", [False, True])
def test_from_whom_a_task_is_to_hear_is_asked_once(closed: bool) -> None:
    sender = Holder(9, "reach", pid=7)
    asked: list[int] = []

    class Ends:
        def of_fd(self, pid: int, fd: int, *_: object) -> tuple[Holder, ...]:
            asked.append(fd)
            if closed:
                raise ProcessLookupError
            return (sender,)

    class Streams:
        def empty(self, task: StandingTask) -> int:
            return 5

    watching = Watching([look(task(1))])
    process = watching.oracle._processes[7]
    process.reader.streams = cast("TaskStreams", Streams())
    process.ends, process.every = cast("OtherEnds", Ends()), {7: process, 8: process}
    process.asks_left = 2
    assert process.sender_to(task(1), ns(1)) == (None if closed else sender)
    assert process.sender_to(task(1), ns(1)) == (None if closed else sender)
    assert asked == [5]
    assert watching.watched.holders == (set() if closed else {9}), "its stack is read"
