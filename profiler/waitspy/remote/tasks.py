"""The tasks of an interpreter: which are pending, and where they stand."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from waitspy.remote.anchors import Anchors, InterpreterState
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.runtime import Thread
from waitspy.remote.values import TaskFacts

_MOST_TASKS = 100_000
_TRIES = 4
PENDING, _CANCELLED, FINISHED = 0, 1, 2
"""Modules/_asynciomodule.c, fut_state."""
_BLOCK = 1 << 14
"""Bytes that are read at once around a node of a task list: neighbours come along."""


class Task(NamedTuple):
    """A task that is not done, as it stands in memory: addresses, zero where there is nothing."""

    address: int
    loop: int
    waiter: int
    coroutine: int
    name: int


@dataclass(slots=True)
class TaskSet:
    """The pending tasks of an interpreter at one moment.

    ``tids`` gives for each task the thread whose list it is in (3.14 and newer). ``torn``
    counts things that did not fit: then tasks may be missing.
    """

    tasks: list[Task] = field(default_factory=list)
    tids: dict[int, int | None] = field(default_factory=dict)
    torn: int = 0


class Tasks:
    """Reads the tasks of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, anchors: Anchors, frames: Frames) -> None:
        self.interp = interp
        self.anchors = anchors
        self.frames = frames
        self.objects = interp.objects
        self.memory = interp.objects.memory

    # --- which there are ------------------------------------------------------------------

    def pending(self, threads: list[Thread]) -> TaskSet:
        """All tasks that are not done. ``threads`` are the interpreter's thread states."""
        found = TaskSet()
        if self.anchors.all_tasks is None:
            addresses = self._listed(threads, found)
        else:
            addresses = self._in_set(self.anchors.all_tasks)
        lay = self.anchors.layout
        raw, missing = self.memory.gather(addresses, lay.task_size)
        found.torn += len(missing)
        words, step = memoryview(raw).cast("Q"), lay.task_size // 8
        states = memoryview(raw).cast("I")[lay.task_state // 4 :: lay.task_size // 4].tolist()
        columns = [
            words[at // 8 :: step].tolist()
            for at in (lay.task_loop, lay.task_waiter, lay.task_coroutine, lay.task_name)
        ]
        types = words[lay.ob_type // 8 :: step].tolist()
        right = {kind: self._derives(kind, self.anchors.task_type) for kind in set(types)}
        for kind, state, *row in zip(types, states, addresses, *columns, strict=True):
            if not right[kind] or state > FINISHED:
                found.torn += 1
            elif state == PENDING:
                found.tasks.append(Task(*row))
        return found

    def _in_set(self, address: int) -> list[int]:
        """The live tasks of the WeakSet's set (3.8 to 3.13)."""
        lay, memory = self.anchors.layout, self.memory
        size = lay.set_table + 8
        for _ in range(_TRIES):
            before = memory.read(address, size)
            try:
                refs = self.objects.set_items(address, _MOST_TASKS)
                found = self.objects.referents(refs)
            except Unreadable:
                continue
            # the set is shared by the loops of all threads: it may change at any time
            if memory.read(address, size)[lay.ob_type :] == before[lay.ob_type :]:
                return [task for task in found if task != self.interp.none]
        raise Torn("the set of tasks keeps changing")

    def _listed(self, threads: list[Thread], found: TaskSet) -> list[int]:
        """The tasks of the linked lists of all threads, and of threads that ended (3.14)."""
        lay = self.anchors.layout
        heads: list[tuple[int, int | None]] = [(self.interp.address + lay.interp_tasks, None)]
        heads += [(thread.address + lay.thread_tasks, thread.tid) for thread in threads]
        blocks: dict[int, bytes] = {}
        addresses: list[int] = []
        for head, tid in heads:
            previous, (node, _) = head, struct.unpack("<QQ", self.memory.read(head, 16))
            while node != head:
                if len(addresses) >= _MOST_TASKS:
                    raise Torn("more tasks than can be")
                try:
                    following, back = self._links(node, blocks)
                except Unreadable:
                    following, back = 0, 0
                if back != previous:  # not a neighbour: the list changed meanwhile
                    found.torn += 1
                    break
                addresses.append(node - lay.task_node)
                found.tids[node - lay.task_node] = tid
                previous, node = node, following
        return addresses

    def _links(self, node: int, blocks: dict[int, bytes]) -> tuple[int, int]:
        """Next and previous node of a node; ``blocks`` is the memory around those before."""
        begin = node & -_BLOCK
        if begin not in blocks:
            try:
                blocks[begin] = self.memory.read(begin, _BLOCK)
            except Unreadable:
                blocks[begin] = b""
        block = blocks[begin]
        if node - begin + 16 <= len(block):
            following, back = struct.unpack_from("<QQ", block, node - begin)
        else:
            following, back = struct.unpack("<QQ", self.memory.read(node, 16))
        return following, back

    def _derives(self, kind: int, wanted: int) -> bool:
        try:
            return self.objects.type_at(kind).is_a(wanted)
        except Unreadable:
            return False

    # --- what they are --------------------------------------------------------------------

    def facts(self, task: Task) -> TaskFacts:
        """Name, coroutine and awaits, as far as they can be read."""
        name = coroutine = None
        with contextlib.suppress(Unreadable):
            name = self._name(task.name)
        try:
            coroutine = self.frames.qualname(task.coroutine)
            stack = self.frames.awaits(task.coroutine)
        except Unreadable:
            stack = ()
        return TaskFacts(task.address, name, coroutine, stack)

    def _name(self, address: int) -> str:
        try:
            return self.objects.text(address)
        except Torn:  # from 3.12 on, a number until somebody asks for the name
            return f"Task-{self.objects.integer(address)}"

    def at(self, address: int) -> Task | None:
        """The task at that address; None when there is none."""
        lay = self.anchors.layout
        try:
            if not self.objects.type_of(address).is_a(self.anchors.task_type):
                return None
            raw = self.memory.read(address, lay.task_size)
        except Unreadable:
            return None
        fields = (lay.task_loop, lay.task_waiter, lay.task_coroutine, lay.task_name)
        return Task(address, *(word_at(raw, at) for at in fields))
