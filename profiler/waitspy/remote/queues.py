"""What is in a queue of the standard library: ``queue.Queue`` and those that derive from it, and
``queue.SimpleQueue`` in C.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.objects import Objects
from waitspy.remote.type_facts import IS_LIST, TypeFacts

_SIMPLE = "_queue.SimpleQueue"
_DEQUE = "collections.deque"
_ORDERED = "collections.OrderedDict"
_ORDERED_STATE, _ORDERED_SIZE = 88, 112
"""Objects/odictobject.c, ``od_state`` in a PyODictObject, the same from 3.8 to 3.15."""

_UNORDERED = frozenset({"LifoQueue", "PriorityQueue"})
_MOST_ITEMS = 100_000
_TRIES = 4


class QueueMark(NamedTuple):
    """What tells one state of a queue from others: ``size`` is how many items are in it.

    A deque, or an OrderedDict, has a ``counter`` of whatever comes or goes, a SimpleQueue a
    ``position`` that moves when an item is taken.
    """

    state: bytes
    size: int
    counter: int | None = None
    position: int | None = None

    def moved_since(self, earlier: QueueMark) -> tuple[int, int] | None:
        """How many have come to its end since then, and how many have left it, at the most; None
        where that cannot be told.

        Either counts once at least; one that leaves from the middle of a deque counts several times
        (Modules/_collectionsmodule.c, ``deque_remove``).
        """
        if self.counter is None or earlier.counter is None or self.counter < earlier.counter:
            return None
        more, changes = self.size - earlier.size, self.counter - earlier.counter
        return max(0, changes + more) // 2, max(0, changes - more) // 2

    def taken_since(self, earlier: QueueMark, seen: int) -> int:
        """How many items were taken, given how many that must have been: one item may be put in
        again and again, and look as if it had never been taken.
        """
        if self.counter is not None and earlier.counter is not None:
            more = self.size - earlier.size
            return max(0, self.counter - earlier.counter - more) // 2
        return seen if self.position == earlier.position else max(1, seen)


class Queues:
    """Reads queues of one process.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._memory = objects.memory

    def is_simple(self, kind: TypeFacts) -> bool:
        """Whether it is the type of a SimpleQueue whose layout is known."""
        return kind.name == _SIMPLE and kind.basicsize == self._objects.layout.queue_size

    def kept_in(self, address: int) -> int | None:
        """Where the items of a queue are: it is a SimpleQueue itself, else its deque; None: it is
        no queue, or one that does not hand out first what came first.
        """
        kind = self._objects.type_of(address)
        if self.is_simple(kind):
            return address
        names = [self._objects.type_at(base).name for base in kind.mro]
        if "Queue" not in names:
            return None
        held = self._objects.attributes(address, {"queue"}).get("queue")
        return held if held and self._is_deque(held) else None

    def kept_in_list(self, address: int) -> int | None:
        """The list in which a LifoQueue or PriorityQueue keeps its items; None: it is neither.

        In which order they came is not known of it, nor whether one was taken whose address another
        one has now.
        """
        names = {self._objects.type_at(base).name for base in self._objects.type_of(address).mro}
        if names.isdisjoint(_UNORDERED):
            return None
        held = self._objects.attributes(address, {"queue"}).get("queue")
        return held if held and self.is_list(held) else None

    def is_list(self, address: int) -> bool:
        """Whether items lie in a list: in no order that tells which came first."""
        kind = self._objects.type_of(address)
        return bool(kind.flags & IS_LIST) and not kind.heap

    def _is_deque(self, address: int) -> bool:
        return self._objects.type_of(address).name == _DEQUE

    def items(self, address: int) -> list[int] | None:
        """What lies in a SimpleQueue or deque, the oldest first, or in a list; None when that
        cannot be told: it is something else, or did not stay the same for long enough to be read.
        """
        if self.is_list(address):
            return self._of_list(address)
        simple = self.is_simple(self._objects.type_of(address))
        if not simple and not self._is_deque(address):
            return None
        lay = self._objects.layout
        size = lay.queue_size if simple else lay.deque_state + 8
        for _ in range(_TRIES):
            before = self._memory.read(address, size)
            try:
                items = self._simple(before) if simple else self._deque(address, before)
            except Unreadable:
                continue
            if self._memory.read(address, size)[lay.ob_type :] == before[lay.ob_type :]:
                return items
        return None

    def _of_list(self, address: int) -> list[int] | None:
        for _ in range(_TRIES):
            with contextlib.suppress(Unreadable):
                items = self._objects.sequence(address, _MOST_ITEMS)
                if self._objects.sequence(address, _MOST_ITEMS) == items:
                    return items
        return None

    def marks(self, addresses: Sequence[int]) -> list[QueueMark | None]:
        """What is changed by whatever comes into a SimpleQueue, deque or OrderedDict, or is taken
        from it; of many, at little cost. None where that cannot be told.
        """
        lay = self._objects.layout
        size = max(lay.queue_size, lay.deque_state + 8)
        found: list[QueueMark | None] = []
        for raw in self._memory.many(addresses, size):
            try:
                kind = None if raw is None else self._objects.type_at(word_at(raw, lay.ob_type))
            except Unreadable:
                kind = None
            if raw is None or kind is None:
                found.append(None)
            elif kind.name == _DEQUE:
                state = raw[lay.ob_type : lay.deque_state + 8]
                size, counter = word_at(raw, lay.ob_size), word_at(raw, lay.deque_state)
                found.append(QueueMark(state, size, counter=counter))
            elif kind.name == _ORDERED and kind.basicsize == _ORDERED_SIZE:
                found.append(self._ordered(addresses[len(found)], raw))
            elif self.is_simple(kind) and lay.queue_items:  # up to 3.12 only its list changes
                state = raw[lay.ob_type : lay.queue_size]
                size, position = word_at(raw, lay.queue_count), word_at(raw, lay.queue_get_index)
                found.append(QueueMark(state, size, position=position))
            else:
                found.append(None)
        return found

    def _ordered(self, address: int, raw: bytes) -> QueueMark | None:
        used = self._objects.layout.dict_used
        try:
            counter = self._memory.word(address + _ORDERED_STATE)
        except Unreadable:
            return None
        return QueueMark(raw[used : used + 8], word_at(raw, used), counter=counter)

    def parks_at(self, queue: int) -> int | None:
        """The handle (``Locks.wanted``) of a thread that waits for an item of a SimpleQueue: up to
        3.12 that of its lock, later a place in it (Modules/_queuemodule.c).
        """
        lay = self._objects.layout
        at = queue + lay.lock_handle  # the first field of both kinds of object
        return self._memory.word(at) if lay.pair < (3, 13) else at

    def _simple(self, raw: bytes) -> list[int]:
        return self._ring(raw) if self._objects.layout.queue_items else self._list(raw)

    def _list(self, raw: bytes) -> list[int]:
        """3.8 to 3.12: a list, and the index of its first item that was not taken yet."""
        lay = self._objects.layout
        items = self._objects.sequence(word_at(raw, lay.queue_list), 2 * _MOST_ITEMS)
        return items[word_at(raw, lay.queue_list_position) :]

    def _ring(self, raw: bytes) -> list[int]:
        """3.13 and newer: a ring of pointers."""
        lay = self._objects.layout
        count, capacity = word_at(raw, lay.queue_count), word_at(raw, lay.queue_capacity)
        first, at = word_at(raw, lay.queue_get_index), word_at(raw, lay.queue_items)
        if not count <= capacity <= 2 * _MOST_ITEMS or first > capacity:
            raise Torn("a queue that makes no sense")
        if not count:
            return []
        slots = struct.unpack(f"<{capacity}Q", self._memory.read(at, 8 * capacity))
        return list((slots[first:] + slots[:first])[:count])

    def _deque(self, address: int, raw: bytes) -> list[int]:
        if word_at(raw, self._objects.layout.ob_size) > _MOST_ITEMS:
            raise Torn("a deque of unlikely length")
        return self._objects.deque_items(address, _MOST_ITEMS)
