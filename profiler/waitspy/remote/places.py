"""Where the tasks of an interpreter wait, read for many of them with few calls.

A coroutine is followed from await to await, all tasks one await further at a time. What is read
while their loop runs is read twice: what differs counts as not looked at.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Container, Iterator, Sequence

from waitspy.model.code_origin import base_name
from waitspy.model.stacks import Frame, Stack
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.frames import DEEPEST, Frames, Suspended, is_coroutine, is_wrapper
from waitspy.remote.loops import EventLoops, LoopInMemory
from waitspy.remote.memory import Unreadable, word_at
from waitspy.remote.objects import Objects
from waitspy.remote.tasks import Task, Tasks
from waitspy.remote.type_facts import IS_INT, IS_STR, TypeFacts
from waitspy.remote.values import Service, StandingTask, TasksLook

_WORD = struct.Struct("<Q")
_STREAMS = frozenset({"StreamReader", "StreamWriter"})
_CHUNK = 64
_NAME_BYTES = 56
"""So much of a name tells tasks apart; asyncio numbers those without a name."""


class Places:
    """Reads where the tasks of one interpreter wait.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(
        self, interp: InterpreterState, loops: EventLoops, tasks: Tasks, frames: Frames
    ) -> None:
        self.loops = loops
        self.tasks = tasks
        self.frames = frames
        self.objects = interp.objects
        self.memory = interp.objects.memory

    def look(
        self, loop: LoopInMemory, pending: Sequence[Task], known: Container[int], until_ns: int
    ) -> TasksLook:
        """Where the pending tasks of a loop stand, half of them such that are ``known`` by address.

        It ends early when this thread has used the CPU up to ``until_ns``.
        """
        ready = loop.ready
        looked = 0
        waits: list[StandingTask] = []
        first_service = service = self._service(ready)
        for chunk in _chunks([task.address for task in pending], known):
            before, found = service, self.standing(chunk)
            service = self._service(ready)
            if service is None or service != before:  # it ran: only what is the same again counts
                again = set(self.standing(chunk).items())
                found = dict(one for one in found.items() if one in again)
            looked += len(found)
            waits += [wait for wait in found.values() if wait is not None]
            if time.thread_time_ns() >= until_ns:
                break
        return TasksLook(
            loop=loop.address,
            service=service if service == first_service else None,
            pending=len(pending),
            looked=looked,
            tasks=tuple(waits),
        )

    def _service(self, ready: int | None) -> Service | None:
        return None if ready is None else self.loops.service(ready)

    # --- one chunk ------------------------------------------------------------------------

    def standing(self, tasks: list[int]) -> dict[int, StandingTask | None]:
        """What each task waits for, None where it does not wait; what is torn is left out."""
        lay = self.tasks.anchors.layout
        raw, missing = self.memory.gather(tasks, lay.task_size)
        words, step = memoryview(raw).cast("Q"), lay.task_size // 8
        waiters, coroutines, names = (
            words[at // 8 :: step].tolist()
            for at in (lay.task_waiter, lay.task_coroutine, lay.task_name)
        )
        whole = [n for n in range(len(tasks)) if n not in missing]
        found: dict[int, StandingTask | None] = {tasks[n]: None for n in whole if not waiters[n]}
        waiting = [n for n in whole if waiters[n]]
        chains = self._chains([coroutines[n] for n in waiting])
        types = self.objects.types_of([waiters[n] for n in waiting])
        told = self._names([names[n] for n in waiting])
        for n, steps, kind, name in zip(waiting, chains, types, told, strict=True):
            if steps is not None and kind is not None and name is not None:
                found[tasks[n]] = StandingTask(
                    tasks[n], coroutines[n], name, steps, waiters[n], kind.address
                )
        return found

    def _names(self, addresses: list[int]) -> list[bytes | None]:
        """What tells tasks apart that were made one after the other at the same address."""
        lay = self.objects.layout
        size = max(lay.str_ascii_size, lay.str_compact_size) + _NAME_BYTES
        found: list[bytes | None] = []
        for piece in self.memory.many(addresses, size):
            kind = self._kind(piece, lay.ob_type)
            if piece is None or kind is None:
                found.append(None)
            elif kind.flags & IS_INT:
                found.append(piece[lay.int_size : lay.int_size + 16])
            elif kind.flags & IS_STR:
                length = word_at(piece, lay.str_length)
                at = lay.str_ascii_size
                found.append(length.to_bytes(8, "little") + piece[at : at + min(length, 56)])
            else:
                found.append(None)
        return found

    def _kind(self, piece: bytes | None, at: int) -> TypeFacts | None:
        try:
            return None if piece is None else self.objects.type_at(word_at(piece, at))
        except Unreadable:
            return None

    # --- awaits ---------------------------------------------------------------------------

    def _chains(self, coroutines: list[int]) -> list[tuple[tuple[int, int, int], ...] | None]:
        """The awaits of each coroutine, outermost first; None where one cannot be read."""
        lay = self.objects.layout
        steps: list[list[tuple[int, int, int]]] = [[] for _ in coroutines]
        torn: set[int] = set()
        # whether its type is that of coroutines, or of what passes on to one; None: unknown
        own_kinds: dict[int, bool | None] = {0: None}
        wrappers: set[int] = set()
        left = list(enumerate(coroutines))
        for _ in range(DEEPEST):
            if not left:
                break
            heads = self.memory.many([address for _, address in left], self.frames.head_size)
            own: list[tuple[int, int, bytes]] = []
            slots: list[tuple[int, Suspended]] = []
            for (n, address), head in zip(left, heads, strict=True):
                at = 0 if head is None else _WORD.unpack_from(head, lay.ob_type)[0]
                if at not in own_kinds:
                    kind = self._kind(head, lay.ob_type)
                    own_kinds[at] = None if kind is None else is_coroutine(kind)
                    if kind is not None and is_wrapper(kind):
                        wrappers.add(at)
                is_own = own_kinds[at]
                if head is None or is_own is None:
                    torn.add(n)
                elif is_own:
                    own.append((n, address, head))
                elif at in wrappers:
                    slots.append((n, Suspended(slot=address + lay.awaitable_wrapped)))
            for n, address, stands in self._suspended(own):
                if stands is None or not stands.code:
                    torn.add(n)
                    continue
                steps[n].append((address, stands.code, stands.instruction))
                if stands.slot:
                    slots.append((n, stands))
            left = list(self._awaited(slots, torn))
        return [None if n in torn else tuple(each) for n, each in enumerate(steps)]

    def _suspended(
        self, own: list[tuple[int, int, bytes]]
    ) -> Iterator[tuple[int, int, Suspended | None]]:
        lay = self.objects.layout
        if lay.pair >= (3, 11):
            for n, address, head in own:
                yield n, address, self.frames.inside(address, head)
            return
        places = [_WORD.unpack_from(head, lay.gen_frame)[0] for _, _, head in own]
        raws = self.memory.many(places, self.frames.own_size)
        for (n, address, head), raw in zip(own, raws, strict=True):
            yield n, address, None if raw is None else self.frames.outside(head, raw)

    def _awaited(
        self, slots: list[tuple[int, Suspended]], torn: set[int]
    ) -> Iterator[tuple[int, int]]:
        pairs = self.memory.many([at.slot - 8 for _, at in slots], 16)
        for (n, at), words in zip(slots, pairs, strict=True):
            if words is None:
                torn.add(n)
            else:
                yield n, self.frames.awaited(at, words)


# --- in words ---------------------------------------------------------------------------------


def stack_of(frames: Frames, task: StandingTask) -> Stack:
    """The awaits of a task, outermost first; as far as they can be read, if it stands there still.

    Raises:
        OSError: no permission, or the process is gone.
    """
    frames_of = frames.codes([(code, instruction) for _, code, instruction in task.steps])
    names = frames.qualnames([coroutine for coroutine, _, _ in task.steps])
    found = []
    for frame, name in zip(frames_of, names, strict=True):
        if frame is None:
            break
        # up to 3.10 only its coroutine has the qualified name; it may be another one's by now
        own = name and base_name(name) == base_name(frame.function)
        found.append(Frame(name if name and own else frame.function, frame.file, frame.line))
    if found:
        return tuple(found)
    try:  # a coroutine of a compiled module has a name at least
        return (Frame(frames.qualname(task.coroutine) or "?", ""),)
    except Unreadable:
        return ()


def future_of(objects: Objects, task: StandingTask) -> str | None:
    """The type of what it waits for, without its module; None when it cannot be read.

    Raises:
        OSError: no permission, or the process is gone.
    """
    try:
        return objects.type_at(task.waiter_type).name.rpartition(".")[2]
    except Unreadable:
        return None


def serves(frames: Frames, task: StandingTask) -> bool:
    """Whether its first coroutine has a stream, as one that serves a connection does.

    Raises:
        Unreadable: it has gone on meanwhile.
        OSError: no permission, or the process is gone.
    """
    if not task.steps:
        return False
    coroutine, code, _ = task.steps[0]
    (variables,) = frames.variables([(frames.inside_of(coroutine), code)])
    return any(kind.name in _STREAMS for kind in variables.values())


def _chunks(tasks: list[int], known: Container[int]) -> Iterator[list[int]]:
    """The tasks a few at a time: known ones beside others from all over the list."""
    old = [task for task in tasks if task in known]
    new = [task for task in tasks if task not in known]
    stride = max(1, len(new) // _CHUNK)
    new = [task for start in range(stride) for task in new[start::stride]]
    for at in range(0, max(len(old), len(new)), _CHUNK):
        yield old[at : at + _CHUNK] + new[at : at + _CHUNK]
