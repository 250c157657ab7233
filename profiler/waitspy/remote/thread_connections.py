"""Which threads wait for a connection of a pool, and which have those that are lent.

Who waits stands in a method of the pool. What no thread has, a suspended task may have: a
framework keeps it over a request. Whoever keeps one elsewhere is not found.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from waitspy.model.connection_pools import PoolUse
from waitspy.model.wait_for import Holder, LentPool, LentToTasks
from waitspy.remote.connection_pools import OF_THREADS, ConnectionPools, is_wait
from waitspy.remote.event_waits import EventWaits
from waitspy.remote.frames import Frames
from waitspy.remote.kept_connections import Has, KeptConnections, TaskConnections, rank
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.places import stack_of
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.values import StandingTask
from waitspy.remote.with_blocks import WithBlocks

_MOST_HOLDERS = 64
_MOST_GROUPS = 16  # places at which tasks have some
_MOST_FRAMES = 8  # from where a thread waits to the pool


@dataclass(slots=True)
class _SeenThread:
    """What is known of a thread as long as it stands still since ``since_ns``; its ``place`` is the
    same for those that stand at the same lines.
    """

    since_ns: int
    waits_for: int | None = None
    place: tuple[int, ...] = ()
    has: Sequence[Has] | None = None


@dataclass(slots=True)
class ThreadConnections:
    """Reads who waits for connections, and who has them, of one interpreter.

    A thread that stands where it stood is not read again: ``still`` has since when each does.
    ``asked`` says whether all threads were, but those that stand where another one has none.
    ``events`` has what those wait for that wait for no connection, but for an event.

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
    events: EventWaits = field(default_factory=EventWaits)
    _seen: dict[int, _SeenThread] = field(default_factory=dict)
    _kept: KeptConnections = field(init=False)
    _tasks: TaskConnections = field(init=False)

    def __post_init__(self) -> None:
        self.frames = self.stacks.code
        self.pools = ConnectionPools(self.frames.objects)
        self._kept = KeptConnections(self.frames, self.blocks, self.pools)
        self._tasks = TaskConnections(self._kept)

    def begin(self, still: Mapping[int, int]) -> None:
        """Forgets what was seen of threads that have run since."""
        self.still = still
        kept = self._seen.items()
        self._seen = {tid: one for tid, one in kept if still.get(tid) == one.since_ns}
        self.events.begin(still)

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
        found: dict[int, dict[int, tuple[Has, int]]] = {pool: {} for pool in waited}
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
                if one.pool in found and (known is None or rank(one) < rank(known[0])):
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
        """
        sought = {pool.subject: pool.unknown for pool in pools if pool.unknown}
        whole = self._tasks.look(tasks, sought, until_ns)
        for pool in pools:
            groups = list(self._groups(pool))[:_MOST_GROUPS] if pool.unknown else []
            yield structs.replace(pool, tasks=tuple(groups), whole=pool.whole and whole)

    @property
    def rich_tasks(self) -> set[int]:
        """The tasks (by address) that were seen to have connections."""
        return self._tasks.rich

    def _groups(self, pool: LentPool) -> Iterator[LentToTasks]:
        connections = self._tasks.of_pool(pool.subject)
        groups: dict[tuple[object, ...], list[tuple[Has, StandingTask]]] = {}
        for one, task in connections.values():
            groups.setdefault((task.place, one.how, one.at), []).append((one, task))
        for group in sorted(groups.values(), key=len, reverse=True):
            one, task = group[0]
            yield LentToTasks(stack_of(self.frames, task), one.how, one.at, len(group))

    def _has(self, thread: Thread, until_ns: int) -> Sequence[Has] | None:
        """What a thread has; None: there was no time to look."""
        tid = thread.tid or 0
        known = self._seen.get(tid)
        if known is not None and known.has is not None:
            return known.has
        if time.thread_time_ns() >= until_ns:
            return None
        has: Sequence[Has] = []
        with contextlib.suppress(Unreadable):
            frames, has = self._look(thread)
            if self._frames_of(thread) != frames:  # it runs: what it has kept meanwhile
                again = set(self._look(thread)[1])
                has = [one for one in has if one in again]
        if tid in self.still:
            self._seen.setdefault(tid, _SeenThread(self.still[tid])).has = has
        return has

    def _look(self, thread: Thread) -> tuple[list[ThreadFrame], list[Has]]:
        memory = self.frames.objects.memory
        self._kept.begin()
        with memory.keeping():
            self.stacks.keep(thread.address)
            frames = self.stacks.frames(thread.address)
            memory.keep([frame.code for frame in frames], self.frames.code_size)
            return frames, list(dict.fromkeys(self._kept.of_frames(frames)))

    def _frames_of(self, thread: Thread) -> list[ThreadFrame]:
        with self.frames.objects.memory.keeping():
            self.stacks.keep(thread.address)
            return self.stacks.frames(thread.address)


def _is_found(use: PoolUse | None, connections: Collection[int]) -> bool:
    """Whether it is known who has them all."""
    return use is not None and use.lent is not None and len(connections) >= use.lent
