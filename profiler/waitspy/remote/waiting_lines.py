"""The lines in which tasks stand for what others hold, and who has stayed in one between two looks.

A task that has had its turn, and wants another one, may stand at the same lines again and wait for
a future at the same address. The line tells: a deque, or an OrderedDict, counts its changes, and
whoever comes joins at its end. So there is a number of places at its front that nobody can have
come to since the look before. A list counts nothing, but has an order: who was before another one,
and is behind it, has come again.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from waitspy.model.task_waits import TaskHeld
from waitspy.remote.connection_pools import ConnectionPools
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.queues import QueueMark, Queues
from waitspy.remote.task_takers import LINES as TAKEN_FROM
from waitspy.remote.values import StandingTask

_MOST_LINES = 64
_MOST_PLACES = 8192  # of one line, that are read
_OF_PRIMITIVES = "_waiters", "_wait_queue", *TAKEN_FROM
_INSIDE = "_block"  # the semaphore that a lock of Tornado's is made of
_OF_QUEUES = "_getters"

ANY_NUMBER = 1 << 32


class Line(NamedTuple):
    """Where a line is, and what it was like at a look."""

    address: int
    mark: QueueMark


class Order(NamedTuple):
    """A list that counts nothing: the tasks that stand in it, the first ones first, each with its
    place there, the address of an object.
    """

    places: tuple[tuple[int, int], ...]


class Stay(NamedTuple):
    """What has become of a line since the look before: those of its tasks that are known to have
    stayed in it (None: that nobody can know), and how many have left it at the most.
    """

    stayed: frozenset[int] | None = frozenset()
    left: int = ANY_NUMBER


Lines = Mapping[int, Sequence[Line] | Order]
"""By what is waited for; empty: it has no line. What is missing could not be read."""

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
        ways: dict[int, list[int]] = {}
        found: dict[int, Sequence[Line] | Order] = {}
        for subject in most:
            with contextlib.suppress(Unreadable):
                kind, tasks = waiting[subject]
                ways[subject] = self._lines(subject, kind)
                if len(ways[subject]) == 1 and self._queues.is_list(ways[subject][0]):
                    found[subject] = self._order(ways.pop(subject)[0], tasks)
        marks = iter(self._queues.marks([line for lines in ways.values() for line in lines]))
        for subject, lines in ways.items():
            mine = [Line(line, mark) for line, mark in zip(lines, marks, strict=False) if mark]
            if len(mine) == len(lines):
                found[subject] = mine
        return found

    @staticmethod
    def count(lines: Sequence[Line] | Order | None) -> int | None:
        """How many stand in these lines; None where that is not known."""
        if not lines or isinstance(lines, Order):
            return None
        return sum(line.mark.size for line in lines)

    def stay(self, subject: int, before: Lines, now: Lines, tasks: Sequence[StandingTask]) -> Stay:
        """Which of the tasks that wait for something have stayed in its line between two looks."""
        was, lines = before.get(subject), now.get(subject)
        if lines is not None and not isinstance(lines, Order) and not lines:
            return NO_LINE
        if was is None or lines is None:
            return Stay()
        if isinstance(lines, Order):
            return _in_order(was, lines) if isinstance(was, Order) else Stay()
        if isinstance(was, Order):
            return Stay()
        known = {line.address: line.mark for line in was}
        stayed, left = set[int](), 0
        for line in lines:
            mine = self._stay(line, known.pop(line.address, None), tasks)
            stayed |= mine.stayed or set()
            left += mine.left
        return Stay(frozenset(stayed), ANY_NUMBER if known else left)

    def _stay(self, line: Line, was: QueueMark | None, tasks: Sequence[StandingTask]) -> Stay:
        moved = line.mark.moved_since(was) if was is not None and was.size else None
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

    def _lines(self, subject: int, kind: TaskHeld) -> list[int]:
        """Where those who wait for something stand; empty: in no line."""
        if kind != "connections":
            found = self._objects.attributes(subject, {*_OF_PRIMITIVES, _INSIDE})
            if _INSIDE in found:
                found = self._objects.attributes(found[_INSIDE], _OF_PRIMITIVES)
            for name in _OF_PRIMITIVES:
                if name in found:
                    return [found[name]]
            raise Torn("nobody waits for it")
        if "Queue" in self._objects.bases(subject):
            return [*self._objects.attributes(subject, {_OF_QUEUES}).values()]
        return self._pools.lines(subject)

    def _order(self, address: int, tasks: Sequence[StandingTask]) -> Order:
        """The order of tasks in a list: of each, a coroutine is in a method of what lies there."""
        places = {item: n for n, item in enumerate(self._objects.sequence(address, _MOST_PLACES))}
        steps: dict[tuple[int, ...], int | None] = {}
        found: list[tuple[int, int, int]] = []
        for task in tasks:
            if task.place not in steps:
                firsts = enumerate(self._firsts(task))
                steps[task.place] = next((n for n, first in firsts if first in places), None)
            step = steps[task.place]
            if step is not None:
                with contextlib.suppress(Unreadable):
                    first = self._frames.first_local(task.steps[step][0])
                    found.append((places.get(first, _MOST_PLACES), task.task, first))
        found = [one for one in found if one[0] < _MOST_PLACES]
        return Order(tuple((task, first) for _, task, first in sorted(found)))

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
                    own.update((first, task.task) for first in self._firsts(task) if first)
            for parts in self._parts(others):
                found.update(own[part] for part in parts if part in own)
        return found

    def _firsts(self, task: StandingTask) -> Iterator[int]:
        """The first local of each coroutine of a task; zero: it cannot be read."""
        for coroutine, _, _ in task.steps:
            first = 0
            with contextlib.suppress(Unreadable):
                first = self._frames.first_local(coroutine)
            yield first

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


def _in_order(before: Order, now: Order) -> Stay:
    """Who stands in the same place as before, and behind nobody who was behind it. All of them may
    have come again in the same order: that cannot be told.
    """
    was = {place: n for n, place in enumerate(before.places)}
    stayed: set[int] = set()
    last = -1
    for place in now.places:
        n = was.get(place, -1)
        if n > last:
            stayed.add(place[0])
        last = max(last, n)
    return Stay(frozenset(stayed), len(was) - len(stayed))
