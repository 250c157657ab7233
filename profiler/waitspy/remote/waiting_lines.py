"""The lines in which tasks stand for what others hold, and who has stayed in one between two looks.

A task that has had its turn, and wants another one, may stand at the same lines again and wait for
a future at the same address. The line tells: a deque, or an OrderedDict, counts its changes, and
whoever comes joins at its end. So there is a number of places at its front that nobody can have
come to since the look before.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from waitspy.model.task_waits import TaskHeld
from waitspy.remote.connection_pools import ConnectionPools
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.queues import QueueMark, Queues
from waitspy.remote.values import StandingTask

_MOST_LINES = 64
_MOST_PLACES = 8192  # of one line, that are read
_OF_PRIMITIVES = "_waiters", "_wait_queue"
_OF_QUEUES = "_getters"

ANY_NUMBER = 1 << 32


class Line(NamedTuple):
    """Where a line is, and what it was like at a look."""

    address: int
    mark: QueueMark


class Stay(NamedTuple):
    """What has become of a line since the look before: those of its tasks that are known to have
    stayed in it (None: that nobody can know), and how many have left it at the most.
    """

    stayed: frozenset[int] | None = frozenset()
    left: int = ANY_NUMBER


Lines = Mapping[int, Line | None]
"""By what is waited for; None: it has no line. What is missing could not be read."""

NO_LINE = Stay(None, 0)


class WaitingLines:
    """Reads the lines of one loop.

    Raises:
        OSError: from every method.
    """

    def __init__(self, frames: Frames, pools: ConnectionPools) -> None:
        self._frames = frames
        self._objects = frames.objects
        self._queues = Queues(frames.objects)
        self._pools = pools

    def look(self, waiting: Mapping[int, tuple[TaskHeld, Sequence[StandingTask]]]) -> Lines:
        """The lines as they are now, of what tasks wait for; those in which the most do."""
        most = sorted(waiting, key=lambda subject: -len(waiting[subject][1]))[:_MOST_LINES]
        ways: dict[int, int] = {}
        for subject in most:
            with contextlib.suppress(Unreadable):
                ways[subject] = self._line(subject, waiting[subject][0])
        marks = self._queues.marks(list(ways.values()))
        return {
            subject: Line(address, mark) if mark is not None else None
            for (subject, address), mark in zip(ways.items(), marks, strict=True)
            if mark is not None or not address
        }

    def stay(self, subject: int, before: Lines, now: Lines, tasks: Sequence[StandingTask]) -> Stay:
        """Which of the tasks that wait for something have stayed in its line between two looks."""
        was, line = before.get(subject), now.get(subject)
        if line is None:
            return NO_LINE if subject in now else Stay()
        if was is None or was.address != line.address or not was.mark.size:
            return Stay()
        moved = line.mark.moved_since(was.mark)
        if moved is None:
            return Stay()
        joined, left = moved
        old = min(line.mark.size - joined, _MOST_PLACES)
        stayed: frozenset[int] = frozenset()
        if old > 0:
            with contextlib.suppress(Unreadable):
                stayed = frozenset(self._owners(self._first(line, old), tasks))
        return Stay(stayed, left)

    # --- one line -------------------------------------------------------------------------

    def _line(self, subject: int, kind: TaskHeld) -> int:
        """Where those who wait for something stand; zero: in no line."""
        if kind != "connections":
            found = self._objects.attributes(subject, _OF_PRIMITIVES)
            for name in _OF_PRIMITIVES:
                if name in found:
                    return found[name]
            raise Torn("nobody waits for it")
        if "Queue" in self._objects.bases(subject):
            return self._objects.attributes(subject, {_OF_QUEUES}).get(_OF_QUEUES, 0)
        return self._pools.line(subject)

    def _first(self, line: Line, count: int) -> list[int]:
        """The first ones in a line, as it is known to be; of an OrderedDict, its keys."""
        kind = self._objects.type_of(line.address)
        if kind.name == "collections.deque":
            first = self._objects.deque_items(line.address, count)
        else:
            first = [key for key, _ in self._objects.dict_items(line.address, _MOST_PLACES)][:count]
        if self._queues.marks([line.address]) != [line.mark]:
            raise Torn("a line that moves")
        return first

    def _owners(self, items: Iterable[int], tasks: Iterable[StandingTask]) -> set[int]:
        """The tasks that stand there: by itself, its future, or an object in whose method it is."""
        own = {key: task.task for task in tasks for key in (task.task, task.waiter)}
        found = {own[item] for item in items if item in own}
        others = [item for item in items if item not in own]
        if others:
            for task in tasks:
                if task.task not in found:
                    own.update((first, task.task) for first in self._firsts(task))
            for parts in self._parts(others):
                found.update(own[part] for part in parts if part in own)
        return found

    def _firsts(self, task: StandingTask) -> Iterable[int]:
        for coroutine, _, _ in task.steps:
            with contextlib.suppress(Unreadable):
                yield self._frames.first_local(coroutine)

    def _parts(self, items: Sequence[int]) -> Iterable[tuple[int, ...]]:
        """Each of them, or what is in it where it is a pair."""
        lay = self._objects.layout
        for item, kind in zip(items, self._objects.types_of([*items]), strict=True):
            if kind is not None and kind.name == "tuple":
                with contextlib.suppress(Unreadable):
                    pair = self._objects.memory.read(item + lay.tuple_items, 16)
                    yield struct.unpack("<QQ", pair)
            else:
                yield (item,)
