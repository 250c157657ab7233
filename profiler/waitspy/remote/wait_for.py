"""What waiting threads wait for, and who holds it, or has to do it.

What a thread waits for is exact: the lock whose address it shows to the kernel, else the object
whose method it stands in, a local of a frame that cannot go on. Who holds a lock is exact, too,
where the lock names its owner, or a ``with`` block is entered; of whoever called ``acquire`` by
hand there is a hint where a ``try`` block is behind that. Tasks are asked where threads wait for a
lock or a semaphore that threads are not known to hold, or for a future that no thread works on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from waitspy.kernel.nettable import Ends
from waitspy.model.wait_for import Held, Holder, LentPool, TaskEdge, WaitEdge
from waitspy.remote import mutexes
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.asgiref_waits import AsgirefWaits
from waitspy.remote.chain_tasks import (
    Blocks,
    ChainTasks,
    PartTasks,
    ThreadReaders,
    only_sure,
    with_tasks,
)
from waitspy.remote.locks import Locks
from waitspy.remote.lost_thread_waits import LostThreadWaits
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.pool_jobs import RESULTS, PoolJob, PoolJobs, work_of
from waitspy.remote.process_locks import ProcessLocks, SharedWait
from waitspy.remote.queue_takers import QueueTakers, Taking
from waitspy.remote.taken_by_hand import TakenByHand
from waitspy.remote.thread_connections import ThreadConnections
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.thread_work import ThreadWork
from waitspy.remote.wait_subjects import WaitSubjects
from waitspy.remote.with_blocks import Entered, WithBlocks

MOST_WAITING = 32
"""Of which one look tells; of more threads it may not have asked all."""

Tasks = Callable[[Container[int]], Mapping[int, PartTasks]]
"""Lists the tasks that wait, by interpreter, some of them such as it is given by address."""


class WaitLook(NamedTuple):
    """What threads wait for, the pools of connections among that, and the tasks that hold some.

    ``streams`` has those of them (by address) that wait for room in a connection, with its ends, or
    to read from one, with its descriptor; ``jobs`` those of pools of processes, by the thread that
    waits, and ``shared`` the locks between processes.
    """

    waiting: tuple[WaitEdge, ...]
    pools: tuple[LentPool, ...] = ()
    tasks: tuple[TaskEdge, ...] = ()
    streams: Mapping[int, Ends | int] = MappingProxyType({})
    jobs: Mapping[int, PoolJob] = MappingProxyType({})
    shared: Mapping[int, SharedWait] = MappingProxyType({})


class ThreadWaits:
    """Looks at the threads of all interpreters of a process, and keeps what stands still between
    looks.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, stacks: ThreadStacks, blocks: WithBlocks) -> None:
        self._stacks = stacks
        self._blocks = blocks
        self._connections: dict[tuple[int, int], ThreadConnections] = {}
        self._in_blocks: Blocks = {}

    def look(
        self,
        interps: Mapping[tuple[int, int], InterpreterState],
        tids: Iterable[int],
        futexes: Mapping[int, int],
        still_ns: Mapping[int, int],
        cpu_ns: int,
        tasks: Tasks,
        taking: Taking,
    ) -> WaitLook:
        """As ``WaitFor.look``; each interpreter knows its own threads. ``tasks`` is asked where
        they are not known to hold, or to have, all that others wait for, ``taking`` for who makes
        room in a queue.
        """
        asked, found = list(tids), dict[int, WaitEdge]()
        pools: list[LentPool] = []
        holding: list[TaskEdge] = []
        streams: dict[int, Ends | int] = {}
        jobs: dict[int, PoolJob] = {}
        shared: dict[int, SharedWait] = {}
        before, self._connections = self._connections, {}
        in_blocks, self._in_blocks = self._in_blocks, {}
        listed: Mapping[int, PartTasks] | None = None
        for key, interp in [*interps.items()]:  # who lists tasks may find new ones
            mine = before.get(key) or ThreadConnections(self._stacks, self._blocks)
            self._connections[key] = mine
            look = WaitFor(interp, self._stacks, self._blocks, mine, taking)
            seen = look.look(asked, futexes, still_ns, cpu_ns)
            of_tasks = mine.asked and any(pool.unknown for pool in seen.pools)
            if listed is None and (of_tasks or look.wants_tasks):
                holders = {task.task for task, entered in in_blocks.items() if entered}
                listed = tasks(mine.rich_tasks | holders)
            until_ns = time.thread_time_ns() + cpu_ns
            if listed and interp.number in listed and look.wants_tasks:
                asks = look.ask(listed[interp.number], in_blocks, until_ns)
                self._in_blocks = {**self._in_blocks, **asks.blocks}
                holding += look.tasks
                streams.update(asks.streams())
            look.find_lost(until_ns)
            found = {one.tid: one for one in look.waiting} | found
            jobs.update(look.jobs)
            shared.update(look.shared)
            if of_tasks:
                looks = [each for part in (listed or {}).values() for each in part.looks]
                waiting = [task for each in looks for task in each.tasks]
                pools += mine.lent_to_tasks(seen.pools, waiting, until_ns)
            else:
                pools += seen.pools
        parts = tuple(found.values()), tuple(pools), tuple(holding)
        return WaitLook(*parts, streams, jobs, shared)


