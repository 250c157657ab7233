"""Which threads wait for a connection of a pool, and which have those that are lent.

Who waits stands in a method of the pool. What no thread has, a suspended task may have: a
framework keeps it over a request. Who has one is exact where a thread is in a ``with``
block of it, or stands in a method of it; a local variable that leads to an open connection is a
hint: another thread may use it. Whoever keeps one elsewhere is not found.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import structs

from waitspy.model.connection_pools import PoolUse
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import Holder, How, LentPool, LentToTasks
from waitspy.remote.connection_pools import OF_THREADS, ConnectionPools, is_wait
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.places import stack_of
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.type_facts import TypeFacts
from waitspy.remote.values import StandingTask
from waitspy.remote.with_blocks import GENERATOR_MANAGERS, WithBlocks

_MOST_HOLDERS = 64
_MOST_GROUPS = 16  # places at which tasks have some
_MOST_FRAMES = 8  # from where a thread waits to the pool
_DEEPEST = 4  # managers in whose generators others are
_HOW: tuple[How, ...] = ("with", "frame", "reach")
"""The best first."""


class _Has(NamedTuple):
    """A connection that a thread has, of which pool, how that is known, and where it was taken; of
    a task, in which of its coroutines.
    """

    pool: int
    connection: int
    how: How
    at: Frame | None = None
    step: int = 0


@dataclass(slots=True)
class _SeenThread:
    """What is known of a thread as long as it stands still since ``since_ns``; its ``place`` is the
    same for those that stand at the same lines.
    """

    since_ns: int
    waits_for: int | None = None
    place: tuple[int, ...] = ()
    has: Sequence[_Has] | None = None


@dataclass(slots=True)
class ThreadConnections:
    """Reads who waits for connections, and who has them, of one interpreter.

    A thread that stands where it stood is not read again: ``still`` has since when each does.
    ``asked`` says whether all threads were, but those that stand where another one has none.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    stacks: ThreadStacks
    blocks: WithBlocks
    frames: Frames = field(init=False)
    pools: ConnectionPools = field(init=False)
    still: Mapping[int, int] = field(default_factory=dict)
    asked: bool = False
    _seen: dict[int, _SeenThread] = field(default_factory=dict)
    _tasks: dict[StandingTask, Sequence[_Has]] = field(default_factory=dict)
    _led: dict[int, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.frames = self.stacks.code
        self.pools = ConnectionPools(self.frames.objects)

    def begin(self, still: Mapping[int, int]) -> None:
        """Forgets what was seen of threads that have run since."""
        self.still = still
        kept = self._seen.items()
        self._seen = {tid: one for tid, one in kept if still.get(tid) == one.since_ns}

    def waited_for(self, thread: Thread) -> int | None:
        """The pool for whose connection a thread waits; None: for none."""
        tid = thread.tid or 0
        known = self._seen.get(tid)
        if known is not None and known.waits_for is not None:
            return known.waits_for
        frames = self.stacks.frames(thread.address, 1)
        if not frames or not is_wait(self.frames.code(frames[0].code)):
            return None
        frames = self.stacks.frames(thread.address, _MOST_FRAMES)
        pool = self._waited_for(frames)
        if pool is None:
            return None
        if self.stacks.frames(thread.address, _MOST_FRAMES) != frames:
            raise Torn("a thread that runs")
        if tid in self.still:
            self._seen.setdefault(tid, _SeenThread(self.still[tid])).waits_for = pool
        return pool

    def _waited_for(self, frames: Sequence[ThreadFrame]) -> int | None:
        stack = [self.frames.code(frame.code) for frame in frames]
        firsts = [self.frames.first_variable(frame.address) for frame in frames]
        return self.pools.waited_for(stack, firsts)

    def lent(
        self, waited: Mapping[int, set[int]], threads: Mapping[int, Thread], until_ns: int
    ) -> Iterator[LentPool]:
        """Of the pools that these threads wait for, how many connections are lent, and who has
        them, as far as this thread's CPU time allows; the next look goes on.

        Who waits itself may have one, too, but is asked only for what no other one has; last of all
        those that stand where another one has none.
        """
        waiters = {tid for tids in waited.values() for tid in tids}
        uses = {pool: self.pools.use(pool, OF_THREADS) for pool in waited}
        found: dict[int, dict[int, tuple[_Has, int]]] = {pool: {} for pool in waited}
        later: list[int] = []
        whole = self.asked = True
        for tid in (*sorted(threads, key=lambda tid: tid in waiters), *waiters):
            if tid in waiters and all(_is_found(use, found[pool]) for pool, use in uses.items()):
                break
            thread = threads[tid]
            if tid in waiters and tid not in later and self._is_alike(thread):
                later.append(tid)
                continue
            has = self._has(thread, until_ns)
            if has is None:
                whole = False
                self.asked &= tid in later
                continue
            for one in has:
                known = found.get(one.pool, {}).get(one.connection)
                if one.pool in found and (known is None or _rank(one) < _rank(known[0])):
                    found[one.pool][one.connection] = one, tid
        for pool, by_connection in found.items():
            holders = [Holder(tid, one.how, one.at) for one, tid in by_connection.values()]
            yield LentPool(pool, uses[pool], tuple(holders[:_MOST_HOLDERS]), whole)

    def _is_alike(self, thread: Thread) -> bool:
        """Whether it was not asked yet, and stands where another one has no connection."""
        mine = self._seen.get(thread.tid or 0)
        if mine is None or mine.has is not None:
            return False
        if not mine.place:
            with contextlib.suppress(Unreadable):
                mine.place = tuple(n for _, *at in self._frames_of(thread) for n in at)
        others = self._seen.values()
        return any(other.place == mine.place and other.has == [] for other in others)

    def lent_to_tasks(
        self, pools: Sequence[LentPool], tasks: Sequence[StandingTask], until_ns: int
    ) -> Iterator[LentPool]:
        """The same pools with the tasks that have connections of them, as far as this thread's CPU
        time allows; the next look goes on.

        Tasks that stand at the same lines have the same in general: one of each place comes first,
        then those of places at which some have what is sought.
        """
        before, self._tasks = self._tasks, {}
        sought = {pool.subject: pool.unknown for pool in pools if pool.unknown}
        first = {task.place: task for task in reversed(tasks)}
        rich = {task.place: _steps(has) for task, has in before.items() if has}
        whole = True

        def rank(task: StandingTask) -> tuple[bool, bool, bool]:
            return task not in before, task.place not in rich, task != first[task.place]

        left = sorted(tasks, key=rank)
        while left:
            task = left.pop(0)
            has = before.get(task)
            if has is None:
                if all(self._found(pool) >= many for pool, many in sought.items()):
                    break
                if time.thread_time_ns() >= until_ns:
                    whole = False
                    break
                has = list(dict.fromkeys(self._of_task(task, rich.get(task.place))))
                if has and task.place not in rich:
                    rich[task.place] = _steps(has)
                    left.sort(key=rank)
            self._tasks[task] = has
        for pool in pools:
            groups = list(self._groups(pool))[:_MOST_GROUPS] if pool.unknown else []
            yield structs.replace(pool, tasks=tuple(groups), whole=pool.whole and whole)

    @property
    def rich_tasks(self) -> set[int]:
        """The tasks (by address) that were seen to have connections."""
        return {task.task for task, has in self._tasks.items() if has}

    def _found(self, pool: int) -> int:
        """How many of a pool's connections tasks are known to have."""
        return len({h.connection for has in self._tasks.values() for h in has if h.pool == pool})

    def _groups(self, pool: LentPool) -> Iterator[LentToTasks]:
        connections: dict[int, tuple[_Has, StandingTask]] = {}
        for task, has in self._tasks.items():
            for one in has:
                known = connections.get(one.connection)
                # of several managers, the innermost one is the program's own
                if one.pool == pool.subject and (known is None or _rank(one) <= _rank(known[0])):
                    connections[one.connection] = one, task
        groups: dict[tuple[object, ...], list[tuple[_Has, StandingTask]]] = {}
        for one, task in connections.values():
            groups.setdefault((task.place, one.how, one.at), []).append((one, task))
        for group in sorted(groups.values(), key=len, reverse=True):
            one, task = group[0]
            yield LentToTasks(stack_of(self.frames, task), one.how, one.at, len(group))

    def _of_task(self, task: StandingTask, only: Container[int] | None) -> Iterator[_Has]:
        """What the coroutines of a task lead to; of one that stands where another one has some,
        ``only`` those in which that one has it.
        """
        self._led.clear()
        for n, (coroutine, code, instruction) in enumerate(task.steps):
            if only is not None and n not in only:
                continue
            with contextlib.suppress(Unreadable):
                frame = self.frames.inside_of(coroutine)
                if not frame:
                    continue
                at = ThreadFrame(frame, code, instruction)
                (variables,) = self.frames.variables([(frame, code)])
                found = [*self._of_blocks(at, inside=True)]
                found += self._of_variables(frame, self.frames.code(code), variables)
                yield from (one._replace(step=n) for one in found)

    def _has(self, thread: Thread, until_ns: int) -> Sequence[_Has] | None:
        """What a thread has; None: there was no time to look."""
        tid = thread.tid or 0
        known = self._seen.get(tid)
        if known is not None and known.has is not None:
            return known.has
        if time.thread_time_ns() >= until_ns:
            return None
        has: Sequence[_Has] = []
        with contextlib.suppress(Unreadable):
            frames, has = self._look(thread)
            if self._frames_of(thread) != frames:  # it runs: what it has kept meanwhile
                again = set(self._look(thread)[1])
                has = [one for one in has if one in again]
        if tid in self.still:
            self._seen.setdefault(tid, _SeenThread(self.still[tid])).has = has
        return has

    def _look(self, thread: Thread) -> tuple[list[ThreadFrame], list[_Has]]:
        memory = self.frames.objects.memory
        self._led.clear()
        with memory.keeping():
            self.stacks.keep(thread.address)
            frames = self.stacks.frames(thread.address)
            memory.keep([frame.code for frame in frames], self.frames.code_size)
            return frames, list(dict.fromkeys(self._of_frames(frames)))

    def _frames_of(self, thread: Thread) -> list[ThreadFrame]:
        with self.frames.objects.memory.keeping():
            self.stacks.keep(thread.address)
            return self.stacks.frames(thread.address)

    # --- what the frames of a thread lead to ----------------------------------------------

    def _of_frames(self, frames: Sequence[ThreadFrame]) -> Iterator[_Has]:
        inner: Frame | None = None
        variables = self.frames.variables([(frame.address, frame.code) for frame in frames])
        for frame, mine in zip(frames, variables, strict=True):
            code = self.frames.code(frame.code)
            if self.pools.uses(code, inner):
                first = self.frames.first_variable(frame.address)
                # up to 3.10, a ``self`` that inner functions use, too, is not the first one
                pool = self.pools.used(code, [first] if first else mine)
                if pool is not None:
                    yield _Has(pool, frame.address, "frame")
            inner = code
            with contextlib.suppress(Unreadable):
                yield from self._of_blocks(frame)
            yield from self._of_variables(frame.address, code, mine)

    def _of_variables(
        self, frame: int, code: Frame, variables: Mapping[int, TypeFacts]
    ) -> Iterator[_Has]:
        for local in self._keepers(variables):
            with contextlib.suppress(Unreadable):
                own = self.pools.is_library(code) and local == self.frames.first_variable(frame)
                for pool, connection in self._lent(local):
                    yield _Has(pool, connection, "frame" if own else "reach")

    def _of_blocks(self, frame: ThreadFrame, *, inside: bool = False) -> Iterator[_Has]:
        """What the blocks of a frame lead to, where each was entered; with ``inside``, where the
        generator of a context manager stands instead.
        """
        if not self.blocks.may_be_in(frame.code, frame.instruction):
            return
        for entered in self.blocks.of_frame(frame.address):
            for kept, at in ((entered.held, None), *self._inside(entered.held)):
                for pool, connection in self._lent(kept):
                    yield _Has(pool, connection, "with", (inside and at) or entered.at)

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


def _steps(has: Iterable[_Has]) -> frozenset[int]:
    return frozenset(one.step for one in has)


def _is_found(use: PoolUse | None, connections: Collection[int]) -> bool:
    """Whether it is known who has them all."""
    return use is not None and use.lent is not None and len(connections) >= use.lent


def _rank(one: _Has) -> int:
    return _HOW.index(one.how)
