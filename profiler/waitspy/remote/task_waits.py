"""What waiting tasks wait for, and which tasks hold it: locks, semaphores, connections, and room
in queues.

A task that waits stands in a method of what it waits for: ``self`` there is a local of a suspended
coroutine, hence exact. Who is inside of an ``async with`` block is read from the coroutine, as for
threads. Of whoever took a lock without such a block there is a hint where a ``try`` block is behind
that. Of connections those are found, too,
that a method of their library uses, or that a local variable leads to. Whether a task still waits,
or waits again, is known by the line in which it stands.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from waitspy.model.code_origin import base_name
from waitspy.model.connection_pools import PoolUse
from waitspy.model.stacks import Frame, Stack
from waitspy.model.task_waits import TaskHeld
from waitspy.model.wait_for import How
from waitspy.remote.connection_pools import ADAPTED, OF_TASKS, ConnectionPools
from waitspy.remote.frames import Frames
from waitspy.remote.kept_connections import KeptConnections, TaskConnections
from waitspy.remote.memory import Unreadable
from waitspy.remote.places import serves
from waitspy.remote.task_takers import TaskTakers, waits_for_room
from waitspy.remote.try_blocks import TryBlocks, WaitingCall
from waitspy.remote.values import HeldByTasks, StandingTask
from waitspy.remote.waiting_lines import Lines, WaitingLines
from waitspy.remote.with_blocks import Entered, WithBlocks

_PRIMITIVES = (
    "/asyncio/locks.py", "/asyncio/queues.py", "/anyio/_backends/_asyncio.py",
    "/anyio/_core/_synchronization.py", "/tornado/locks.py",
)  # fmt: skip
_KINDS: Mapping[str, TaskHeld] = {
    "Lock": "lock",
    "Semaphore": "semaphore",
    "CapacityLimiter": "semaphore",
}
"""Classes that tasks hold, of asyncio, AnyIO and Tornado, by the names of theirs or of their bases.
"""

_GIVES_UP = "Condition"
"""Whoever waits in one is in its block, and does not hold its lock."""


_GREENLETS = "/sqlalchemy/util/", "greenlet_spawn"
"""SQLAlchemy's own pool waits below this coroutine, in a greenlet, for an asyncio.Queue."""

_QUEUE_POOL = PoolUse("SQLAlchemy's QueuePool", None, None)
"""What is known of that pool as long as nobody is seen whose connection leads there."""

_ACQUIRE = frozenset({"acquire", "acquire_on_behalf_of", "__aenter__"})
"""In which tasks wait; Tornado's ``acquire`` is no coroutine."""


def may_be_held(stack: Stack) -> bool:
    """Whether tasks with these awaits may wait for what others hold."""
    return any(
        any(frame.rooted.endswith(pool.file) for pool in OF_TASKS)
        or waits_for_room(frame)
        or _is_greenlet(frame)
        or (frame.rooted.endswith(_PRIMITIVES) and base_name(frame.function) in _ACQUIRE)
        for frame in stack
    )


def _is_greenlet(frame: Frame) -> bool:
    return _GREENLETS[0] in frame.file and frame.function == _GREENLETS[1]


class _TaskPlace(NamedTuple):
    """Of tasks that stand at the same lines: which of their coroutines is in a method of what they
    wait for, the kind of that if it is the same for all; which waits in a condition, and which are
    in blocks.
    """

    subject: int | None
    kind: TaskHeld | None
    condition: int | None
    blocks: tuple[int, ...]


