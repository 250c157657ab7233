"""Tasks in the chains of waiting threads: which of them hold what a thread waits for, or have to
hand it in, and whom these wait for themselves.

A task that has taken a lock of threads, and awaits something in that ``with`` block, has the lock
on the value stack of its coroutine, as a thread has on its own. Whose result a thread waits for
(``asyncio.run_coroutine_threadsafe``, AnyIO's ``from_thread.run``) is in the closure of the
function that connects both (Lib/asyncio/futures.py, ``_chain_future``); before there is a task, a
callback in the ready queue of the loop has it. asgiref's ``async_to_sync`` has a coroutine for it,
which a task awaits. Which thread works on what a task awaits is known in the same way; who is in a
block of an ``asyncio.Lock`` has that. Of several that a task waits for (``gather``), all have to be
known: it may go on as soon as one of them fails.

Tasks go on while they are read: what is found of them counts only if they stand where they stood
when all is done.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal, NamedTuple

from msgspec import structs

from waitspy.kernel.nettable import Ends
from waitspy.model.code_origin import base_name
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import Held, Holder, TaskEdge, WaitEdge
from waitspy.remote.asgiref_waits import AsgirefWaits
from waitspy.remote.asyncio_readers import AsyncioReaders
from waitspy.remote.awaiting import linked
from waitspy.remote.callables import Callables
from waitspy.remote.locks import Locks
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.places import stack_of
from waitspy.remote.runtime import Thread
from waitspy.remote.task_streams import TaskStreams
from waitspy.remote.thread_work import ThreadWork
from waitspy.remote.values import StandingTask, TasksLook
from waitspy.remote.with_blocks import Entered, WithBlocks

_LOCKS = "/asyncio/locks.py"
_TO_THREAD = "_call_check_cancel"
"""The function of ``_chain_future`` (Lib/asyncio/futures.py) that is called when the future of a
thread is done, and has the task that hands it in."""

_BEGINS = (("/asyncio/tasks.py", "callback"), ("/anyio/_backends/_asyncio.py", "wrapper"))
"""Callbacks of a loop that begin what a thread waits for, and have its future."""

_MOST_READY = 256
_MOST_ARGUMENTS = 1024
_MOST_TASKS = 32
_TRIES = 2

Blocks = Mapping[StandingTask, Sequence[Entered]]
"""What the tasks are in that were looked at."""


class PartTasks(NamedTuple):
    """The tasks of the loops of one interpreter that wait, and the threads that run its loops."""

    part: AsyncioReaders
    looks: list[TasksLook]
    runs: Mapping[int, int]


class ThreadReaders(NamedTuple):
    """The threads of the same interpreter, and what reads what they are in, and do."""

    threads: Mapping[int, Thread]
    blocks: WithBlocks
    work: ThreadWork
    asgiref: AsgirefWaits


class ChainTasks:
    """One look at them, until this thread has used its CPU up to ``until_ns``.

    ``known`` is what the look before has read of tasks, ``blocks`` what this one has; ``whole``
    says that all tasks were asked what they hold.

    Raises:
        OSError: from every method.
    """

    def __init__(
        self, tasks: PartTasks, reads: ThreadReaders, known: Blocks, until_ns: int
    ) -> None:
        self._part = tasks.part
        self._frames = tasks.part.tasks.frames
        self._objects = self._frames.objects
        self._callables = Callables(self._objects, self._frames)
        self._locks = Locks(self._objects)
        self._streams = TaskStreams(self._frames)
        self._runs = tasks.runs
        self._threads = reads.threads
        self._with_blocks = reads.blocks
        self._work = reads.work
        self._asgiref = reads.asgiref
        self._known = known
        self._until_ns = until_ns
        self._loops = {task.task: look.loop for look in tasks.looks for task in look.tasks}
        self._standing: dict[int, StandingTask | None] = {
            task.task: task for look in tasks.looks for task in look.tasks
        }
        self._held: dict[int, list[tuple[int, Frame]]] | None = None
        self._edges: dict[int, TaskEdge | None] = {}
        self.blocks: dict[StandingTask, Sequence[Entered]] = {}
        self.whole = all(look.looked >= look.pending for look in tasks.looks)

    def holders(self, edge: WaitEdge, coroutine: int = 0) -> tuple[Holder, ...]:
        """Those of the tasks that hold, or hand in, what a thread waits for; beside them it is
        known of threads, or instead of one of which it is known by its lock only, or that it runs
        their loop. With ``coroutine`` the one does that awaits this one.
        """
        found: list[Holder] = []
        with contextlib.suppress(Unreadable):
            if edge.kind == "future":
                found += self._awaiting(coroutine) if coroutine else self._handing_in(edge.subject)
            elif edge.kind == "semaphore":
                found += self._holding(edge.subject, "with")
            elif edge.kind in {"lock", "abandoned-lock"}:
                found += self._of_lock(edge.subject)
        for holder in found[:_MOST_TASKS]:
            if holder.task is not None and len(self._edges) < _MOST_TASKS:
                self._edges.setdefault(holder.task, None)
        return tuple(one for one in found if one.task is None or one.task in self._edges)

    def follow(self) -> set[int]:
        """The threads that the tasks found until now wait for, or that run their loops."""
        threads: set[int] = set()
        while left := [task for task, edge in self._edges.items() if edge is None]:
            for task in left:
                edge = self._edges[task] = self._edge(task)
                threads |= {edge.tid, *(one.tid for one in edge.holders)}
                for one in edge.holders:
                    if one.task is not None and len(self._edges) < _MOST_TASKS:
                        self._edges.setdefault(one.task, None)
        return threads - {0}

    def confirmed(self) -> tuple[TaskEdge, ...]:
        """The tasks that were found, without those that have gone on since they were read."""
        found = {task: edge for task, edge in self._edges.items() if edge is not None}
        again = self._part.places.standing(list(found))
        return tuple(
            edge
            for task, edge in found.items()
            if task in again
            and again[task] == self._standing[task]
            and (again[task] is not None or self._part.tasks.at(task) is not None)
        )

    def streams(self) -> Iterator[tuple[int, Ends | int]]:
        """Those of the tasks that wait for room in a connection, and its ends; or to read from one,
        and its descriptor.
        """
        for address in self._edges:
            task = self._standing.get(address)
            found = task and (self._streams.full(task) or self._streams.empty(task))
            if found is not None:
                yield address, found

    # --- who holds it ---------------------------------------------------------------------

    def _of_lock(self, lock: int) -> Iterator[Holder]:
        handle = self._locks.handle(lock)
        owner = self._locks.owner(lock)
        if handle is None:
            return
        for holder in self._holding(handle, "with" if owner is None else "owner"):
            thread = self._threads.get(holder.tid)
            if owner is None or (thread is not None and thread.ident == owner):
                yield holder

    def _holding(self, key: int, how: Literal["with", "owner"]) -> Iterator[Holder]:
        if self._held is None:
            self._held = self._all_held()
        for task, at in self._held.get(key, ()):
            yield Holder(self._tid(task), how, at, task)

    def _all_held(self) -> dict[int, list[tuple[int, Frame]]]:
        """The tasks that hold something, and where they took it; by its address, or the handle of
        its lock.
        """
        found: dict[int, list[tuple[int, Frame]]] = {}
        left = [task for task in self._standing.values() if task is not None]
        left.sort(key=lambda task: not self._known.get(task))
        for task in left:
            entered = self._known.get(task)
            if entered is None:
                if time.thread_time_ns() >= self._until_ns:
                    self.whole = False
                    continue
                entered = list(self._entered(task))
            self.blocks[task] = entered
            for one in entered:
                for key in {one.held, self._inside(one.held)}:
                    found.setdefault(key, []).append((task.task, one.at))
        return found

    def _entered(self, task: StandingTask) -> Iterator[Entered]:
        for coroutine, code, instruction in task.steps:
            with contextlib.suppress(Unreadable):
                if self._with_blocks.may_be_in(code, instruction):
                    yield from self._with_blocks.of_generator(coroutine)

    def _inside(self, held: int) -> int:
        with contextlib.suppress(Unreadable):
            return self._locks.inside(held) or held
        return held

    # --- who hands it in ------------------------------------------------------------------

    def _handing_in(self, future: int) -> Iterator[Holder]:
        """The task that ends in this future of a thread, or the thread on whose loop it is to
        begin.
        """
        for word in chain.from_iterable(linked(self._callables, future, _TO_THREAD)):
            if self._part.awaited.is_task(word):
                yield Holder(self._tid(word), "task", None, word)
                return
        tid = self._to_begin_on(future)
        if tid is not None:
            yield Holder(tid, "loop")

    def _awaiting(self, coroutine: int) -> Iterator[Holder]:
        """The task whose own coroutine that is, or the one that awaits it at first; or the thread
        on whose loop it is to begin.
        """
        for task in self._standing.values():
            if task is not None and any(step[0] == coroutine for step in task.steps[:2]):
                yield Holder(self._tid(task.task), "task", None, task.task)
                return
        for one in self._part.pending().tasks:
            if one.coroutine == coroutine:
                yield Holder(self._tid(one.address), "task", None, one.address)
                return
        tid = self._to_begin_on(coroutine)
        if tid is not None:
            yield Holder(tid, "loop")

    def _to_begin_on(self, begun: int) -> int | None:
        for loop, tid in self._runs.items():
            for _ in range(_TRIES):
                with contextlib.suppress(Unreadable):
                    if self._is_queued(loop, begun):
                        return tid
                    break
        return None

    def _is_queued(self, address: int, begun: int) -> bool:
        """Whether a callback that begins it waits in the ready queue of a loop: what completes a
        future, or a coroutine.
        """
        loop = self._part.loops.read(address)
        if loop.ready is None:
            return False
        before = self._part.loops.service(loop.ready)
        found = False
        for handle in self._part.loops.first_ready(loop.ready, _MOST_READY):
            with contextlib.suppress(Unreadable):
                callback, args, _ = self._part.snapshots.handle(loop, handle)
                if args and begun in self._objects.sequence(args, _MOST_ARGUMENTS)[:1]:
                    found = True
                closure = self._callables.closure(callback, args) if callback else None
                if closure is not None and begun in closure[1]:
                    code = closure[0]
                    name = base_name(code.function)
                    found |= any(code.rooted.endswith(f) and name == n for f, n in _BEGINS)
        if self._part.loops.service(loop.ready) != before:
            raise Torn("a loop that runs")
        return found

    # --- what tasks wait for --------------------------------------------------------------

    def _edge(self, address: int) -> TaskEdge:
        if address not in self._standing:
            self._standing[address] = self._part.places.standing([address]).get(address)
        task = self._standing[address]
        tid = self._tid(address)
        if task is None:
            return TaskEdge(address, tid, self._awaits(address))
        stack = stack_of(self._frames, task)
        with contextlib.suppress(Unreadable):
            kind, holders = self._needs(task)
            return TaskEdge(address, tid, stack, kind, holders)
        return TaskEdge(address, tid, stack)

    def _awaits(self, address: int) -> tuple[Frame, ...]:
        """Where a task stands that does not wait: it runs, or is about to."""
        task = self._part.tasks.at(address)
        return () if task is None else self._frames.awaits(task.coroutine)

    def _needs(self, task: StandingTask) -> tuple[Held | None, tuple[Holder, ...]]:
        """Who holds, or does, what a task waits for: other tasks, or threads."""
        has = self._of_asyncio_lock(task)
        if has is not None:
            return "lock", (has,)
        takers = self._of_full_queue(task)
        if takers:
            return "full-queue", takers
        awaited = self._part.awaited.of(task)
        holders = [
            self._who_does(one) or self._who_has_to(task, one) for one in awaited[: _MOST_TASKS + 1]
        ]
        known = [one for one in holders if one is not None]
        if not awaited or len(known) < len(awaited):
            return None, ()
        return "task" if any(one.task for one in known) else "future", tuple(known)

    def _of_asyncio_lock(self, task: StandingTask) -> Holder | None:
        """The one task that is in a block of the asyncio.Lock for which another one waits."""
        if not self._is_at(task, "acquire"):
            return None
        lock = self._frames.first_local(task.steps[-1][0])
        if "Lock" not in self._objects.bases(lock):
            return None
        holders = list(self._holding(lock, "with"))
        holder = holders[0] if len(holders) == 1 else None
        other = None if holder is None else self._standing.get(holder.task or 0)
        if holder is None or other is None or other.task == task.task or self._is_at(other, "wait"):
            return None  # who waits in a condition has given its lock up
        return holder

    def _of_full_queue(self, task: StandingTask) -> tuple[Holder, ...]:
        """The tasks that take from the queue in which a task waits for room."""
        standing = [one for one in self._standing.values() if one is not None]
        for coroutine, code, _ in reversed(task.steps):
            queue = self._part.takers.wanted(coroutine, code)
            if queue:
                takers = self._part.takers.of(queue, standing, {task.task}, self._until_ns)
                return tuple(
                    Holder(self._tid(one.task), one.how, None, one.task)
                    for one in takers[:_MOST_TASKS]
                    if one.task
                )
        return ()

    def _is_at(self, task: StandingTask, name: str) -> bool:
        """Whether that method of asyncio's locks is the innermost coroutine of a task."""
        frame = self._frames.code(task.steps[-1][1]) if task.steps else None
        return frame is not None and frame.is_one_of(_LOCKS, name)

    def _who_does(self, future: int) -> Holder | None:
        """The task that it is, or the thread that is at work on it; None: nobody is known."""
        if self._part.awaited.is_task(future):
            return Holder(self._tid(future), "task", None, future)
        for tid, thread in self._threads.items():
            if self._work.does(thread, future, self._callables):
                return Holder(tid, "work-item")
        return None

    def _who_has_to(self, task: StandingTask, future: int) -> Holder | None:
        """The one thread that can do what a task waits for by asgiref, and is at something else."""
        coroutine, code, _ = task.steps[-1] if task.steps else (0, 0, 0)
        if not coroutine or not self._asgiref.is_call(code):
            return None
        tid = self._asgiref.only_thread(coroutine, self._threads)
        waits = tid is not None and self._part.awaited.is_queued(future)
        return Holder(tid, "queued") if tid is not None and waits else None

    def _tid(self, task: int) -> int:
        """The thread that runs the loop of a task; zero: none does."""
        loop = self._loops.get(task)
        if loop is None:
            known = self._part.tasks.at(task)
            loop = self._loops[task] = 0 if known is None else known.loop
        return self._runs.get(loop, 0)


def with_tasks(edge: WaitEdge, holders: tuple[Holder, ...]) -> WaitEdge:
    """The same with tasks that hold it, too, or instead of the thread that runs them."""
    if edge.kind == "semaphore":
        return structs.replace(edge, holders=(*edge.holders, *holders))
    kind: Held = "lock" if edge.kind == "abandoned-lock" else edge.kind
    return structs.replace(edge, kind=kind, holders=holders)


def only_sure(edge: WaitEdge, sure: Container[int], asks: ChainTasks) -> WaitEdge:
    """The same without tasks that are not known to have stood still."""
    holders = tuple(one for one in edge.holders if one.task is None or one.task in sure)
    whole = edge.whole and asks.whole and holders == edge.holders
    return structs.replace(edge, holders=holders, whole=whole)
