"""The tasks that make room in a full queue of asyncio, or stream of AnyIO: those that take from it.

One that was seen to wait for an item of it during the recording, and has it in a variable still,
does so for sure. Of others it is a hint: one that was seen there and has it no longer in a
variable may have taken from another queue at the same address; one that has it in a variable, and
whose code takes from something and puts into nothing, is likely to take from it. Where none of both
is there, and an exception has ended those that were seen to take, it is told where: what it keeps
has the queue still, so that it is the same one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from waitspy.model.stacks import Frame
from waitspy.model.wait_for import How
from waitspy.remote.awaited_tasks import AwaitedTasks
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Unreadable
from waitspy.remote.references import References
from waitspy.remote.type_facts import TypeFacts
from waitspy.remote.values import StandingTask


class _Row(NamedTuple):
    """Something that holds a number of items at the most: the file, the method in which tasks wait
    for room, and in which for an item; the attribute of both ends that is the same (without one,
    both are the same object), and the line in which those stand who wait for room.
    """

    file: str
    puts: str
    takes: str
    shared: str
    line: str


_ROWS = (
    _Row("/asyncio/queues.py", "put", "get", "", "_putters"),
    _Row("/anyio/streams/memory.py", "send", "receive", "_state", "waiting_senders"),
)
LINES = frozenset(row.line for row in _ROWS)

_TAKES, _GIVES = frozenset({"get", "get_nowait"}), frozenset({"put", "put_nowait"})
_RECEIVES, _SENDS = "MemoryObjectReceiveStream", "MemoryObjectSendStream"
"""Who has this end of a stream of AnyIO takes from it, and who has that one puts into it, unless it
has both: then it has made them for others."""

_EVENT = 3  # the method of AnyIO, its event, and that of asyncio
_MOST_KNOWN = 1024
_MOST_NEW = 32  # of one look
_MOST_NAMES = 1 << 10
_MOST_FOUND = 64
_MOST_ENDED = 8


class Taker(NamedTuple):
    """A task that takes, where it stands around that, and how it is known; ``task`` is zero where
    it has ended there.
    """

    task: int
    at: Frame
    how: How


class _SeenTaking(NamedTuple):
    queue: int
    at: Frame


_Key = tuple[int, int, bytes]


def _key(task: StandingTask) -> _Key:
    return task.task, task.coroutine, task.name


def waits_for_room(frame: Frame) -> bool:
    """Whether a task with such a coroutine waits for room."""
    return any(frame.is_one_of(row.file, row.puts) for row in _ROWS)


def _takes_from(name: str, code: Sequence[str]) -> bool:
    """Whether code takes from what it has under that name: of an attribute, that is the next that
    it uses after it, as in ``self.jobs.get()``; a variable is named elsewhere.
    """
    if not name:
        return True
    return any(one == name and following in _TAKES for one, following in pairwise(code))


class TaskTakers:
    """Finds them among the tasks of one interpreter; keeps who was seen to take.

    Raises:
        OSError: from every method.
    """

    def __init__(self, frames: Frames, awaited: AwaitedTasks) -> None:
        self._frames = frames
        self._objects = frames.objects
        self._awaited = awaited
        self._seen: dict[_Key, _SeenTaking] = {}
        self._names: dict[int, Sequence[str]] = {}

    def note(self, tasks: Iterable[StandingTask]) -> None:
        """Learns which of these tasks wait for an item, as it is now; of new ones, some."""
        rows: dict[int, _Row | None] = {}
        depths: dict[int, int] = {}
        left = _MOST_NEW
        for task in tasks:
            steps = task.steps
            if not steps:
                continue
            inner = steps[-1][1]
            if inner not in depths:
                depths[inner] = self._depth(inner)
            depth = depths[inner]
            if not depth or depth >= len(steps):
                continue  # what is in no other coroutine is a task of its own, for one item
            code = steps[-depth][1]
            if code not in rows:
                rows[code] = self._row(code)
            row = rows[code]
            if row is None or _key(task) in self._seen:
                continue
            with contextlib.suppress(Unreadable):
                queue = self._both_ends(row, self._frames.first_local(steps[-depth][0]))
                if queue:
                    at = self._frames.code(*steps[-depth - 1][1:])
                    self._seen[_key(task)] = _SeenTaking(queue, at)
                    left -= 1
            if not left:
                break
        for key in list(self._seen)[:-_MOST_KNOWN]:
            del self._seen[key]

    def wanted(self, coroutine: int, code: int) -> int:
        """What a coroutine waits for room in; zero: none."""
        with contextlib.suppress(Unreadable):
            frame = self._frames.code(code)
            for row in _ROWS:
                if frame.is_one_of(row.file, row.puts):
                    return self._both_ends(row, self._frames.first_local(coroutine))
        return 0

    def of(
        self, queue: int, tasks: Sequence[StandingTask], puts: Collection[int], until_ns: int
    ) -> list[Taker]:
        """Those of the tasks that take from it, as far as this thread's CPU time allows: those that
        do so for sure, else those that seem to, else where those have ended that did. Who ``puts``
        does not take meanwhile.
        """
        seen = {key: one for key, one in self._seen.items() if one.queue == queue}
        standing = {_key(task): task for task in tasks if task.task not in puts}
        sure: list[Taker] = []
        likely: list[Taker] = []
        ended = [key for key in seen if key not in standing and not self._is_pending(key)]
        for key, one in seen.items():
            if key in standing:
                has = any(self._has(step, queue) for step in standing[key].steps)
                (sure if has else likely).append(Taker(key[0], one.at, "takes" if has else "reach"))
        if sure:
            return sure[:_MOST_FOUND]
        others = [task for key, task in standing.items() if key not in seen]
        likely += self._likely(queue, others, until_ns)
        if likely or len(ended) < len(seen) or time.thread_time_ns() >= until_ns:
            return likely[:_MOST_FOUND]
        ends = (self._end(key, queue) for key in ended[-_MOST_ENDED:])
        return [Taker(0, at, "ended") for at in ends if at is not None][:1]

    # --- who waits for an item ------------------------------------------------------------

    def _depth(self, code: int) -> int:
        """The how manyth from within may be the coroutine that takes; zero: none."""
        with contextlib.suppress(Unreadable):
            frame = self._frames.code(code)
            if frame.is_one_of(_ROWS[0].file, _ROWS[0].takes):
                return 1
            return _EVENT if frame.is_one_of("/asyncio/locks.py", "wait") else 0
        return 0

    def _row(self, code: int) -> _Row | None:
        """In what a coroutine of that code waits for an item."""
        with contextlib.suppress(Unreadable):
            frame = self._frames.code(code)
            return next((row for row in _ROWS if frame.is_one_of(row.file, row.takes)), None)
        return None

    def _both_ends(self, row: _Row, end: int) -> int:
        if row.shared:
            return self._objects.attributes(end, {row.shared}).get(row.shared, 0)
        return end if self._is_queue(end) else 0

    def _is_queue(self, address: int) -> bool:
        return "Queue" in self._objects.bases(address)

    # --- who takes ------------------------------------------------------------------------

    def _has(self, step: tuple[int, int, int], queue: int) -> bool:
        """Whether a coroutine has it."""
        with contextlib.suppress(Unreadable):
            return any(True for _ in self._names_of(step, queue))
        return False

    def _names_of(self, step: tuple[int, int, int], queue: int) -> Iterator[str]:
        """As what a coroutine has it: a variable, or the end of it from which one takes (no name);
        an attribute of the first variable: ``self``, in a method.
        """
        frame = self._frames.inside_of(step[0])
        variables: Mapping[int, TypeFacts] = {}
        if frame:
            (variables,) = self._frames.variables([(frame, step[1])])
        kinds = {kind.name for kind in variables.values() if kind.heap}
        for n, (word, kind) in enumerate(variables.items()):
            if word == queue:
                yield ""
            elif kind.heap and kind.name == _RECEIVES and _SENDS not in kinds:
                if queue in self._objects.attributes(word).values():
                    yield ""
            elif kind.heap and n == 0 and kind.name not in {_RECEIVES, _SENDS}:
                for name, value in self._objects.attributes(word).items():
                    if value == queue:
                        yield name

    def _likely(self, queue: int, tasks: Sequence[StandingTask], until_ns: int) -> list[Taker]:
        """Those whose code takes from what they have it in, and never puts."""
        found: list[Taker] = []
        of_stream = not self._is_queue(queue)
        for task in tasks:
            if self._joins(task):
                continue
            for step in task.steps:
                code = self._code_names(step[1])
                if not of_stream and (_TAKES.isdisjoint(code) or not _GIVES.isdisjoint(code)):
                    continue
                if time.thread_time_ns() >= until_ns:
                    return found
                with contextlib.suppress(Unreadable):
                    names = self._names_of(step, queue)
                    if any(of_stream or _takes_from(name, code) for name in names):
                        found.append(Taker(task.task, self._frames.code(*step[1:]), "reach"))
                        break
        return found

    def _joins(self, task: StandingTask) -> bool:
        """Whether a task waits until others have done what is in a queue."""
        with contextlib.suppress(Unreadable):
            frames = (self._frames.code(code) for _, code, _ in task.steps)
            return any(frame.is_one_of(_ROWS[0].file, "join") for frame in frames)
        return False

    def _code_names(self, code: int) -> Sequence[str]:
        """The names that code uses, in the order in which they first come in it."""
        if code not in self._names:
            names: list[str | None] = []
            with contextlib.suppress(Unreadable):
                names = self._objects.names_used(code, _MOST_NAMES)
            self._names[code] = [name for name in names if name]
            if len(self._names) > _MOST_KNOWN:
                del self._names[next(iter(self._names))]
        return self._names.get(code, ())

    # --- who has ended --------------------------------------------------------------------

    def _is_pending(self, key: _Key) -> bool:
        """Whether the task that was seen there is not done; it may run. True where that cannot be
        told.
        """
        with contextlib.suppress(Unreadable):
            return self._awaited.is_pending(key[0])
        return True

    def _end(self, key: _Key, queue: int) -> Frame | None:
        """Where it had that queue when an exception ended it, if that is kept."""
        refers = References(self._frames)
        for frame, code, instruction in refers.add_ended([self._awaited.error(key[0])]):
            with contextlib.suppress(Unreadable):
                if queue in self._frames.locals_of(frame, code):
                    return self._frames.code(code, instruction)
        return None