class TaskWaits:
    """Reads what the tasks of one loop wait for and hold.

    A task that stands where it stood is not read again.

    Raises:
        OSError: from every method.
    """

    def __init__(self, frames: Frames, blocks: WithBlocks, takers: TaskTakers) -> None:
        self._frames = frames
        self._takers = takers
        self._blocks = blocks
        self._objects = frames.objects
        self._pools = ConnectionPools(frames.objects)
        self._seen: dict[StandingTask, Mapping[int, Frame]] = {}
        self._connections = TaskConnections(KeptConnections(frames, blocks, self._pools))
        self._waiting = WaitingLines(frames, self._pools)
        self._lines: Lines = {}
        self._tries = TryBlocks(frames, blocks)
        self._by_hand: dict[tuple[StandingTask, int], Frame | None] = {}
        self._pool_of: dict[int, int] = {}

    def look(
        self, tasks: Sequence[StandingTask], waited: Container[int], cpu_ns: int
    ) -> tuple[HeldByTasks, ...] | None:
        """What those of the tasks wait for that have ``waited`` for a while, by address.

        It takes about ``cpu_ns`` of this thread's CPU time. None: that was not enough; what is
        missing is read at the next look.
        """
        until_ns = time.thread_time_ns() + cpu_ns
        places: dict[tuple[int, ...], _TaskPlace] = {}
        placed: list[tuple[StandingTask, _TaskPlace]] = []
        for task in tasks:
            key = task.place
            if key not in places:
                places[key] = self._place(task)
            placed.append((task, places[key]))
        waiting: dict[int, tuple[TaskHeld, list[StandingTask]]] = {}
        for task, place in placed:
            kind, subject = self._subject(task, place)
            if kind is not None:
                waiting.setdefault(subject, (kind, []))[1].append(task)
        self._pool_of = {at: pool for at, pool in self._pool_of.items() if at in waiting}
        lines = self._waiting.look(waiting)
        kinds = {subject: kind for subject, (kind, _) in waiting.items()}
        waiters = {
            subject: mine
            for subject, (_, all_) in waiting.items()
            if (mine := [task for task in all_ if task.task in waited])
        }
        before, self._seen = self._seen, {}
        if not waiters:
            self._lines = lines
            return ()
        holders: dict[int, list[tuple[int, Frame, How]]] = {}
        ended: dict[int, Frame] = {}
        for queue in (subject for subject in waiters if kinds[subject] == "full-queue"):
            puts = {task.task for task in waiting[queue][1]}
            takers = self._takers.of(queue, tasks, puts, until_ns)
            holders[queue] = [(one.task, one.at, one.how) for one in takers if one.task]
            ended.update((queue, one.at) for one in takers if not one.task)
        # who waits itself may hold something, too, but is asked only for what no other one has
        for own in (False, True):
            for task, place in placed:
                if not place.blocks or own != (place.subject is not None):
                    continue
                if own and holders.keys() >= waiters.keys():
                    break
                holds = before.get(task)
                if holds is None:
                    if time.thread_time_ns() >= until_ns:
                        self._seen.update(before)
                        return None
                    holds = self._holds(task, place)
                self._seen[task] = holds
                for held in holds.keys() & waiters.keys():
                    holders.setdefault(held, []).append((task.task, holds[held], "with"))
        by_hand = {
            subject: (places[waiting[subject][1][0].place], waiting[subject][1])
            for subject in waiters.keys() - holders.keys()
            if kinds[subject] in {"lock", "semaphore"}
        }
        if not self._find_by_hand(by_hand, tasks, until_ns):
            return None
        for (task, subject), at in self._by_hand.items():
            if at is not None:
                holders.setdefault(subject, []).append((task.task, at, "reach"))
        uses = {pool: self._use(pool) for pool in waiters if kinds[pool] == "connections"}
        if not self._find_others(uses, holders, tasks, until_ns):
            return None
        found = []
        for subject, who in waiters.items():
            stay = self._waiting.stay(subject, self._lines, lines, who)
            found.append(
                HeldByTasks(
                    kind=kinds[subject],
                    subject=subject,
                    waiters=tuple(task.task for task in who),
                    holders=tuple(holders.get(subject, ())),
                    use=uses.get(subject),
                    stayed=stay.stayed,
                    left=stay.left,
                    ended=(ended[subject],) if subject in ended else (),
                    serves=kinds[subject] == "full-queue" and self._serves(who),
                    in_line=self._waiting.count(lines.get(subject)) if subject in uses else None,
                )
            )
        self._lines = lines
        return tuple(found)

    def _find_by_hand(
        self,
        waiting: Mapping[int, tuple[_TaskPlace, Sequence[StandingTask]]],
        tasks: Sequence[StandingTask],
        until_ns: int,
    ) -> bool:
        """Notes where others seem to have taken what tasks wait for, given these by what that is,
        by the call in which they do; None where they do not. Whether there was time for it.
        """
        before, self._by_hand = self._by_hand, {}
        inside: dict[int, list[StandingTask]] = {}  # by the code of their coroutines
        for task in tasks if waiting else ():
            for code in {code for _, code, _ in task.steps}:
                inside.setdefault(code, []).append(task)
        within = [task for task, holds in self._seen.items() if holds]
        for subject, (place, who) in waiting.items():
            with contextlib.suppress(Unreadable):
                call = self._call(subject, who[0], place)
                if call is None:
                    continue
                wait = {task.task for task in who}
                for task in dict.fromkeys((*inside.get(call.code, ()), *within)):
                    key = task, subject
                    if task.task in wait:
                        continue
                    if key not in before and time.thread_time_ns() >= until_ns:
                        self._by_hand = {**before, **self._by_hand}
                        return False
                    known = before[key] if key in before else self._taken_by_hand(task, call)
                    self._by_hand[key] = known
        return True

    def _call(self, subject: int, task: StandingTask, place: _TaskPlace) -> WaitingCall | None:
        """The call in which a task waits for it, if others may stand behind that."""
        if not place.subject:
            return None  # nothing has called it but the loop
        coroutine, code, instruction = task.steps[place.subject - 1]
        frame = self._frames.inside_of(coroutine)
        return self._tries.call(frame, code, instruction, subject) if frame else None

    def _taken_by_hand(self, task: StandingTask, call: WaitingCall) -> Frame | None:
        with contextlib.suppress(Unreadable):
            for coroutine, code, _ in task.steps:
                frame = self._frames.inside_of(coroutine) if code == call.code else 0
                if frame and self._tries.has_taken(frame, call):
                    return self._frames.code(code, call.instruction)
            entered = (Entered(held, at) for held, at in self._seen.get(task, {}).items())
            if self._tries.have_taken(entered, call):
                return self._frames.code(call.code, call.instruction)
        return None

    def _place(self, task: StandingTask) -> _TaskPlace:
        """What tasks that stand there may wait for, and which of their coroutines are in blocks."""
        found: int | None = None
        kind: TaskHeld | None = None
        condition: int | None = None
        primitive = True
        inside: set[str] = set()
        queue: int | None = None
        blocks: list[int] = []
        for n in range(len(task.steps) - 1, -1, -1):
            _, code, instruction = task.steps[n]
            with contextlib.suppress(Unreadable):
                if self._blocks.may_be_in(code, instruction):
                    blocks.append(n)
                if kind is not None:
                    continue
                frame = self._frames.code(code)
                file, name = frame.rooted, base_name(frame.function)
                inside.add(name)
                rows = [r for r in OF_TASKS if file.endswith(r.file) and r.waits in inside]
                if rows:
                    names = self._objects.bases(self._frames.first_local(task.steps[n][0]))
                    if any(row.name in names for row in rows):
                        found, kind = n, "connections"
                elif primitive and waits_for_room(frame):
                    found, kind = n, "full-queue"
                elif file.endswith("/asyncio/queues.py") and name == "get":
                    queue = n
                elif queue is not None and _is_greenlet(frame):
                    found, kind = queue, "connections"
                primitive = primitive and file.endswith(_PRIMITIVES)
                if not primitive:
                    continue
                names = self._objects.bases(self._frames.first_local(task.steps[n][0]))
                if found is None and any(each in _KINDS for each in names):
                    found = n
                if name == "wait" and _GIVES_UP in names:
                    condition = n
        return _TaskPlace(found, kind, condition, tuple(reversed(blocks)))

    def _subject(self, task: StandingTask, place: _TaskPlace) -> tuple[TaskHeld | None, int]:
        """What a task waits for."""
        if place.subject is not None:
            with contextlib.suppress(Unreadable):
                if place.kind == "full-queue":
                    queue = self._takers.wanted(*task.steps[place.subject][:2])
                    return (place.kind, queue) if queue else (None, 0)
                subject = self._frames.first_local(task.steps[place.subject][0])
                if place.kind is None:
                    return self._kind(subject), subject
                if self._pools.is_pool(subject) or "Queue" in self._objects.bases(subject):
                    return place.kind, subject  # else it has gone on meanwhile
        return None, 0

    def _holds(self, task: StandingTask, place: _TaskPlace) -> Mapping[int, Frame]:
        """What the blocks of a task lead to, and where each was entered."""
        holds: dict[int, Frame] = {}
        with contextlib.suppress(Unreadable):
            gives_up = None
            if place.condition is not None:
                gives_up = self._frames.first_local(task.steps[place.condition][0])
            for n in place.blocks:
                for entered in self._blocks.of_generator(task.steps[n][0]):
                    if entered.held == gives_up:
                        continue  # a condition, whose lock it has given up
                    own = () if self._pools.is_pool(entered.held) else (entered.held,)
                    for held in (*own, *self._behind(entered.held)):
                        holds.setdefault(held, entered.at)
        return holds

    def _kind(self, address: int) -> TaskHeld | None:
        return next((_KINDS[name] for name in self._objects.bases(address) if name in _KINDS), None)

    # --- who has it -----------------------------------------------------------------------

    def _find_others(
        self,
        uses: Mapping[int, PoolUse | None],
        holders: dict[int, list[tuple[int, Frame, How]]],
        tasks: Sequence[StandingTask],
        until_ns: int,
    ) -> bool:
        """Adds the tasks that have connections outside of such blocks, where some are lent to
        nobody who is known. Whether there was time for it.
        """
        sought = {
            pool: use.lent
            for pool, use in uses.items()
            if use is not None and use.lent is not None and use.lent > len(holders.get(pool, ()))
        }
        if not sought:
            return True
        pools = {pool: self._pool_of.get(pool, pool) for pool in sought}
        many = {pools[pool]: lent for pool, lent in sought.items()}
        found_all = self._connections.look(tasks, many, until_ns)
        for pool in sought:
            mine = holders.setdefault(pool, [])
            known = {task for task, *_ in mine}
            for has, task in self._connections.of_pool(pools[pool]).values():
                if task.task not in known:
                    mine.append((task.task, has.at or self._line(task, has.step), has.how))
        return found_all

    def _line(self, task: StandingTask, step: int) -> Frame:
        """Where a task stands in that coroutine, or in the one around it that is no library's."""
        frames = [self._frames.code(*at) for _, *at in task.steps[: step + 1]]
        own = (frame for frame in reversed(frames) if not self._pools.is_library(frame))
        return next(own, frames[-1])

    def _serves(self, tasks: Iterable[StandingTask]) -> bool:
        with contextlib.suppress(Unreadable):
            return any(serves(self._frames, task) for task in tasks)
        return False

    def _behind(self, held: int) -> Iterator[int]:
        """The lock of a condition, and what leads to the pool that has lent a connection."""
        with contextlib.suppress(Unreadable):
            if _GIVES_UP in self._objects.bases(held):
                yield from self._objects.attributes(held, {"_lock"}).values()
        led: dict[int, int] = {}
        for found, by in self._pools.behind(held):
            led[found] = by
            pool = led.get(by, 0)
            if pool and self._pools.is_adapted(pool):
                self._pool_of[found] = pool
            yield found

    def _use(self, pool: int) -> PoolUse | None:
        with contextlib.suppress(Unreadable):
            if "Queue" in self._objects.bases(pool):
                known = self._pool_of.get(pool, 0)
                return (self._pools.use(known, (ADAPTED,)) if known else None) or _QUEUE_POOL
        return self._pools.use(pool, OF_TASKS)
