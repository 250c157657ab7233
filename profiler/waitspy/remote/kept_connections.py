"""What connections of pools the frames of threads and of tasks have.

It is exact where a frame is in a ``with`` block of one, or stands in a method that uses one; a
local variable that leads to an open connection is a hint: another one may use it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from waitspy.model.stacks import Frame
from waitspy.model.wait_for import How
from waitspy.remote.connection_pools import ConnectionPools
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Unreadable
from waitspy.remote.thread_stacks import ThreadFrame
from waitspy.remote.type_facts import TypeFacts
from waitspy.remote.values import StandingTask
from waitspy.remote.with_blocks import GENERATOR_MANAGERS, WithBlocks

_DEEPEST = 4  # managers in whose generators others are
_HOW: tuple[How, ...] = ("with", "frame", "reach")
"""The best first."""


class Has(NamedTuple):
    """A connection that somebody has, of which pool, how that is known, and where it was taken; of
    a task, in which of its coroutines.
    """

    pool: int
    connection: int
    how: How
    at: Frame | None = None
    step: int = 0


def rank(one: Has) -> int:
    """The better it is known, the less."""
    return _HOW.index(one.how)


class KeptConnections:
    """Reads what frames of one interpreter lead to.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, frames: Frames, blocks: WithBlocks, pools: ConnectionPools) -> None:
        self.frames = frames
        self.blocks = blocks
        self.pools = pools
        self._led: dict[int, Sequence[tuple[int, int]]] = {}

    def begin(self) -> None:
        """Forgets what objects led to: other frames are read."""
        self._led.clear()

    def of_frames(self, frames: Sequence[ThreadFrame]) -> Iterator[Has]:
        """What the frames of a thread lead to, innermost first."""
        inner: Frame | None = None
        variables = self.frames.variables([(frame.address, frame.code) for frame in frames])
        for frame, mine in zip(frames, variables, strict=True):
            code = self.frames.code(frame.code)
            if self.pools.uses(code, inner):
                first = self.frames.first_variable(frame.address)
                # up to 3.10, a ``self`` that inner functions use, too, is not the first one
                pool = self.pools.used(code, [first] if first else mine)
                if pool is not None:
                    yield Has(pool, frame.address, "frame")
            inner = code
            with contextlib.suppress(Unreadable):
                yield from self._of_blocks(frame)
            yield from self._of_variables(frame.address, code, mine)

    def _of_variables(
        self, frame: int, code: Frame, variables: Mapping[int, TypeFacts]
    ) -> Iterator[Has]:
        for local in self._keepers(variables):
            with contextlib.suppress(Unreadable):
                own = self.pools.is_library(code) and local == self.frames.first_variable(frame)
                for pool, connection in self._lent(local):
                    yield Has(pool, connection, "frame" if own else "reach")

    def _of_blocks(self, frame: ThreadFrame, *, inside: bool = False) -> Iterator[Has]:
        """What the blocks of a frame lead to, where each was entered; with ``inside``, where the
        generator of a context manager stands instead, unless it is a library's.
        """
        if not self.blocks.may_be_in(frame.code, frame.instruction):
            return
        for entered in self.blocks.of_frame(frame.address):
            for kept, at in ((entered.held, None), *self._inside(entered.held)):
                own = inside and at is not None and not self.pools.is_library(at)
                for pool, connection in self._lent(kept):
                    yield Has(pool, connection, "with", at if own else entered.at)

    def _inside(self, manager: int, depth: int = 0) -> Iterator[tuple[int, Frame]]:
        """What the generator of a context manager has in its variables while it is entered, and
        where it stands.
        """
        objects = self.frames.objects
        if depth >= _DEEPEST or objects.type_of(manager).name not in GENERATOR_MANAGERS:
            return
        generator = objects.attributes(manager, {"gen"}).get("gen")
        frame = 0 if generator is None else self.frames.inside_of(generator)
        if not frame:
            return
        code, instruction = self.frames.stands(frame)
        at = self.frames.code(code, instruction)
        (variables,) = self.frames.variables([(frame, code)])
        yield from ((kept, at) for kept in self._keepers(variables))
        for word, kind in variables.items():
            if kind.name in GENERATOR_MANAGERS:
                yield from self._inside(word, depth + 1)

    def _lent(self, kept: int) -> Sequence[tuple[int, int]]:
        """What an object leads to; many frames of one stack have the same."""
        if kept not in self._led:
            self._led[kept] = list(self.pools.lent(kept))
        return self._led[kept]

    def _keepers(self, variables: Mapping[int, TypeFacts]) -> list[int]:
        return [word for word, kind in variables.items() if self.pools.may_keep(kind)]

    def of_task(self, task: StandingTask, only: Container[int] | None) -> Iterator[Has]:
        """What the coroutines of a task lead to; of one that stands where another one has some,
        ``only`` those in which that one has it.
        """
        self.begin()
        for n, (coroutine, code, instruction) in enumerate(task.steps):
            if only is not None and n not in only:
                continue
            with contextlib.suppress(Unreadable):
                frame = self.frames.inside_of(coroutine)
                if not frame:
                    continue
                at = ThreadFrame(frame, code, instruction)
                (variables,) = self.frames.variables([(frame, code)])
                found = [*self._of_use(task, n, frame, variables)]
                found += self._of_blocks(at, inside=True)
                found += self._of_variables(frame, self.frames.code(code), variables)
                yield from (one._replace(step=n) for one in found)

    def _of_use(
        self, task: StandingTask, n: int, frame: int, variables: Iterable[int]
    ) -> Iterator[Has]:
        """The pool whose connection that coroutine of a task uses; where it was taken is the line
        of the code around the library's.
        """
        code = self.frames.code(task.steps[n][1])
        inner = self.frames.code(task.steps[n + 1][1]) if n + 1 < len(task.steps) else None
        if not self.pools.uses(code, inner):
            return
        first = self.frames.first_variable(frame)
        pool = self.pools.used(code, [first] if first else variables)
        if pool is not None:
            callers = (self.frames.code(*at) for _, *at in reversed(task.steps[:n]))
            around = (caller for caller in callers if not self.pools.is_library(caller))
            yield Has(pool, frame, "frame", next(around, None))