class WaitFor:
    """One look at the threads of one interpreter; what is read is kept until its end.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(
        self,
        interp: InterpreterState,
        stacks: ThreadStacks,
        blocks: WithBlocks,
        connections: ThreadConnections,
        taking: Taking,
    ) -> None:
        self._frames = stacks.code
        self._objects = interp.objects
        self._stacks = stacks
        self._blocks = blocks
        self._connections = connections
        self._takers = QueueTakers(stacks, taking)
        self._locks = Locks(interp.objects)
        self._subjects = WaitSubjects(stacks, self._locks)
        work_item = interp.attribute_of("concurrent.futures.thread", "_WorkItem")
        self._work = ThreadWork(stacks, work_item)
        self._asgiref = AsgirefWaits(stacks)
        self._completed_by: dict[int, int] = {}
        self._pool_jobs = PoolJobs(interp, stacks)
        self._process_locks = ProcessLocks(interp, stacks, blocks)
        threads = interp.runtime.threads(interp.address)
        self._threads = {thread.tid: thread for thread in threads if thread.tid is not None}
        self._inside: dict[int, list[Entered]] = {}
        self._by_hand = TakenByHand(stacks, blocks, self._subjects)
        self._handles: dict[int, int | None] = {}
        self._whole = True
        self._futexes: Mapping[int, int] = {}
        self._found: dict[int, WaitEdge] = {}
        self._waited: dict[int, set[int]] = {}
        self._others = 0
        self.tasks: tuple[TaskEdge, ...] = ()
        self.jobs: dict[int, PoolJob] = {}
        self.shared: dict[int, SharedWait] = {}

    def look(
        self,
        tids: Iterable[int],
        futexes: Mapping[int, int],
        still_ns: Mapping[int, int],
        cpu_ns: int,
    ) -> WaitLook:
        """What those threads wait for, and whoever holds that, and so on to the end of each chain.

        ``futexes`` has the address at which a thread waits in the kernel, ``still_ns`` since when
        each has not run. It takes about as much of this thread's CPU time as ``cpu_ns``.
        """
        until_ns = time.thread_time_ns() + cpu_ns
        self._connections.begin(still_ns)
        self._futexes = futexes
        self._follow(tids, until_ns)
        pools: tuple[LentPool, ...] = ()
        if self._waited:
            pools = tuple(self._connections.lent(self._waited, self._threads, until_ns))
        return WaitLook(self.waiting, pools)

    @property
    def waiting(self) -> tuple[WaitEdge, ...]:
        """What the threads wait for that were looked at."""
        return tuple(self._found.values())

    def _follow(self, tids: Iterable[int], until_ns: int) -> None:
        left = list(dict.fromkeys(tids))
        while left and self._others < MOST_WAITING:
            tid = left.pop(0)
            if tid in self._found or tid not in self._threads or tid not in self._futexes:
                continue
            if (known := self._connections.events.of(tid)) is not None:
                self._found[tid] = known
                continue
            with contextlib.suppress(Unreadable):
                pool = self._connections.waited_for(self._threads[tid])
                if pool is not None:
                    self._waited.setdefault(pool, set()).add(tid)
                    self._found[tid] = WaitEdge(tid, "connections", pool, (), self._whole)
                    continue
                waiting = self._waiting(tid, self._futexes[tid], until_ns)
                if waiting is not None:
                    self._others += 1
                    self._found[tid] = waiting
                    left += [holder.tid for holder in waiting.holders]

    # --- tasks ----------------------------------------------------------------------------

    @property
    def wants_tasks(self) -> bool:
        """Whether tasks may hold something that a thread waits for."""
        return any(map(self._may_be_of_tasks, self._found.values()))

    def ask(self, tasks: PartTasks, known: Blocks, until_ns: int) -> ChainTasks:
        """Adds the tasks that hold what threads wait for, those that they wait for, and so on."""
        reads = ThreadReaders(self._threads, self._blocks, self._work, self._asgiref)
        asks = ChainTasks(tasks, reads, known, until_ns)
        asked: set[int] = set()
        while left := self._found.keys() - asked:
            for tid in left:
                edge = self._found[tid]
                by = self._completed_by.get(tid, 0)
                holders = asks.holders(edge, by) if self._may_be_of_tasks(edge) else ()
                if holders:
                    self._found[tid] = with_tasks(edge, holders)
            asked |= left
            self._follow(asks.follow(), until_ns)
        self.tasks = asks.confirmed()
        sure = {task.task for task in self.tasks}
        self._found = {tid: only_sure(edge, sure, asks) for tid, edge in self._found.items()}
        return asks

    def find_lost(self, until_ns: int) -> None:
        """Tells what nobody else can reach from what somebody may give, as far as there is time."""
        edges = [edge for edge in self._found.values() if edge.tid not in self.jobs]
        lost = LostThreadWaits(self._stacks, self._threads, self._connections.events)
        self._found.update((edge.tid, edge) for edge in lost.among(edges, until_ns))

    def _may_be_of_tasks(self, edge: WaitEdge) -> bool:
        """Whether tasks may hold what a thread waits for: no thread is known to, but by a lock that
        names its owner only, nor has another process to tell. Any number may have a place of a
        semaphore, and a thread that is at work for asgiref runs the loop of a task.
        """
        if edge.tid in self.jobs or edge.tid in self.shared:
            return False
        if edge.kind == "semaphore" or edge.tid in self._completed_by:
            return True
        if edge.kind in {"future", "abandoned-lock"}:
            return not edge.holders
        return edge.kind == "lock" and all(
            one.how == "owner" and not one.at for one in edge.holders
        )

    # --- one thread -----------------------------------------------------------------------

    def _waiting(self, tid: int, futex: int, until_ns: int) -> WaitEdge | None:
        frames = self._stacks.frames(self._threads[tid].address)
        kind, subject = self._subjects.of(frames)
        if kind == "event" and self._subjects.is_signalled(frames):
            self._check(tid, frames)
            return self._connections.events.note(WaitEdge(tid, kind, subject, (), whole=True))
        served = self._asgiref.served(frames)
        handle = self._locks.wanted(futex)
        holders = tuple(self._of_lock(handle, until_ns)) if handle else ()
        lock = self._of_condition(frames, handle) if handle and not holders else None
        if lock is None and handle and kind is None and not holders:
            lock = self._subjects.lock(self._threads[tid], handle, frames[0]) if frames else None
        if holders or lock:
            kind, subject = "lock", lock or handle or 0
        elif served is not None:
            kind, subject = "future", served.future
            holders = tuple(self._of_future(tid, subject))
        elif kind is None:
            kind, subject = self._between_processes(tid, frames, futex)
            if kind is None:
                kind, subject = self._subjects.simple_queue(self._threads[tid], futex)
            if kind is None:
                has = mutexes.owner(self._objects.memory, futex)
                if has is not None and has != tid:
                    kind, subject, holders = "lock", futex, (Holder(has, "mutex"),)
        elif kind == "thread":
            holders = tuple(self._of_thread(subject))
        elif kind == "lock":
            holders = tuple(self._of_rlock(subject))
        elif kind == "semaphore":
            holders = tuple(self._of_object(tid, subject, until_ns))
        elif kind == "future":
            holders = tuple(self._of_future(tid, subject))
        elif kind in {"full-queue", "joined-queue"}:
            holders = tuple(self._takers.of(subject, self._threads, tid))
        if kind is None:
            return None
        if lock and not holders:
            holders = tuple(self._of_rlock(lock))
            if not holders and self._is_abandoned(lock):
                kind = "abandoned-lock"
        if not holders and subject and kind in {"lock", "semaphore"}:
            every = self._threads, self._all_inside
            holders = self._by_hand.holders(frames, subject, *every, until_ns)
        self._check(tid, frames)
        if served is not None and served.coroutine and kind == "future":
            self._completed_by[tid] = served.coroutine
        return WaitEdge(tid, kind, subject, holders, self._whole)

    def _check(self, tid: int, frames: Sequence[ThreadFrame]) -> None:
        if self._stacks.frames(self._threads[tid].address) != frames:
            raise Torn("a thread that runs")

    # --- what it is -----------------------------------------------------------------------

    def _between_processes(
        self, tid: int, frames: Sequence[ThreadFrame], futex: int
    ) -> tuple[Held | None, int]:
        """The lock between processes for which a thread waits, or what it waits for by one."""
        wanted = self._process_locks.wanted(futex)
        if wanted is None:
            return None, 0
        signal = self._process_locks.signal(frames)
        if signal is None:
            self.shared[tid] = wanted
        return signal or "lock", futex

    def _of_condition(self, frames: Iterable[ThreadFrame], handle: int) -> int | None:
        """The lock with that handle of a condition, or queue, that a thread is about to enter."""
        for _, first, kind in self._subjects.methods(frames):
            if kind == "condition" and self._held_handle(first) == handle:
                return self._objects.attributes(first, {"_lock"}).get("_lock")
        return None

    # --- who holds it ---------------------------------------------------------------------

    def _of_lock(self, handle: int, until_ns: int) -> Iterator[Holder]:
        for other, entered in self._all_inside(until_ns):
            if self._held_handle(entered.held) == handle and handle not in self._given_up(other):
                owner = self._locks.owner(entered.held)
                if owner is None or owner == self._threads[other].ident:
                    yield Holder(other, "with" if owner is None else "owner", entered.at)

    def _of_rlock(self, lock: int) -> Iterator[Holder]:
        owner = self._locks.owner(lock)
        for tid, thread in self._threads.items():
            if owner and thread.ident == owner:
                yield Holder(tid, "owner")

    def _is_abandoned(self, lock: int) -> bool:
        """Whether its owner is no thread of this process; of a lock that knows none, whether there
        is no other thread that it could be.
        """
        owner = self._locks.owner(lock)
        if owner is None:
            return len(self._threads) == 1
        return owner != 0 and owner not in {thread.ident for thread in self._threads.values()}

    def _of_object(self, tid: int, subject: int, until_ns: int) -> Iterator[Holder]:
        for other, entered in self._all_inside(until_ns):
            if entered.held == subject and other != tid:
                yield Holder(other, "with", entered.at)

    def _of_thread(self, subject: int) -> Iterator[Holder]:
        ident = self._objects.attributes(subject, {"_ident"}).get("_ident")
        wanted = self._objects.integer(ident) if ident else 0
        for tid, thread in self._threads.items():
            if thread.ident == wanted:
                yield Holder(tid, "join")

    def _of_future(self, tid: int, subject: int) -> Iterator[Holder]:
        if not RESULTS.isdisjoint(self._objects.bases(subject)):
            yield from self._of_result(tid, subject)
            return
        for other, thread in self._threads.items():
            for item in self._work.items(thread) if other != tid else ():
                with contextlib.suppress(Unreadable):
                    if self._objects.attributes(item, {"future"}).get("future") == subject:
                        yield Holder(other, "work-item")

    def _of_result(self, tid: int, subject: int) -> Iterator[Holder]:
        """The threads that have a job; who has it of processes, these have to tell."""
        job = self._pool_jobs.of_result(subject, self._threads)
        if job.pids:
            self.jobs[tid] = job
        for other in job.tids:
            with contextlib.suppress(Unreadable):
                if other in self._threads and other != tid:
                    task = work_of(self._stacks, self._threads[other]).task
                    if task is not None and task.job == job.job:
                        yield Holder(other, "work-item")

    def _held_handle(self, held: int) -> int | None:
        if held not in self._handles:
            self._handles[held] = None
            with contextlib.suppress(Unreadable):
                self._handles[held] = self._locks.inside(held)
        return self._handles[held]

    def _given_up(self, tid: int) -> set[int]:
        """The locks of conditions in which a thread waits: it is in their blocks, without them."""
        found: set[int] = set()
        with contextlib.suppress(Unreadable):
            frames = self._stacks.frames(self._threads[tid].address)
            for _, first, kind in self._subjects.methods(frames):
                if kind == "condition":
                    found |= {self._locks.inside(first) or 0}
        return found

    def _all_inside(self, until_ns: int) -> Iterator[tuple[int, Entered]]:
        """Every block that a thread is in, as far as there is time to read them; one that wants its
        own lock again is in a block of it, too.
        """
        for other, thread in self._threads.items():
            if other not in self._inside:
                if time.thread_time_ns() >= until_ns:
                    self._whole = False
                    continue
                self._inside[other] = []
                with contextlib.suppress(Unreadable):
                    self._inside[other] = self._blocks.of_thread(self._stacks, thread.address)
            yield from ((other, entered) for entered in self._inside[other])
