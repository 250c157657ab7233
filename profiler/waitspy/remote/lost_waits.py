"""What tasks wait for that nobody else refers to: futures, events, locks, and full queues.

Who waits for a future that no other code can reach will wait for ever: a reply whose entry another
one has replaced, an event of a job that was dropped, a queue whose consumer has ended. That is
counted (``references``), so it is certain, but for a task that may be cancelled: who waits with a
timeout is left out, and so is who has made what nobody can ever have known: ``await Future()`` is
how programs wait on purpose.
"""

from __future__ import annotations

import contextlib
import math
import struct
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

from waitspy.model.code_origin import base_name
from waitspy.model.stacks import Frame, Stack
from waitspy.model.task_waits import TaskHeld
from waitspy.remote.asyncio_readers import AsyncioReaders
from waitspy.remote.memory import Unreadable
from waitspy.remote.places import serves
from waitspy.remote.references import References
from waitspy.remote.values import HeldByTasks, StandingTask
from waitspy.remote.with_blocks import WithBlocks

_LOCKS, _QUEUES = "/asyncio/locks.py", "/asyncio/queues.py"
_KINDS: Mapping[str, TaskHeld] = {
    "Event": "lost-signal",
    "Lock": "lost-lock",
    "Semaphore": "lost-lock",
    "Queue": "lost-queue",
}
"""Classes of asyncio in whose methods tasks wait, by the names of theirs or of their bases."""

_METHODS = frozenset({"wait", "acquire", "put", "join"})
_OTHERS = "/asyncio/", "/anyio/_backends/_asyncio.py", "/anyio/_core/_synchronization.py"
"""Where futures are waited for that somebody else knows: timers, sockets, streams."""

_TIMEOUTS = frozenset({"Timeout", "timeout"})
"""Classes of asyncio and async_timeout whose blocks may end a wait."""

_SCOPE = "CancelScope"
_MOST_SCOPES = 32
_NEVER = struct.pack("<d", math.inf)
"""The deadline of AnyIO's scopes, which all of its tasks are in, where they have none."""

_BY_OTHERS = "_release_waiter", "_run_until_complete_cb", "cython_function_or_method"
"""What is called when tasks are done that are ended by others: those of ``wait_for`` up to 3.11
(Lib/asyncio/tasks.py), and the one that a loop runs for (base_events.py; uvloop's is in Cython)."""


_MOST_TASKS = 512
_AGAIN = 16  # looks
_MOST_GROUP = 32
_MOST_KNOWN = 1024
_LEAST = {"lost-result": 3, "lost-signal": 2}
"""How many have to refer to what was made to be reached: a task that waits for a future has it
twice, and a call of a method has its object, without any variable."""


def may_be_lost(stack: Stack) -> bool:
    """Whether tasks with these awaits may wait for what nobody else refers to."""
    return bool(stack) and (_in_method(stack[-1]) or not _is_known(stack[-1]))


def _in_method(frame: Frame) -> bool:
    return frame.rooted.endswith((_LOCKS, _QUEUES)) and base_name(frame.function) in _METHODS


def _is_known(frame: Frame) -> bool:
    return any(part in frame.rooted for part in _OTHERS)


class _Lost(NamedTuple):
    kind: TaskHeld
    subject: int


class _Counted(NamedTuple):
    """What was found of it at which turn, and how many refer to it."""

    wait: _Lost
    refer: int = 0
    turn: int = 0
    lost: HeldByTasks | None = None


def _turn(seen: _Counted) -> int:
    return seen.turn