class TaskConnections:
    """Finds the tasks that have connections, and keeps what stands still between looks."""

    def __init__(self, kept: KeptConnections) -> None:
        self._kept = kept
        self._tasks: dict[StandingTask, Sequence[Has]] = {}

    def look(self, tasks: Sequence[StandingTask], sought: Mapping[int, int], until_ns: int) -> bool:
        """Looks for so many connections of each pool, as far as this thread's CPU time allows; the
        next look goes on. Whether there was time for all.

        Tasks that stand at the same lines have the same in general: one of each place comes first,
        then those of places at which some have what is sought.
        """
        before, self._tasks = self._tasks, {}
        first = {task.place: task for task in reversed(tasks)}
        rich = {task.place: _steps(has) for task, has in before.items() if has}

        def turn(task: StandingTask) -> tuple[bool, bool, bool]:
            return task not in before, task.place not in rich, task != first[task.place]

        found: dict[int, set[int]] = {pool: set() for pool in sought}
        left = sorted(tasks, key=turn)
        while left:
            task = left.pop(0)
            has = before.get(task)
            if has is None:
                if all(len(found[pool]) >= many for pool, many in sought.items()):
                    return True
                if time.thread_time_ns() >= until_ns:
                    return False
                has = list(dict.fromkeys(self._kept.of_task(task, rich.get(task.place))))
                if has and task.place not in rich:
                    rich[task.place] = _steps(has)
                    left.sort(key=turn)
            self._tasks[task] = has
            for one in has:
                if one.pool in found:
                    found[one.pool].add(one.connection)
        return True

    @property
    def rich(self) -> set[int]:
        """The tasks (by address) that were seen to have connections."""
        return {task.task for task, has in self._tasks.items() if has}

    def of_pool(self, pool: int) -> Mapping[int, tuple[Has, StandingTask]]:
        """The connections of a pool that tasks have, and which one has each."""
        found: dict[int, tuple[Has, StandingTask]] = {}
        for task, has in self._tasks.items():
            for one in has:
                known = found.get(one.connection)
                # of several managers, the innermost one is the program's own
                if one.pool == pool and (known is None or rank(one) <= rank(known[0])):
                    found[one.connection] = one, task
        return found


def _steps(has: Iterable[Has]) -> frozenset[int]:
    return frozenset(one.step for one in has)
