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
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from waitspy.kernel import procfs
from waitspy.model.code_origin import Homes
from waitspy.model.stacks import Stack
from waitspy.remote import children
from waitspy.remote.asyncio_readers import AsyncioReaders
from waitspy.remote.chain_tasks import PartTasks
from waitspy.remote.children import ChildHolders, ChildLook
from waitspy.remote.code_origin import import_facts
from waitspy.remote.end_users import EndUsers
from waitspy.remote.frames import Frames
from waitspy.remote.interpreters import TRIES, Interpreters, again
from waitspy.remote.loops import LoopInMemory, Running, owner_in_frames
from waitspy.remote.lost_waits import LostWaits
from waitspy.remote.memory import Memory, Torn, Unavailable, Unreadable
from waitspy.remote.moving_stacks import MovingStacks
from waitspy.remote.objects import Objects
from waitspy.remote.places import future_of, stack_of
from waitspy.remote.pool_jobs import PoolWork, work_of
from waitspy.remote.pool_reader import PoolReader
from waitspy.remote.process_locks import HeldBetween, ProcessLocks
from waitspy.remote.runtime import Gil, Runtime
from waitspy.remote.task_streams import TaskStreams
from waitspy.remote.task_waits import TaskWaits
from waitspy.remote.tasks import Task, TaskSet
from waitspy.remote.thread_names import thread_names
from waitspy.remote.thread_stacks import ThreadStacks, ThreadState
from waitspy.remote.values import (
    HeldByTasks,
    ImportFacts,
    LoopFacts,
    LoopSnapshot,
    OwnerHow,
    Service,
    StandingTask,
    TasksLook,
)
from waitspy.remote.wait_for import ThreadWaits, WaitLook
from waitspy.remote.with_blocks import WithBlocks

_MANY_THREADS = 64
_MOST_ASKED = 256  # threads of a process that are asked for locks between processes

