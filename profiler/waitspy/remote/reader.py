"""Reads asyncio, uvloop and thread pools of another CPython process, from outside.

Nothing is written and nothing is paused. What a running thread changes may be read half old and
half new; every walk checks what it can, and ``whole_snapshot`` delivers only what is proven not to
have changed while it was read.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from waitspy.kernel import procfs
from waitspy.model.code_origin import Homes
from waitspy.model.stacks import Stack
from waitspy.remote import children
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.asyncio_readers import AsyncioReaders
from waitspy.remote.awaiting import Awaiting
from waitspy.remote.callables import Callables
from waitspy.remote.children import ChildHolders, ChildLook
from waitspy.remote.code_origin import import_facts
from waitspy.remote.frames import Frames
from waitspy.remote.loops import LoopInMemory, Running, owner_in_frames
from waitspy.remote.memory import Memory, Torn, Unavailable, Unreadable
from waitspy.remote.objects import Objects
from waitspy.remote.places import future_of, stack_of
from waitspy.remote.pools import Pools
from waitspy.remote.process_pools import ProcessPools
from waitspy.remote.queues import QueueMark, Queues
from waitspy.remote.runtime import Runtime, Thread
from waitspy.remote.task_waits import TaskWaits
from waitspy.remote.tasks import Task, TaskSet
from waitspy.remote.thread_groups import ThreadGroups
from waitspy.remote.thread_stacks import ThreadStacks
from waitspy.remote.values import (
    GroupFacts,
    HeldByTasks,
    ImportFacts,
    LimiterFacts,
    LoopFacts,
    LoopSnapshot,
    OwnerHow,
    PoolFacts,
    ProcessPoolFacts,
    Service,
    StandingTask,
    TaskFacts,
    TasksLook,
)
from waitspy.remote.wait_for import ThreadWaits, WaitLook
from waitspy.remote.with_blocks import WithBlocks

_T = TypeVar("_T")

_TRIES = 3
"""Attempts at what changes while it is read."""

_MOST_AWAITING = 64
_TASK_TRIES = 8
"""Attempts at the tasks of loops that run: on busy ones, several in ten fail."""


class Reader:
    """One process under observation; use it from one thread.

    Raises:
        Unavailable: from the constructor: it cannot be read, and why. From the other methods:
            the asyncio that it imported since cannot be read.
        Unreadable: from every method but the constructor: something changed at every try.
        OSError: from every method: no permission, or the process is gone.
    """

    def __init__(self, pid: int, memory: Memory | None = None) -> None:
        self.pid = pid
        self.runtime = Runtime(pid, memory)
        self._objects = Objects(self.runtime.memory, self.runtime.layout)
        self._frames = Frames(self._objects)
        self._stacks = ThreadStacks(self._frames)
        self._blocks = WithBlocks(self._frames)
        self._task_waits: dict[int, TaskWaits] = {}
        self._thread_waits = ThreadWaits(self._stacks, self._blocks)
        self._interps: dict[tuple[int, int], InterpreterState] = {}
        self._asyncio: dict[int, AsyncioReaders] = {}
        self._groups: dict[int, ThreadGroups] = {}
        self._takers: dict[int, int] = {}
        self._history: dict[int, tuple[int, int | None]] = {}
        for _ in range(_TRIES):
            with contextlib.suppress(Unreadable):
                self._look_at_interpreters()
            if self._interps:
                return
        raise Unavailable("its interpreter state cannot be read")

    # --- loops ----------------------------------------------------------------------------

    def loops(self, *, frames: bool = True) -> tuple[LoopFacts, ...]:
        """Every loop that runs, has tasks, ran when this was called before, or is held by the
        Python frames of a thread; the last is left out without ``frames``, which saves most of
        the time.
        """
        return self._again(lambda: self._all_loops(frames=frames))

    def _all_loops(self, *, frames: bool) -> tuple[LoopFacts, ...]:
        self._objects.forget()
        self._look_at_interpreters()
        found: list[LoopFacts] = []
        for part in self._parts():
            found += self._loops_of(part, frames=frames)
        known = {loop.address for loop in found}
        self._history = {loop: how for loop, how in self._history.items() if loop in known}
        return tuple(found)

    def _loops_of(self, part: AsyncioReaders, *, frames: bool) -> Iterator[LoopFacts]:
        threads = self.runtime.threads(part.interp.address)
        running = {one.loop: one for one in part.loops.running(threads)}
        tasks = self._tasks_of(part, threads)
        pending = Counter(task.loop for task in tasks.tasks)
        held = part.loops.held(threads) if frames else {}
        tids = {thread.tid for thread in threads}
        for address in dict.fromkeys((*running, *pending, *held, *self._history)):
            loop = self._loop_at(part, address)
            if loop is None:
                continue
            if address in running and running[address].thread.tid is not None:
                self._history[address] = running[address].thread.tid or 0, loop.ready
            past = self._history.get(address)
            if past and (past[1] != loop.ready or past[0] not in tids):
                del self._history[address]  # another loop at its address, or the thread ended
                if address not in {*running, *pending, *held}:
                    continue
            yield self._facts(
                part, loop, running.get(address), tasks, pending[address], held.get(address, {})
            )

    @staticmethod
    def _loop_at(part: AsyncioReaders, address: int) -> LoopInMemory | None:
        """The loop at that address; None when it is gone, or is another interpreter's: up to
        3.11 all interpreters share the tasks of asyncio.
        """
        for _ in range(_TRIES):
            with contextlib.suppress(Unreadable):
                return part.loops.read(address)
        return None

    @staticmethod
    def _tasks_of(part: AsyncioReaders, threads: list[Thread]) -> TaskSet:
        for _ in range(_TASK_TRIES):
            with contextlib.suppress(Unreadable):
                tasks = part.tasks.pending(threads)
                if not tasks.torn:
                    return tasks
        raise Torn("tasks change while they are read")

    def _facts(
        self,
        part: AsyncioReaders,
        loop: LoopInMemory,
        running: Running | None,
        tasks: TaskSet,
        pending: int,
        held: dict[int, str],
    ) -> LoopFacts:
        tid = running.thread.tid if running else None
        owner, how = self._owner(loop.address, tid, tasks, held)
        return LoopFacts(
            interpreter=part.interp.number,
            address=loop.address,
            kind=loop.kind,
            type_name=loop.type_name,
            epfd=loop.epfd,
            running=running is not None,
            running_tid=tid,
            owner_tid=owner,
            owner_how=how,
            closed=loop.closed,
            ready=loop.ready,
            pending=pending,
        )

    def _owner(
        self, loop: int, running_tid: int | None, tasks: TaskSet, held: dict[int, str]
    ) -> tuple[int | None, OwnerHow | None]:
        if running_tid is not None:
            return running_tid, "running"
        if loop in self._history:
            return self._history[loop][0], "history"
        lists = {tasks.tids.get(task.address) for task in tasks.tasks if task.loop == loop}
        if len(lists) == 1 and None not in lists:
            return lists.pop(), "task-list"
        owner = owner_in_frames(held)
        return owner, None if owner is None else "frames"

    def service(self, loop: LoopFacts) -> Service:
        """Size and counter of the loop's ready queue: one read, right while the loop runs too."""
        if loop.ready is None:
            raise Torn("a loop without a ready queue")
        return self._part(loop).loops.service(loop.ready)

    def collecting(self, loop: LoopFacts) -> bool:
        """Whether the loop's interpreter is collecting garbage; as cheap."""
        return self.runtime.collecting(self._part(loop).interp.address)

    # --- snapshots ------------------------------------------------------------------------

    def snapshot(self, loop: LoopFacts, *, names: int = 8, tasks: bool = True) -> LoopSnapshot:
        """The pending work of a loop; at most ``names`` things of each kind are described.

        Only if ``whole`` is True may a number in it be relied on. Without ``tasks``, the names of
        tasks that sleep stay unknown, and it costs the same however many there are.
        """
        part = self._part(loop)
        threads = self.runtime.threads(part.interp.address)
        return part.snapshots.take(loop, threads, names, tasks=tasks)

    def whole_snapshot(
        self, loop: LoopFacts, tries: int = _TRIES, *, names: int = 8, tasks: bool = True
    ) -> LoopSnapshot | None:
        """A snapshot during which nothing of the loop changed; None when it changed each time."""
        for _ in range(tries):
            try:
                taken = self.snapshot(loop, names=names, tasks=tasks)
                if taken.whole:
                    return taken
            except (Unreadable, ProcessLookupError):
                if not os.path.exists(f"{procfs.PROC}/{self.pid}"):
                    raise
        return None

    # --- stacks ---------------------------------------------------------------------------

    def stacks(self, tids: Iterable[int], cpu_ns: int) -> dict[int, Stack]:
        """The Python stacks of those threads that stand still, of as many as this thread's CPU
        time ``cpu_ns`` allows, in their order, but of one at least; those that run are left out.
        """
        until_ns = time.thread_time_ns() + cpu_ns
        self._look_at_interpreters()
        states: dict[int, list[int]] = {}
        for interp in self._interps.values():
            for thread in self.runtime.threads(interp.address):
                if thread.tid is not None:
                    states.setdefault(thread.tid, []).append(thread.address)
        return self._stacks.of(tids, states, until_ns)

    # --- who waits for whom ---------------------------------------------------------------

    def wait_for(
        self,
        tids: Iterable[int],
        futexes: Mapping[int, int],
        still_ns: Mapping[int, int],
        cpu_ns: int,
    ) -> WaitLook:
        """What those threads wait for that stand still, who holds that, what these wait for, and so
        on. ``futexes`` has the address at which each thread waits that does so in a futex,
        ``still_ns`` since when each has not run. It takes about ``cpu_ns`` of this thread's CPU.
        """
        self._objects.forget()
        self._look_at_interpreters()
        look = self._thread_waits.look(
            self._interps, tids, futexes, still_ns, cpu_ns, lambda at: self._standing(at, cpu_ns)
        )
        takers = {one.tid: one.subject for one in look.waiting if one.kind == "queue"}
        self._takers.update(takers)
        return look

    def _standing(self, known: Container[int], cpu_ns: int) -> list[StandingTask]:
        """The tasks of all loops that wait, as far as that CPU time allows."""
        with contextlib.suppress(Unreadable, Unavailable):
            return [task for look in self.tasks_looks(known, cpu_ns) for task in look.tasks]
        return []

    # --- waiting tasks --------------------------------------------------------------------

    def imports_asyncio(self) -> bool:
        """Whether an interpreter has imported asyncio; Unavailable if that cannot be read."""
        return bool(self._parts())

    def tasks_looks(self, known: Container[int], cpu_ns: int) -> tuple[TasksLook, ...]:
        """Where the tasks of every loop that has some wait; some of those ``known`` by address.

        As many are looked at as this thread's CPU time ``cpu_ns`` allows, of which listing them is
        a part, but a few at least.
        """
        began_ns = time.thread_time_ns()
        self._objects.forget()
        self._look_at_interpreters()
        loops: list[tuple[AsyncioReaders, LoopInMemory, list[Task]]] = []
        for part in self._parts():
            threads = self.runtime.threads(part.interp.address)
            by_loop: dict[int, list[Task]] = {}
            for task in self._tasks_of(part, threads).tasks:
                by_loop.setdefault(task.loop, []).append(task)
            for address, tasks in by_loop.items():
                loop = self._loop_at(part, address)
                if loop is not None:
                    loops.append((part, loop, tasks))
        alive = {loop.address for _, loop, _ in loops}
        self._task_waits = {at: look for at, look in self._task_waits.items() if at in alive}
        found: list[TasksLook] = []
        left_ns = began_ns + cpu_ns - time.thread_time_ns()
        for part, loop, tasks in loops:
            until_ns = time.thread_time_ns() + left_ns // len(loops)
            try:
                found.append(part.places.look(loop, tasks, known, until_ns))
            except Unreadable:
                found.append(TasksLook(loop.address, None, len(tasks), 0, ()))
        return tuple(found)

    def held_by_tasks(
        self, loop: int, tasks: Sequence[StandingTask], waited: Container[int], cpu_ns: int
    ) -> tuple[HeldByTasks, ...] | None:
        """What tasks wait for that others can hold, of those that have ``waited`` for a while; and
        which of all these tasks of a loop (by its address) hold it. None: ``cpu_ns`` of this
        thread's CPU time was not enough; the next call goes on.
        """
        look = self._task_waits.setdefault(loop, TaskWaits(self._frames, self._blocks))
        return look.look(tasks, waited, cpu_ns)

    def where(self, task: StandingTask) -> tuple[Stack, str | None]:
        """The awaits of a task that waits, and the type of future that it waits for."""
        return stack_of(self._frames, task), future_of(self._objects, task)

    # --- processes that it has started ------------------------------------------------------

    def child_waits(self, known: Container[int], cpu_ns: int) -> ChildLook:
        """Which tasks wait for a process; ``known`` and ``cpu_ns`` are those of ``tasks_looks``."""
        looks = self.tasks_looks(known, cpu_ns)
        return children.waits(self._interps.values(), self._frames, looks)

    def child_holders(self, look: ChildLook, pids: Collection[int]) -> ChildHolders:
        """Who has one of those processes in a frame, of all threads and the tasks of a look."""
        return children.holders(self._interps.values(), self._frames, look.standing, pids)

    # --- pools ----------------------------------------------------------------------------

    def pools(self) -> tuple[PoolFacts, ...]:
        """Every live ThreadPoolExecutor that has threads, is a loop's default or is asgiref's."""
        return self._again(self._all_pools)

    def _all_pools(self) -> tuple[PoolFacts, ...]:
        self._look_at_interpreters()
        found: list[PoolFacts] = []
        parts: dict[int, AsyncioReaders] = {}
        with contextlib.suppress(Unavailable):  # executors do not need asyncio
            parts = {part.interp.number: part for part in self._parts()}
        for interp in self._interps.values():
            threads = self.runtime.threads(interp.address)
            part = parts.get(interp.number)
            loops = self._known_loops(part, threads) if part else []
            found += self._pools(interp).read(threads, loops)
        return tuple(found)

    def groups(self, executors: Iterable[PoolFacts]) -> tuple[GroupFacts, ...]:
        """Every group of threads that take from one queue, and are not those of executors."""
        of_executors = {tid for pool in executors for tid in pool.tids}
        return self._again(lambda: self._all_groups(of_executors))

    def _all_groups(self, of_executors: Container[int]) -> tuple[GroupFacts, ...]:
        found: list[GroupFacts] = []
        alive: set[int] = set()
        for interp in self._interps.values():
            threads = [
                thread
                for thread in self.runtime.threads(interp.address)
                if thread.tid not in of_executors
            ]
            alive |= {thread.tid for thread in threads if thread.tid is not None}
            groups = self._groups.get(interp.number)
            if groups is None:
                groups = ThreadGroups(interp, Callables(self._objects, self._frames))
                self._groups[interp.number] = groups
            found += groups.read(threads, self._takers)
        self._takers = {tid: queue for tid, queue in self._takers.items() if tid in alive}
        return tuple(found)

    def group(self, group: GroupFacts) -> GroupFacts:
        """The same with what is known of the first items in its queue."""
        return self._groups_of(group).look(group)

    def _groups_of(self, group: GroupFacts) -> ThreadGroups:
        try:
            return self._groups[group.interpreter]
        except KeyError:
            raise Torn("its interpreter has ended") from None

    def marks(self, pools: Iterable[PoolFacts | GroupFacts]) -> dict[int, QueueMark]:
        """By the address of its queue, what is another one once that has changed; without those
        where that cannot be told. It costs little, however many there are.
        """
        kept = {pool.queue: pool.kept_in for pool in pools if pool.kept_in is not None}
        marks = Queues(self._objects).marks(list(kept.values()))
        return {queue: mark for queue, mark in zip(kept, marks, strict=True) if mark is not None}

    def process_pools(self) -> tuple[ProcessPoolFacts, ...]:
        """Every live ProcessPoolExecutor that has started its processes."""
        return self._again(self._all_process_pools)

    def _all_process_pools(self) -> tuple[ProcessPoolFacts, ...]:
        return tuple(
            pool for interp in self._interps.values() for pool in self._process_pools(interp).read()
        )

    def _process_pools(self, interp: InterpreterState) -> ProcessPools:
        return ProcessPools(interp, Callables(self._objects, self._frames))

    def queued(self, pool: PoolFacts | GroupFacts | ProcessPoolFacts) -> tuple[int, ...] | None:
        """The addresses of the work items in its queue, the oldest first; None: not known."""
        if isinstance(pool, ProcessPoolFacts):
            return self._process_pools(self._interp(pool.interpreter)).queued(pool)
        if isinstance(pool, GroupFacts):
            return self._groups_of(pool).queued(pool)
        return self._pools(self._interp(pool.interpreter)).queued(pool)

    def waiting_on_itself(self, pool: PoolFacts) -> frozenset[int]:
        """The threads of a pool that hold, in their frames, the future of an item of the pool."""
        pools = self._pools(self._interp(pool.interpreter))
        return pools.waiting_on_itself(pool, self.runtime.threads(pools.interp.address))

    def awaiting_items(self, pool: GroupFacts | ProcessPoolFacts) -> tuple[TaskFacts, ...]:
        """The tasks that wait for one of the first items of a queue."""
        part = self._asyncio.get(pool.interpreter)
        if part is None:
            return ()
        tasks = self._tasks_of(part, self.runtime.threads(part.interp.address)).tasks
        if isinstance(pool, GroupFacts):
            waiting = [task for task in tasks if task.waiter in pool.promises]
        else:
            found = Awaiting(Callables(self._objects, self._frames), None)
            waiting = found.for_items(pool.items, tasks)
        return tuple(part.tasks.facts(task) for task in waiting)

    def awaiting(self, pool: PoolFacts | GroupFacts | LimiterFacts) -> tuple[TaskFacts, ...]:
        """The tasks that await what the threads of a pool are doing; AnyIO's may be any thread."""
        part = self._asyncio.get(pool.interpreter)
        if part is None:
            return ()
        threads = self.runtime.threads(part.interp.address)
        kind = part.interp.names_of("concurrent.futures.thread").get("_WorkItem")
        found = Awaiting(Callables(self._objects, self._frames), kind)
        mine = [t for t in threads if isinstance(pool, LimiterFacts) or t.tid in pool.tids]
        tasks = found.tasks(mine, self._tasks_of(part, threads).tasks)
        return tuple(part.tasks.facts(task) for task in tasks[:_MOST_AWAITING])

    def waiting(self, limiter: LimiterFacts) -> tuple[int, ...]:
        """The addresses of those that wait for a token, the first one first."""
        part = self._asyncio.get(limiter.interpreter)
        if part is None:
            raise Torn("its interpreter has ended")
        return part.limiters.waiting(limiter)

    def _pools(self, interp: InterpreterState) -> Pools:
        return Pools(interp, Callables(self._objects, self._frames))

    def _interp(self, number: int) -> InterpreterState:
        for interp in self._interps.values():
            if interp.number == number:
                return interp
        raise Torn("its interpreter has ended")

    def limiters(self) -> tuple[LimiterFacts, ...]:
        """AnyIO's default thread limiter of every loop that runs or has run."""
        return self._again(self._all_limiters)

    def _all_limiters(self) -> tuple[LimiterFacts, ...]:
        found: list[LimiterFacts] = []
        for part in self._parts():
            loops = self._known_loops(part, self.runtime.threads(part.interp.address))
            found += part.limiters.read(loops)
        return tuple(found)

    def _known_loops(self, part: AsyncioReaders, threads: list[Thread]) -> list[LoopInMemory]:
        """The loops that run, or that loops() has seen running."""
        running = [one.loop for one in part.loops.running(threads)]
        found = []
        for address in dict.fromkeys((*running, *self._history)):
            with contextlib.suppress(Unreadable):
                found.append(part.loops.read(address))
        return found

    # --- code -----------------------------------------------------------------------------

    def import_facts(self) -> tuple[ImportFacts, ...]:
        """Where each interpreter that has begun finds its modules."""
        return self._again(self._all_import_facts)

    def _all_import_facts(self) -> tuple[ImportFacts, ...]:
        self._look_at_interpreters()
        return tuple(import_facts(interp) for interp in self._interps.values())

    def know(self, homes: Homes) -> None:
        """Frames that are read from now on know whose they are."""
        self._frames.know(homes)

    # --- interpreters ---------------------------------------------------------------------

    def _look_at_interpreters(self) -> None:
        """Notes interpreters that began or ended."""
        now = self.runtime.interpreters()
        for key in self._interps.keys() - set(now):
            del self._interps[key]
            self._asyncio.pop(key[1], None)
            self._groups.pop(key[1], None)
        for address, number in now:
            if (address, number) not in self._interps:
                self._interps[address, number] = InterpreterState(
                    self.runtime, self._objects, address, number
                )

    def _parts(self) -> list[AsyncioReaders]:
        """The interpreters in which asyncio is imported."""
        found = []
        for interp in self._interps.values():
            if interp.number not in self._asyncio:
                anchors = interp.asyncio()
                if anchors is None:
                    continue
                self._asyncio[interp.number] = AsyncioReaders(interp, anchors, self._frames)
            found.append(self._asyncio[interp.number])
        return found

    def _part(self, loop: LoopFacts) -> AsyncioReaders:
        try:
            return self._asyncio[loop.interpreter]
        except KeyError:
            raise Torn("its interpreter has ended") from None

    @staticmethod
    def _again(look: Callable[[], tuple[_T, ...]]) -> tuple[_T, ...]:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(Unreadable):
                return look()
        return look()
