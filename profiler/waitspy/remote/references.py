"""Whether nobody but those who wait for something refers to it: then nobody is left to give it.

An object knows how many refer to it, not who. What those who wait refer to can be counted: by the
variables and value stacks of their frames, and by whatever nobody else refers to either. Where that
is all there is, no other code can ever reach it. What is not known here counts as somebody else's,
and so does what a weak reference leads to.

Frames that have ended still refer to things, as long as the exception that ended them is kept: with
the task that it ended, say. They do nothing any more.
"""

from __future__ import annotations

import contextlib
import struct
from collections import Counter
from collections.abc import Iterable, Iterator

from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.type_facts import IS_DICT, IS_LIST, IS_TUPLE, TypeFacts

_MOST_SLOTS = 1 << 12
_MOST_OBJECTS = 256  # that are looked into
_MOST_KNOWN = 4096
_MOST_ITEMS = 256
_DEEPEST = 64

_FUTURE_ITER = "FutureIter"
_ITER_FUTURE = 16  # Modules/_asynciomodule.c, futureiterobject: what it was made for
_TRACEBACK, _TRACEBACK_BEFORE = 40, 32  # Include/cpython/pyerrors.h, PyException_HEAD; to 3.10
_TRACEBACK_NEXT, _TRACEBACK_FRAME = 16, 24  # Include/cpython/traceback.h
_FRAME_INSIDE = 24  # Include/internal/pycore_frame.h, struct _frame from 3.11 on
_OWNED_BY_OBJECT = 2  # the same, enum _frameowner: nothing runs in it any more
_ENDED = frozenset({1, 3, 4})  # Include/cpython/frameobject.h of 3.10: returned, raised, cleared

_SETS = frozenset({"set", "frozenset"})
_REFER = _SETS | {_FUTURE_ITER, "method", "cell", "deque"}
"""Types in C whose instances are looked into, besides lists, tuples and dicts."""


def _may_refer(kind: TypeFacts) -> bool:
    known = kind.flags & (IS_LIST | IS_TUPLE | IS_DICT) or kind.heap
    return bool(known) or kind.name.rpartition(".")[2] in _REFER