_OfTasks = tuple[TaskWaits, LostWaits]


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
        self._moving = MovingStacks(self._frames)
        self._blocks = WithBlocks(self._frames)
        self.streams = TaskStreams(self._frames)
        self._task_waits: dict[int, _OfTasks] = {}
        self._thread_waits = ThreadWaits(self._stacks, self._blocks)
        self._interps = Interpreters(self.runtime, self._frames)
        self.pools = PoolReader(self._interps, lambda: self._history)
        self.ends = EndUsers(self._interps, self._stacks, self.runtime)
        self._history: dict[int, tuple[int, int | None]] = {}
        for _ in range(TRIES):
            with contextlib.suppress(Unreadable):
                self._interps.look()
            if self._interps.now:
                return
        raise Unavailable("its interpreter state cannot be read")

    # --- loops ----------------------------------------------------------------------------

    def loops(self, *, frames: bool = True) -> tuple[LoopFacts, ...]:
        """Every loop that runs, has tasks, ran when this was called before, or is held by the
        Python frames of a thread; the last is left out without ``frames``, which saves most of
        the time.
        """
        return again(lambda: self._all_loops(frames=frames))

    def _all_loops(self, *, frames: bool) -> tuple[LoopFacts, ...]:
        self._objects.forget()
        self._interps.look()
        found: list[LoopFacts] = []
        for part in self._interps.parts():
            found += self._loops_of(part, frames=frames)
        known = {loop.address for loop in found}
        self._history = {loop: how for loop, how in self._history.items() if loop in known}
        return tuple(found)

    def _loops_of(self, part: AsyncioReaders, *, frames: bool) -> Iterator[LoopFacts]:
        threads = self.runtime.threads(part.interp.address)
        running = {one.loop: one for one in part.loops.running(threads)}
        tasks = part.pending(threads)
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
        for _ in range(TRIES):
            with contextlib.suppress(Unreadable):
                return part.loops.read(address)
        return None

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
        self, loop: LoopFacts, tries: int = TRIES, *, names: int = 8, tasks: bool = True
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
        return self._stacks.of(tids, self.python_threads(), until_ns)

    def python_threads(self) -> dict[int, list[ThreadState]]:
        """The states of each thread: one for each interpreter that it was in."""
        self._interps.look()
        found: dict[int, list[ThreadState]] = {}
        for interp in self._interps:
            for thread in self.runtime.threads(interp.address):
                if thread.tid is not None:
                    state = ThreadState(thread.address, thread.ident)
                    found.setdefault(thread.tid, []).append(state)
        return found

    def thread_names(self, first: int, many: int) -> tuple[dict[int, str], bool]:
        """What ``threading`` calls so many threads, by pthread id, and whether there are more."""
        return thread_names(self._interps, first, many)

    def gils(self) -> dict[int, Gil]:
        """Who holds the GIL of each interpreter, by its number; some share one."""
        found: dict[int, Gil] = {}
        for interp in self._interps:
            try:
                found[interp.number] = self.runtime.gil(interp.address, interp.number)
            except Unreadable:
                continue
        return found

    def moving_stacks(self, threads: Sequence[ThreadState]) -> list[tuple[Stack, bool]]:
        """The stack of each thread, running or not, as far as it is known for certain, and whether
        that is all of it.
        """
        return self._moving.look(threads)

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
        self._interps.look()
        look = self._thread_waits.look(
            self._interps.now,
            tids,
            futexes,
            still_ns,
            cpu_ns,
            lambda known: self._tasks(known, cpu_ns),
            self.pools.taking_from,
        )
        takers = {one.tid: one.subject for one in look.waiting if one.kind == "queue"}
        self.pools.note_takers(takers)
        return look

    def _tasks(self, known: Container[int], cpu_ns: int) -> dict[int, PartTasks]:
        """The tasks of all loops that wait, as far as that CPU time allows, by interpreter."""
        found: dict[int, PartTasks] = {}
        with contextlib.suppress(Unreadable, Unavailable):
            looks = self._looks(known, cpu_ns)
            for part in self._interps.parts():
                mine = [look for other, look in looks if other is part]
                found[part.interp.number] = PartTasks(part, mine, self._runs(part))
        return found

    def _runs(self, part: AsyncioReaders) -> dict[int, int]:
        """The threads that run loops now; of very many, those are asked that have run one."""
        threads = self.runtime.threads(part.interp.address)
        if len(threads) > _MANY_THREADS:
            ran = {tid for tid, _ in self._history.values()}
            threads = [thread for thread in threads if thread.tid in ran]
        running = part.loops.running(threads)
        return {one.loop: one.thread.tid for one in running if one.thread.tid is not None}

    def pool_work(self) -> PoolWork:
        """What its main thread does in a multiprocessing.Pool; Unreadable: it is none, or runs."""
        self._interps.look()
        for interp in self._interps:
            for thread in self.runtime.threads(interp.address):
                if thread.tid == self.pid:
                    return work_of(self._stacks, thread)
        raise Torn("no main thread")

    def held_between(self) -> tuple[HeldBetween, ...]:
        """The locks between processes that its threads have taken in ``with`` blocks."""
        self._interps.look()
        found: list[HeldBetween] = []
        for interp in self._interps:
            threads = self.runtime.threads(interp.address)[:_MOST_ASKED]
            found += ProcessLocks(interp, self._stacks, self._blocks).held(threads)
        return tuple(found)

    # --- waiting tasks --------------------------------------------------------------------

    def imports_asyncio(self) -> bool:
        """Whether an interpreter has imported asyncio; Unavailable if that cannot be read."""
        return bool(self._interps.parts())

    def tasks_looks(self, known: Container[int], cpu_ns: int) -> tuple[TasksLook, ...]:
        """Where the tasks of every loop that has some wait; some of those ``known`` by address.

        As many are looked at as this thread's CPU time ``cpu_ns`` allows, of which listing them is
        a part, but a few at least.
        """
        return tuple(look for _, look in self._looks(known, cpu_ns))

    def _looks(self, known: Container[int], cpu_ns: int) -> list[tuple[AsyncioReaders, TasksLook]]:
        began_ns = time.thread_time_ns()
        self._objects.forget()
        self._interps.look()
        loops: list[tuple[AsyncioReaders, LoopInMemory, list[Task]]] = []
        for part in self._interps.parts():
            threads = self.runtime.threads(part.interp.address)
            by_loop: dict[int, list[Task]] = {}
            for task in part.pending(threads).tasks:
                by_loop.setdefault(task.loop, []).append(task)
            for address, tasks in by_loop.items():
                loop = self._loop_at(part, address)
                if loop is not None:
                    loops.append((part, loop, tasks))
        alive = {loop.address for _, loop, _ in loops}
        self._task_waits = {at: mine for at, mine in self._task_waits.items() if at in alive}
        found: list[tuple[AsyncioReaders, TasksLook]] = []
        left_ns = began_ns + cpu_ns - time.thread_time_ns()
        for part, loop, tasks in loops:
            until_ns = time.thread_time_ns() + left_ns // len(loops)
            try:
                look = part.places.look(loop, tasks, known, until_ns)
            except Unreadable:
                look = TasksLook(loop.address, None, len(tasks), 0, ())
            part.takers.note(look.tasks)
            found.append((part, look))
        return found

    def held_by_tasks(
        self, loop: int, tasks: Sequence[StandingTask], waited: Container[int], cpu_ns: int
    ) -> tuple[HeldByTasks, ...] | None:
        """What tasks wait for that others can hold, of those that have ``waited`` for a while; and
        which of all these tasks of a loop (by its address) hold it. None: ``cpu_ns`` of this
        thread's CPU time was not enough; the next call goes on.
        """
        looks = self._looks_at(loop, tasks)
        return () if looks is None else looks[0].look(tasks, waited, cpu_ns)

    def lost_by_tasks(
        self, loop: int, tasks: Sequence[StandingTask], waited: Container[int], cpu_ns: int
    ) -> tuple[HeldByTasks, ...]:
        """What those of the tasks of a loop wait for that have ``waited`` for a while, if nobody
        but these refers to it; as far as this thread's CPU time ``cpu_ns`` allows.
        """
        looks = self._looks_at(loop, tasks)
        return () if looks is None else looks[1].look(tasks, waited, cpu_ns)

    def _looks_at(self, loop: int, tasks: Sequence[StandingTask]) -> _OfTasks | None:
        """What reads who holds, and who can give, what the tasks of a loop wait for."""
        if loop not in self._task_waits and tasks:
            part = self._interps.part_of(tasks[0].task)
            if part is not None:
                waits = TaskWaits(self._frames, self._blocks, part.takers)
                self._task_waits[loop] = waits, LostWaits(part, self._blocks)
        return self._task_waits.get(loop)

    def where(self, task: StandingTask) -> tuple[Stack, str | None]:
        """The awaits of a task that waits, and the type of future that it waits for."""
        return stack_of(self._frames, task), future_of(self._objects, task)

    def where_at_last(self, task: StandingTask) -> tuple[StandingTask, Stack, str | None]:
        """The task for which a task waits in the end, or itself; the awaits of all on the way, and
        the type of future that the last one waits for.
        """
        way = [task]
        with contextlib.suppress(Unreadable):
            part = self._interps.part_of(task.task)
            way += [] if part is None else part.ends_at(task)
        stacks = (stack_of(self._frames, one) for one in way)
        return way[-1], tuple(chain.from_iterable(stacks)), future_of(self._objects, way[-1])

    def worker_of(self, task: StandingTask, likely: int | None) -> int | None:
        """The thread at work on what a task waits for; the ``likely`` one is asked first."""
        part = self._interps.part_of(task.task)
        return None if part is None else part.worker_of(task, likely, self._stacks)

    # --- processes that it has started ------------------------------------------------------

    def child_waits(self, known: Container[int], cpu_ns: int) -> ChildLook:
        """Which tasks wait for a process; ``known`` and ``cpu_ns`` are those of ``tasks_looks``."""
        looks = self.tasks_looks(known, cpu_ns)
        return children.waits(self._interps, self._frames, looks)

    def child_holders(self, look: ChildLook, pids: Collection[int], deep: bool) -> ChildHolders:
        """Who has one of those processes in a frame, of all threads and the tasks of a look; where
        ``deep``, as an attribute of what is there, too.
        """
        return children.holders(self._interps, self._frames, look.standing, pids, deep=deep)

    # --- code -----------------------------------------------------------------------------

    def imported(self) -> tuple[tuple[int, int, int], ...]:
        """What is another one when an interpreter has begun, or has imported modules."""
        self._interps.look()
        return tuple((interp.number, *interp.imported()) for interp in self._interps)

    def import_facts(self) -> tuple[ImportFacts, ...]:
        """Where each interpreter that has begun finds its modules."""
        return again(lambda: tuple(map(import_facts, self._interps.look())))

    def know(self, homes: Homes) -> None:
        """Frames that are read from now on know whose they are."""
        self._frames.know(homes)

    def _part(self, loop: LoopFacts) -> AsyncioReaders:
        part = self._interps.part(loop.interpreter)
        if part is None:
            raise Torn("its interpreter has ended")
        return part
