"""What waits for processes that a program has started, and what may read their pipes.

A task that waits for the end of such a process, for its output, or until it reads its input, stands
in a method of asyncio's ``Process``, ``StreamReader`` or ``StreamWriter``: ``self`` there is a
local of a suspended coroutine, hence exact. Who has such an object in a frame, and stands
elsewhere, may read from it later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from waitspy.model.code_origin import base_name
from waitspy.model.stacks import Frame
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Unreadable
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadStacks
from waitspy.remote.type_facts import IS_TYPE
from waitspy.remote.values import StandingTask, TasksLook

_PROCESSES, _STREAMS = "/asyncio/subprocess.py", "/asyncio/streams.py"
_PROCESS, _READER, _WRITER = "Process", "StreamReader", "StreamWriter"
_WAITS = (
    (_PROCESSES, frozenset({"wait", "communicate"}), _PROCESS),
    (_STREAMS, frozenset({"read", "readline", "readuntil", "readexactly"}), _READER),
    (_STREAMS, frozenset({"drain"}), _WRITER),
)
"""Methods in which tasks wait for a process, with their file and the class that they are of."""

_GATHERED = "_GatheringFuture"
_GATHERS = (
    ("/asyncio/taskgroups.py", frozenset({"__aexit__", "_aexit"}), "_tasks"),
    ("/asyncio/tasks.py", frozenset({"wait_for", "_wait"}), ""),
)
"""Functions that wait for tasks: those in an attribute of their first local, or that itself."""

_TASK = "Task"
_FILES = tuple({file for file, _, _ in (*_WAITS, *_GATHERS)})
_MOST_GATHERED = 64
_MOST_ATTRIBUTES = 64  # of one object
_PIPES = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Buffered:
    """A StreamReader, and how much of what was read from its pipe nobody has taken yet."""

    stream: int
    size: int


@dataclass(frozen=True, slots=True)
class ChildTask:
    """A task that waits for the end of a process, or for what comes by a descriptor; or until what
    it ``writes`` to one is read.

    ``pid`` is the process's as the program knows it. ``buffers`` are those of its streams: as long
    as they are the same, nobody has read from them.
    """

    loop: int
    task: StandingTask
    pid: int
    fd: int | None
    buffers: tuple[Buffered, ...]
    writes: bool = False


Holders = AbstractSet[tuple[int, int]]
"""Who has a process in a frame, and its pid."""


@dataclass(frozen=True, slots=True)
class ChildLook:
    """The tasks that wait for processes, and all those that were looked at."""

    tasks: tuple[ChildTask, ...]
    standing: tuple[StandingTask, ...]


@dataclass(frozen=True, slots=True)
class ChildHolders:
    """Who has a process at hand: threads by tid, and tasks by address."""

    threads: Holders = frozenset()
    tasks: Holders = frozenset()


def waits(
    interps: Iterable[InterpreterState], frames: Frames, looks: Sequence[TasksLook]
) -> ChildLook:
    """Who waits for a process, as far as tasks were looked at.

    Raises:
        OSError: no permission, or the process is gone.
    """
    tasks: dict[int, ChildTask] = {}
    for interp in interps:
        children = Children(interp, frames)
        for look in looks:
            tasks.update((one.task.task, one) for one in children.tasks(look.loop, look.tasks))
    return ChildLook(tuple(tasks.values()), tuple(task for look in looks for task in look.tasks))


def holders(
    interps: Iterable[InterpreterState],
    frames: Frames,
    standing: Sequence[StandingTask],
    pids: Collection[int],
    *,
    deep: bool,
) -> ChildHolders:
    """Who has one of the processes with those pids at hand, of all threads and of those tasks;
    where ``deep``, as an attribute of what they have at hand, too.

    Raises:
        Unreadable: something changed.
        OSError: no permission, or the process is gone.
    """
    threads: set[tuple[int, int]] = set()
    tasks: set[tuple[int, int]] = set()
    for interp in interps:
        children = Children(interp, frames)
        every = interp.runtime.threads(interp.address)
        threads |= children.thread_holders(every, pids, deep=deep)
        tasks |= children.task_holders(standing, pids, deep=deep)
    return ChildHolders(frozenset(threads), frozenset(tasks))


class Children:
    """One look at the tasks and threads of one interpreter.

    Raises:
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, frames: Frames) -> None:
        self._interp = interp
        self._frames = frames
        self._objects = interp.objects

    # --- tasks ----------------------------------------------------------------------------

    def tasks(self, loop: int, standing: Sequence[StandingTask]) -> Iterator[ChildTask]:
        """Those of the tasks of a loop that wait for a process; and those that wait for these."""
        found: dict[int, ChildTask] = {}
        places = {task.place: task for task in standing}
        may_wait = {place for place, task in places.items() if self._may_wait(task)}
        standing = [task for task in standing if task.place in may_wait]
        for task in standing:
            with contextlib.suppress(Unreadable):
                one = self._waits(loop, task)
                if one is not None:
                    found[task.task] = one
        yield from found.values()
        for task in standing:
            with contextlib.suppress(Unreadable):
                for awaited in self._awaited(task, found):
                    yield replace(found[awaited], loop=loop, task=task)

    def _may_wait(self, task: StandingTask) -> bool:
        """Whether tasks that stand there may wait for a process, or for others that do."""
        with contextlib.suppress(Unreadable):
            kind = self._objects.type_at(task.waiter_type).name
            if kind.endswith((_GATHERED, _TASK)):
                return True
        return any(
            frame is not None and frame.rooted.endswith(_FILES) for frame in self._lines(task)
        )

    def _lines(self, task: StandingTask) -> list[Frame | None]:
        return self._frames.codes([(code, at) for _, code, at in task.steps])

    def _waits(self, loop: int, task: StandingTask) -> ChildTask | None:
        for coroutine, code, _ in task.steps:
            frame = self._frames.code(code)
            for file, names, kind in _WAITS:
                if not frame.rooted.endswith(file) or base_name(frame.function) not in names:
                    continue
                subject = self._frames.first_local(coroutine)
                if kind not in self._objects.bases(subject):
                    continue
                if kind == _PROCESS:
                    return self._of_process(loop, task, subject)
                return self._of_stream(loop, task, subject, writes=kind == _WRITER)
        return None

    def _of_process(self, loop: int, task: StandingTask, process: int) -> ChildTask:
        attributes = self._objects.attributes(process, {"pid", *_PIPES})
        pid = self._integer(attributes.get("pid"))
        return ChildTask(loop, task, pid, None, self._buffers(attributes))

    def _of_stream(
        self, loop: int, task: StandingTask, stream: int, *, writes: bool
    ) -> ChildTask | None:
        """A stream of asyncio's own loop leads to its descriptor and to the process."""
        get = self._objects.attributes
        transport = get(stream, {"_transport"}).get("_transport", 0)
        pipe = get(transport, {"_fileno", "_protocol"})
        protocol = get(pipe["_protocol"], {"proc"}) if "_protocol" in pipe else {}
        if "proc" not in protocol or "_fileno" not in pipe:
            return None  # a connection
        process = get(protocol["proc"], {"_pid", "_protocol"})
        streams = get(process["_protocol"], _PIPES) if "_protocol" in process else {}
        pid, fd = self._integer(process.get("_pid")), self._integer(pipe["_fileno"])
        return ChildTask(loop, task, pid, fd, self._buffers(streams), writes)

    def _buffers(self, streams: Mapping[str, int]) -> tuple[Buffered, ...]:
        lay = self._objects.layout
        found = []
        for name in _PIPES:
            stream = streams.get(name, 0)
            if stream and _READER in self._objects.bases(stream):
                buffer = self._objects.attributes(stream, {"_buffer"}).get("_buffer", 0)
                size = self._objects.memory.word(buffer + lay.ob_size)
                found.append(Buffered(stream, size))
        return tuple(found)

    def _awaited(self, task: StandingTask, found: Collection[int]) -> Iterator[int]:
        """Which of those tasks it waits for: one that it awaits, or some that it gathers."""
        if task.task in found:
            return
        left = [task.waiter]
        if self._objects.type_at(task.waiter_type).name.endswith(_GATHERED):
            left += self._items(task.waiter, "_children")
        for coroutine, code, _ in task.steps:
            frame = self._frames.code(code)
            for file, names, attribute in _GATHERS:
                if frame.rooted.endswith(file) and base_name(frame.function) in names:
                    first = self._frames.first_local(coroutine)
                    left += self._items(first, attribute)
        yield from (one for one in left if one in found)

    def _items(self, address: int, attribute: str) -> list[int]:
        """What is in a collection, which may be an attribute; else the object itself."""
        if attribute:
            address = self._objects.attributes(address, {attribute}).get(attribute, 0)
        kind = self._objects.type_of(address).name
        if kind == "set":
            return self._objects.set_items(address, _MOST_GATHERED)
        if kind in {"list", "tuple"}:
            return self._objects.sequence(address, _MOST_GATHERED)
        return [address]

    def _integer(self, address: int | None) -> int:
        return self._objects.integer(address) if address else 0

    # --- who may read ---------------------------------------------------------------------

    def thread_holders(
        self, threads: Sequence[Thread], pids: Collection[int], *, deep: bool
    ) -> Holders:
        """The threads that have a Popen of one of those processes in a frame, or a pipe of it."""
        kind = self._interp.attribute_of("subprocess", "Popen")
        if deep:
            words = {t.tid: self._locals(t, []) for t in threads if t.tid is not None}
            return self._holders(self._with_attributes(words), kind, pids)
        rough = {t.tid: self._rough_words(t) for t in threads if t.tid is not None}
        suspects = {tid for tid, _ in self._holders(rough, kind, pids)}
        # there may be leftovers among these words: then its locals tell
        exact = {t.tid: self._locals(t, rough[t.tid]) for t in threads if t.tid in suspects}
        return self._holders(exact, kind, pids)

    def task_holders(
        self, tasks: Sequence[StandingTask], pids: Collection[int], *, deep: bool
    ) -> Holders:
        """The same of tasks and asyncio's Process, by their addresses."""
        held = {task.task: self._held_by_task(task) for task in tasks}
        held = self._with_attributes(held) if deep else held
        kind = self._interp.attribute_of("asyncio.subprocess", _PROCESS)
        return self._holders(held, kind, pids)

    def _with_attributes(self, held: Mapping[int, list[int]]) -> dict[int, list[int]]:
        """The same words, and what attributes of these refer to: of ``self`` in a method, say."""
        words = list({word for some in held.values() for word in some})
        inner: dict[int, list[int]] = {}
        for word, kind in zip(words, self._objects.types_of(words), strict=True):
            if kind is not None and kind.heap and not kind.flags & IS_TYPE:
                with contextlib.suppress(Unreadable):
                    inner[word] = self._objects.attribute_values(word)[:_MOST_ATTRIBUTES]
        return {
            who: [*some, *(value for word in some for value in inner.get(word, ()))]
            for who, some in held.items()
        }

    def _holders(
        self, held: Mapping[int, Sequence[int]], kind: int | None, pids: Collection[int]
    ) -> Holders:
        inside = self._in_cells({word for some in held.values() for word in some})
        words = [*{*inside, *inside.values()}]
        pid_of: dict[int, int] = {}
        for address in self._objects.of_type(words, kind) if kind else ():
            with contextlib.suppress(Unreadable):
                attributes = self._objects.attributes(address, {"pid", *_PIPES})
                pid = self._integer(attributes.pop("pid", None))
                if pid in pids:
                    pid_of.update(dict.fromkeys((address, *attributes.values()), pid))
        pid_of.pop(self._interp.none, None)
        return {
            (who, pid_of[inside[word]])
            for who, some in held.items()
            for word in some
            if inside[word] in pid_of
        }

    def _in_cells(self, words: Collection[int]) -> dict[int, int]:
        """Each of the words with what it leads to: what several functions share is in a cell."""
        found = {word: word for word in words}
        kind = self._interp.attribute_of("types", "CellType")
        for cell in self._objects.of_type(list(found), kind) if kind else ():
            with contextlib.suppress(Unreadable):
                content = self._objects.layout.cell_content
                found[cell] = self._objects.memory.word(cell + content)
        return found

    def _rough_words(self, thread: Thread) -> list[int]:
        with contextlib.suppress(Unreadable):
            return self._frames.held(thread.address)
        return []

    def _locals(self, thread: Thread, otherwise: list[int]) -> list[int]:
        """The locals of a thread's frames; of one that runs, the other words."""
        try:
            return [
                word
                for frame in ThreadStacks(self._frames).frames(thread.address)
                for word in self._frames.locals_of(frame.address, frame.code)
            ]
        except Unreadable:
            return otherwise

    def _held_by_task(self, task: StandingTask) -> list[int]:
        found: list[int] = []
        for coroutine, _, _ in task.steps:
            with contextlib.suppress(Unreadable):
                found += self._frames.coroutine_held(coroutine)
        return [word for word in found if 1 << 16 < word < 1 << 48]