class LostWaits:
    """Finds it among the tasks of one loop.

    Whom it is lost to can give it to nobody, as long as it stands still. What somebody else refers
    to is counted again where more or fewer do, and now and then.

    Raises:
        OSError: from every method.
    """

    def __init__(self, part: AsyncioReaders, blocks: WithBlocks) -> None:
        self._part = part
        self._blocks = blocks
        self._frames = part.tasks.frames
        self._objects = self._frames.objects
        self._seen: dict[StandingTask, _Counted] = {}
        self._open: set[tuple[int, ...]] = set()
        self._turn = 0

    def look(
        self, tasks: Sequence[StandingTask], waited: Container[int], cpu_ns: int
    ) -> tuple[HeldByTasks, ...]:
        """What those of the tasks wait for that have ``waited`` for a while, as far as this
        thread's CPU time allows; the next look goes on.
        """
        until_ns = time.thread_time_ns() + cpu_ns
        before, self._seen = self._seen, {}
        self._turn += 1
        self._open &= {task.place for task in before}
        may_be: dict[tuple[int, ...], bool] = {}
        groups: dict[_Lost, list[StandingTask]] = {}
        for task in tasks:
            place = task.place
            if place not in may_be:
                may_be[place] = self._may_be(task)
            late = task not in before and time.thread_time_ns() >= until_ns
            if may_be[place] and len(self._seen) < _MOST_TASKS and not late:
                with contextlib.suppress(Unreadable):
                    wait = before[task].wait if task in before else self._wait(task)
                    may_be[place] = wait is not None
                    if wait is not None:
                        self._seen[task] = before.get(task, _Counted(wait))
                        groups.setdefault(wait, []).append(task)
        asked = [
            (min((self._seen[task] for task in group), key=_turn), wait, group)
            for wait, group in groups.items()
            if len(group) <= _MOST_GROUP and all(task.task in waited for task in group)
        ]
        found: list[HeldByTasks] = []
        while asked:  # those that stand at the same lines tell the same in general
            asked.sort(key=lambda one: (one[2][0].place in self._open, one[0].turn))
            seen, wait, group = asked.pop(0)
            if time.thread_time_ns() >= until_ns:
                asked = [one for one in asked if one[0].lost is not None]
                if seen.lost is None:
                    continue
            with contextlib.suppress(Unreadable):
                lost = self._counted(seen, wait, group).lost
                found += [] if lost is None else [lost]
        return tuple(found)

    def _counted(self, seen: _Counted, wait: _Lost, group: Sequence[StandingTask]) -> _Counted:
        """What is found of it now, which is the same as before where as many refer to it."""
        count = References(self._frames).count(wait.subject)
        again = seen.lost is None and self._turn >= seen.turn + _AGAIN
        if count != seen.refer or again:
            seen = _Counted(wait, count, self._turn, self._lost(wait, group))
            self._seen.update(dict.fromkeys(group, seen))
            (self._open.add if seen.lost is None else self._open.discard)(group[0].place)
        return seen

    # --- what it is -----------------------------------------------------------------------

    def _may_be(self, task: StandingTask) -> bool:
        with contextlib.suppress(Unreadable):
            if task.steps:
                return may_be_lost((self._frames.code(task.steps[-1][1]),))
        return False

    def _wait(self, task: StandingTask) -> _Lost | None:
        """The object in whose method a task waits, the outermost of these, or its future."""
        found: _Lost | None = None
        for coroutine, code, _ in reversed(task.steps):
            frame = self._frames.code(code)
            if not frame.rooted.endswith((_LOCKS, _QUEUES)):
                break
            if _in_method(frame):
                first = self._frames.first_local(coroutine)
                bases = self._objects.bases(first)
                kind = next((_KINDS[name] for name in bases if name in _KINDS), None)
                found = None if kind is None else _Lost(kind, first)
        if found is not None or _is_known(self._frames.code(task.steps[-1][1])):
            return found
        name = self._objects.type_at(task.waiter_type).name.rpartition(".")[2]
        return _Lost("lost-result", task.waiter) if name == "Future" else None

    # --- who refers to it -----------------------------------------------------------------

    def _lost(self, wait: _Lost, group: Sequence[StandingTask]) -> HeldByTasks | None:
        refers = References(self._frames)
        for task in group:
            refers.add(task.waiter)
            for coroutine, _, _ in reversed(task.steps):
                refers.add_suspended(coroutine)
        wanted = {wait.subject, *(task.waiter for task in group)}
        alone = refers.are_all_of(wanted)
        ended: list[Frame] = []
        if not alone:
            ended = list(self._ended(wait.subject, refers))
            alone = refers.are_all_of(wanted)
        if not alone or refers.count(wait.subject) < _LEAST.get(wait.kind, 0):
            return None
        if any(self._may_end(task) for task in group):
            return None
        again = self._part.places.standing([task.task for task in group])
        if [again.get(task.task) for task in group] != list(group):
            return None  # some have gone on meanwhile
        return HeldByTasks(
            kind=wait.kind,
            subject=wait.subject,
            waiters=tuple(task.task for task in group),
            holders=(),
            use=None,
            stayed=None,
            left=0,
            ended=tuple(ended[:1]),
            serves=any(serves(self._frames, task) for task in group),
        )

    def _ended(self, subject: int, refers: References) -> Iterator[Frame]:
        """Where tasks have ended that had the subject, and are kept by those who wait."""
        known = refers.known()[:_MOST_KNOWN]
        errors = [error for one in known if (error := self._part.awaited.error(one))]
        for frame, code, instruction in refers.add_ended(errors):
            with contextlib.suppress(Unreadable):
                if subject in self._frames.locals_of(frame, code):
                    yield self._frames.code(code, instruction)

    # --- what may end it ------------------------------------------------------------------

    def _may_end(self, task: StandingTask) -> bool:
        """Whether it has a timeout, or is the one that runs as long as the program does."""
        for coroutine, code, instruction in task.steps:
            if self._frames.code(code).is_one_of("/asyncio/tasks.py", "wait_for"):
                return True
            if self._blocks.may_be_in(code, instruction):
                entered = self._blocks.of_generator(coroutine)
                if any(self._may_time_out(one.held) for one in entered):
                    return True
        return any(name.endswith(_BY_OTHERS) for name in self._part.awaited.callbacks(task.task))

    def _may_time_out(self, block: int) -> bool:
        names = {name.rpartition(".")[2] for name in self._objects.bases(block)}
        if _SCOPE not in names:
            return not _TIMEOUTS.isdisjoint(names)
        for _ in range(_MOST_SCOPES):
            found = self._objects.attributes(block, {"_deadline", "_parent_scope"})
            if not self._is_never(found.get("_deadline", 0)):
                return True
            block = found.get("_parent_scope", 0)
            if not block or _SCOPE not in self._objects.bases(block):
                return False
        return True

    def _is_never(self, deadline: int) -> bool:
        if not deadline or self._objects.type_of(deadline).name != "float":
            return False
        at = deadline + self._objects.layout.float_value
        return self._objects.memory.read(at, 8) == _NEVER