class References:
    """Counts, for one look, what the frames of some who wait refer to.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._objects = frames.objects
        self._memory = frames.objects.memory
        self._layout = frames.objects.layout
        self._counted: Counter[int] = Counter()
        self._expanded: set[int] = set()
        self._left = _MOST_OBJECTS

    def add(self, address: int) -> None:
        """One of those who wait is known to refer to that object."""
        self._counted[address] += 1

    def add_suspended(self, coroutine: int) -> None:
        """What a suspended coroutine has in its variables, and on its value stack."""
        begin, end = self._frames.held_between(coroutine)
        if end > begin:
            self._add(self._memory.read(begin, min(end - begin, 8 * _MOST_SLOTS)))

    def add_variables(self, frame: int, code: int) -> None:
        """What a frame has in its variables: a thread may be in it."""
        count = self._frames.local_count(frame, code)
        if not 0 <= count <= _MOST_SLOTS:
            raise Torn("a frame of unlikely size")
        if count:
            self._add(self._memory.read(frame + self._layout.frame_locals, 8 * count))

    def add_items(self, sequence: int) -> None:
        """What a tuple holds that is of those who wait, whoever else has it, too."""
        for item in self._objects.sequence(sequence, _MOST_ITEMS):
            self.add(item)

    def _add(self, raw: bytes) -> None:
        words = struct.unpack(f"<{len(raw) // 8}Q", raw)
        # from 3.14 on, tags in the lowest bits say that a slot only borrows what it shows
        self._counted.update(word for word in words if word and not word & 7)

    # --- what was counted -----------------------------------------------------------------

    def count(self, address: int) -> int:
        """How many refer to an object."""
        return self._count_in(self._memory.read(address, 8))

    def _count_in(self, raw: bytes) -> int:
        # from 3.12 on half a word, the highest bits of which say that it lives for ever
        return word_at(raw, 0, "I") if self._layout.pair >= (3, 12) else word_at(raw, 0)

    def are_all_of(self, addresses: Iterable[int]) -> bool:
        """Whether nothing else refers to these objects."""
        self._expand()
        return all(self._is_private(one, self._objects.type_of(one)) for one in addresses)

    def known(self) -> list[int]:
        """The objects that are referred to."""
        return list(self._counted)

    def _is_private(self, address: int, kind: TypeFacts) -> bool:
        if self.count(address) != self._counted[address]:
            return False
        return not (kind.weaklistoffset and self._memory.word(address + kind.weaklistoffset))

    def _expand(self) -> None:
        """Adds what private objects refer to, until nothing new is known."""
        for _ in range(_DEEPEST):
            left = [one for one in self._counted if one not in self._expanded][:_MOST_KNOWN]
            heads = zip(left, self._memory.many(left, 8), strict=True)
            new = [one for one, raw in heads if raw and self._count_in(raw) == self._counted[one]]
            if not new:
                break
            for one, kind in zip(new, self._objects.types_of(new), strict=True):
                self._expanded.add(one)
                if kind is None or not _may_refer(kind):
                    continue
                if self._left <= 0:
                    return
                self._left -= 1
                with contextlib.suppress(Unreadable):
                    if self._is_private(one, kind):
                        self._counted.update(list(self._referents(one, kind)))

    def _referents(self, address: int, kind: TypeFacts) -> Iterator[int]:
        """What an object refers to, as far as it is of a kind that is known."""
        name = kind.name.rpartition(".")[2]
        if name == _FUTURE_ITER:
            yield self._memory.word(address + _ITER_FUTURE)
        elif name == "method" and not kind.heap:
            yield self._memory.word(address + self._layout.method_self)
        elif name == "cell" and not kind.heap:
            yield self._memory.word(address + self._layout.cell_content)
        elif kind.flags & (IS_LIST | IS_TUPLE):
            yield from self._objects.sequence(address, _MOST_ITEMS)
        elif name in _SETS and not kind.heap:
            yield from self._objects.set_items(address, _MOST_ITEMS)
        elif kind.name == "collections.deque":
            yield from self._objects.deque_items(address, _MOST_ITEMS)
        elif kind.flags & IS_DICT and not kind.heap:
            yield from (value for _, value in self._objects.dict_items(address, _MOST_ITEMS))
        else:
            yield from self._of_instance(address, kind)

    def _of_instance(self, address: int, kind: TypeFacts) -> Iterator[int]:
        """The dict of an instance, if it has one, else its attributes; and its slots."""
        made = self._objects.made_dict(address)
        if made:
            yield made
        else:
            yield from self._objects.attribute_values(address)
        for name, at in self._objects.members(kind).items():
            if not name.startswith("__"):  # types in C say so where their dicts are
                yield self._memory.word(address + at)

    # --- what has ended -------------------------------------------------------------------

    def add_ended(self, exceptions: Iterable[int]) -> list[tuple[int, int, int]]:
        """What the frames have in their variables that these exceptions have ended; each of the
        frames is returned with its code and the instruction at which it ended.
        """
        found: dict[int, tuple[int, int, int]] = {}
        for exception in exceptions:
            with contextlib.suppress(Unreadable):
                for frame in self._ended_by(exception):
                    if frame not in found:
                        code, instruction = self._frames.stands(frame)
                        self.add_variables(frame, code)
                        found[frame] = frame, code, instruction
        return list(found.values())

    def _ended_by(self, exception: int) -> Iterator[int]:
        bases = self._objects.bases(exception)
        at = _TRACEBACK if self._layout.pair >= (3, 11) else _TRACEBACK_BEFORE
        traceback = self._memory.word(exception + at) if "BaseException" in bases else 0
        for _ in range(_DEEPEST):
            if not traceback:
                break
            if self._objects.type_of(traceback).name != "traceback":
                raise Torn("no traceback")
            frame = self._ended_frame(self._memory.word(traceback + _TRACEBACK_FRAME))
            if frame:
                yield frame
            traceback = self._memory.word(traceback + _TRACEBACK_NEXT)

    def _ended_frame(self, frame: int) -> int:
        """Where the variables of a frame object lie in which nothing can run any more, else zero:
        who has caught an exception is in its traceback, too.
        """
        lay, memory = self._layout, self._memory
        if self._objects.type_of(frame).name != "frame":
            raise Torn("no frame")
        if lay.pair >= (3, 11):
            inside = memory.word(frame + _FRAME_INSIDE)
            owner = word_at(memory.read(inside + lay.frame_owner, 1), 0, "b")
            return inside if owner == _OWNED_BY_OBJECT else 0
        if lay.pair == (3, 10):
            state = word_at(memory.read(frame + lay.frame_state, 1), 0, "b")
            return frame if state in _ENDED else 0
        runs = memory.read(frame + lay.frame_executing, 1)[0]
        waits = memory.word(frame + lay.frame_stack_top)
        return 0 if runs or waits else frame
