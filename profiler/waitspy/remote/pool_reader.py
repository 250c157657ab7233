"""Reads the pools of all interpreters of a process: executors, those of multiprocessing, groups of
threads, limiters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping

from waitspy.remote.anchors import InterpreterState
from waitspy.remote.asyncio_readers import AsyncioReaders
from waitspy.remote.awaiting import Awaiting
from waitspy.remote.callables import Callables
from waitspy.remote.completions import Completions
from waitspy.remote.interpreters import Interpreters, again
from waitspy.remote.loops import LoopInMemory
from waitspy.remote.memory import Torn, Unavailable, Unreadable
from waitspy.remote.multiprocessing_pools import MultiprocessingPools
from waitspy.remote.objects import Objects
from waitspy.remote.pools import Pools
from waitspy.remote.process_pools import ProcessPools
from waitspy.remote.queued_items import NAMED, QueuedItems, have_connection
from waitspy.remote.queues import QueueMark, Queues
from waitspy.remote.thread_groups import ThreadGroups
from waitspy.remote.values import (
    GroupFacts,
    LimiterFacts,
    PoolFacts,
    ProcessPoolFacts,
    TaskFacts,
)

_MOST_AWAITING = 64
_DEEP = 3  # steps from a work item, by its arguments, to the connection of a client


class PoolReader:
    """The pools of one process; ``ran`` gives the loops that were seen to run, by address.

    ``takers`` are threads that were seen to wait for an item, with the queue of each; ``has_news``
    says that some were, since ``groups`` was asked, of which that was not known.

    Raises:
        Unavailable: from every method: the asyncio that it imported since cannot be read.
        Unreadable: from every method: something changed at every try.
        OSError: from every method: no permission, or the process is gone.
    """

    def __init__(self, interps: Interpreters, ran: Callable[[], Iterable[int]]) -> None:
        self.takers: dict[int, int] = {}
        self.has_news = False
        self._of_queue: dict[int, tuple[int, ...]] = {}
        self._interps = interps
        self._ran = ran
        self._groups: dict[tuple[int, int], ThreadGroups] = {}
        self._multiprocessing: dict[tuple[int, int], MultiprocessingPools] = {}
        self._queues = Queues(interps.frames.objects)
        self._callables = Callables(interps.frames.objects, interps.frames)

    # --- which there are ------------------------------------------------------------------

    def executors(self) -> tuple[PoolFacts, ...]:
        """Every live ThreadPoolExecutor that has threads, is a loop's default or is asgiref's, and
        every ThreadPool of multiprocessing.
        """
        return again(self._all_executors)

    def _all_executors(self) -> tuple[PoolFacts, ...]:
        self._interps.look()
        found: list[PoolFacts] = []
        parts: dict[int, AsyncioReaders] = {}
        with contextlib.suppress(Unavailable):  # executors do not need asyncio
            parts = {part.interp.number: part for part in self._interps.parts()}
        for interp in self._interps:
            part = parts.get(interp.number)
            loops = self._loops(part) if part else []
            threads = interp.runtime.threads(interp.address)
            found += Pools(interp, self._callables).read(threads, loops)
            found += self._pools_of(interp).read().threads
        return tuple(found)

    def _pools_of(self, interp: InterpreterState) -> MultiprocessingPools:
        """The reader of multiprocessing's pools, which keeps what its threads are."""
        keys = self._interps.now
        self._multiprocessing = {
            key: one for key, one in self._multiprocessing.items() if key in keys
        }
        return self._multiprocessing.setdefault(
            (interp.address, interp.number), MultiprocessingPools(interp, self._callables)
        )

    def groups(
        self, executors: Iterable[PoolFacts], until_ns: int | None = None
    ) -> tuple[GroupFacts, ...]:
        """Every group of threads that take from one queue, and are not those of executors; see
        ``unread``.

        New threads are read until this thread has used so much CPU time, and some at least.
        """
        of_executors = {tid for pool in executors for tid in pool.tids}
        self.has_news = False
        return again(lambda: self._all_groups(of_executors, until_ns))

    def note_takers(self, takers: Mapping[int, int]) -> None:
        """These threads were seen to wait for an item."""
        self.has_news = self.has_news or not takers.items() <= self.takers.items()
        self.takers.update(takers)

    @property
    def unread(self) -> bool:
        """Whether there was no time for some threads."""
        return any(groups.unread for groups in self._groups.values())

    def go_on(self, until_ns: int) -> None:
        """Reads some more of the threads for which ``groups`` had no time."""
        for groups in self._groups.values():
            if groups.unread:
                groups.go_on(until_ns)

    def _all_groups(
        self, of_executors: Container[int], until_ns: int | None
    ) -> tuple[GroupFacts, ...]:
        found: list[GroupFacts] = []
        alive: set[int | None] = set()
        before, self._groups = self._groups, {}
        for key, interp in self._interps.now.items():
            every = interp.runtime.threads(interp.address)
            threads = [thread for thread in every if thread.tid not in of_executors]
            if [thread.tid for thread in threads] == [interp.runtime.pid]:
                continue  # the main thread was started with nothing
            alive |= {thread.tid for thread in threads}
            self._groups[key] = before.get(key) or ThreadGroups(interp, self._callables)
            found += self._groups[key].read(threads, self.takers, until_ns)
        self.takers = {tid: queue for tid, queue in self.takers.items() if tid in alive}
        self._of_queue = {group.queue: group.tids for group in found}
        return tuple(found)

    def taking_from(self, queue: int) -> dict[int, bool]:
        """The threads that take items from a queue, each with whether it was seen to wait for one;
        of the others, what they run tells.
        """
        found = dict.fromkeys(self._of_queue.get(queue, ()), False)
        return {**found, **{tid: True for tid, one in self.takers.items() if one == queue}}

    def processes(self) -> tuple[ProcessPoolFacts, ...]:
        """Every live ProcessPoolExecutor that has started its processes, and every Pool of
        multiprocessing.
        """
        return again(self._all_processes)

    def _all_processes(self) -> tuple[ProcessPoolFacts, ...]:
        found: list[ProcessPoolFacts] = []
        for interp in self._interps:
            found += ProcessPools(interp, self._callables).read()
            found += self._pools_of(interp).read().processes
        return tuple(found)

    def limiters(self) -> tuple[LimiterFacts, ...]:
        """AnyIO's default thread limiter of every loop that runs or has run."""
        return again(self._all_limiters)

    def _all_limiters(self) -> tuple[LimiterFacts, ...]:
        found: list[LimiterFacts] = []
        for part in self._interps.parts():
            found += part.limiters.read(self._loops(part))
        return tuple(found)

    def _loops(self, part: AsyncioReaders) -> list[LoopInMemory]:
        """The loops that run, or were seen to."""
        threads = part.interp.runtime.threads(part.interp.address)
        running = [one.loop for one in part.loops.running(threads)]
        found = []
        for address in dict.fromkeys((*running, *self._ran())):
            with contextlib.suppress(Unreadable):
                found.append(part.loops.read(address))
        return found

    # --- what is in their queues ----------------------------------------------------------

    def marks(self, pools: Iterable[PoolFacts | GroupFacts]) -> dict[int, QueueMark]:
        """By the address of its queue, what is another one once that has changed; without those
        where that cannot be told. It costs little, however many there are.
        """
        kept = {pool.queue: pool.kept_in for pool in pools if pool.kept_in is not None}
        marks = self._queues.marks(list(kept.values()))
        return {queue: mark for queue, mark in zip(kept, marks, strict=True) if mark is not None}

    def queued(self, pool: PoolFacts | GroupFacts | ProcessPoolFacts) -> tuple[int, ...] | None:
        """The addresses of the work items in its queue, the oldest first; None: not known."""
        interp = self._interps.numbered(pool.interpreter)
        if isinstance(pool, ProcessPoolFacts):
            return self._of_processes(interp, pool).queued(pool)
        if isinstance(pool, GroupFacts):
            return self._of(interp).queued(pool)
        return Pools(interp, self._callables).queued(pool)

    def group(self, group: GroupFacts) -> GroupFacts:
        """The same with what is known of the first items in its queue."""
        return self._of(self._interps.numbered(group.interpreter)).look(group)

    def process_pool(self, pool: ProcessPoolFacts) -> ProcessPoolFacts:
        """The same with what is known of the first items that wait."""
        return self._of_processes(self._interps.numbered(pool.interpreter), pool).look(pool)

    def _of_processes(
        self, interp: InterpreterState, pool: ProcessPoolFacts
    ) -> ProcessPools | MultiprocessingPools:
        return (
            ProcessPools(interp, self._callables) if pool.tasks is None else self._pools_of(interp)
        )

    def _of(self, interp: InterpreterState) -> ThreadGroups:
        found = self._groups.get((interp.address, interp.number))
        if found is None:
            raise Torn("its groups were never looked for")
        return found

    def waiting(self, limiter: LimiterFacts) -> tuple[int, ...]:
        """The addresses of those that wait for a token, the first one first."""
        part = self._interps.part(limiter.interpreter)
        if part is None:
            raise Torn("its interpreter has ended")
        return part.limiters.waiting(limiter)

    # --- who waits for it -----------------------------------------------------------------

    def is_of_clients(self, pool: PoolFacts) -> bool:
        """Whether a connection is among what the first items of an executor were given."""
        objects = self._interps.numbered(pool.interpreter).objects
        items = (self.queued(pool) or ())[:NAMED]
        return have_connection(QueuedItems(objects).kinds(items, _DEEP))

    def waiting_on_itself(self, pool: PoolFacts) -> frozenset[int]:
        """The threads of a pool that hold, in their frames, the future of an item of the pool."""
        interp = self._interps.numbered(pool.interpreter)
        if pool.cache is not None:
            return self._pools_of(interp).waiting_on_itself(pool)
        threads = interp.runtime.threads(interp.address)
        return Pools(interp, self._callables).waiting_on_itself(pool, threads)

    def awaiting_items(self, pool: GroupFacts | ProcessPoolFacts) -> tuple[TaskFacts, ...]:
        """The tasks that wait for one of the first items of a queue."""
        part = self._interps.part(pool.interpreter)
        if part is None or (isinstance(pool, ProcessPoolFacts) and pool.tasks is not None):
            return ()  # results of multiprocessing tell of no task
        objects = part.interp.objects
        promises = pool.promises if isinstance(pool, GroupFacts) else _futures(objects, pool.items)
        done = Completions(part.awaited, self._callables).of(promises)
        tasks = part.pending().tasks
        return tuple(
            part.tasks.facts(task) for task in tasks if task.waiter and task.waiter in done
        )

    def awaiting(self, pool: PoolFacts | GroupFacts | LimiterFacts) -> tuple[TaskFacts, ...]:
        """The tasks that await what the threads of a pool are doing; AnyIO's may be any thread."""
        part = self._interps.part(pool.interpreter)
        if part is None:
            return ()
        threads = part.interp.runtime.threads(part.interp.address)
        kind = part.interp.attribute_of("concurrent.futures.thread", "_WorkItem")
        mine = [t for t in threads if isinstance(pool, LimiterFacts) or t.tid in pool.tids]
        tasks = Awaiting(self._callables, kind).tasks(mine, part.pending().tasks)
        return tuple(part.tasks.facts(task) for task in tasks[:_MOST_AWAITING])


def _futures(objects: Objects, items: Iterable[int]) -> Iterator[int]:
    """The futures of work items."""
    for item in items:
        with contextlib.suppress(Unreadable, KeyError):
            yield objects.attributes(item, {"future"})["future"]
