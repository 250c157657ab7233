"""Which frames stand in the ``try`` block behind a call: who seems to have taken what others want.

``lock.acquire()`` with ``try: … finally: lock.release()`` behind it leaves no trace in a frame but
where it stands. So of those that wait in such a call it is read where the block behind it begins,
and of other frames of the same code whether they are in it, and lead to the same object by the same
variable. That is a hint: it may have been given back already. Code that never gives anything back
takes it as a signal, as a worker does that waits for work.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from waitspy.remote.frames import Frames
from waitspy.remote.memory import Unreadable
from waitspy.remote.with_blocks import GENERATOR_MANAGERS, Entered, WithBlocks

_MOST_BEHIND = 40
"""Bytes of code between the call and its block, from 3.11 on: the result is dropped, or looked at;
up to 3.10, where instructions have no caches, they are fewer."""

_GIVES_BACK = "release"
_MOST_VARIABLES = 8
_MOST_NAMES = 1 << 10


class WaitingCall(NamedTuple):
    """A frame that waits in a call: its address, its code, where in it, and for what object."""

    frame: int
    code: int
    instruction: int
    subject: int


class _Way(NamedTuple):
    """How a frame leads to an object: by which variable, and which attribute of that ("" for none);
    no variable (-1): it is a global one, or one of a function around it.
    """

    variable: int
    attribute: str


class TryBlocks:
    """Finds them among frames of one process.

    Raises:
        Unreadable: from every method: the frame is gone.
        OSError: from every method.
    """

    def __init__(self, frames: Frames, blocks: WithBlocks) -> None:
        self._frames = frames
        self._objects = frames.objects
        self._blocks = blocks

    def has_one(self, call: WaitingCall) -> bool:
        """Whether there is such a block behind a call, and its code gives back what it takes."""
        if self._blocks.try_behind(call.code, call.instruction, _MOST_BEHIND) is None:
            return False
        memory, lay = self._objects.memory, self._objects.layout
        names = self._objects.sequence(memory.word(call.code + lay.code_names), _MOST_NAMES)
        return _GIVES_BACK in self._objects.texts(names)

    def has_taken(self, frame: int, call: WaitingCall) -> bool:
        """Whether another frame of that code seems to have what is waited for in the call."""
        target = self._blocks.try_behind(call.code, call.instruction, _MOST_BEHIND)
        if target is None or not self._blocks.is_in_try(frame, target):
            return False
        way = next(self._ways(call), _Way(-1, ""))
        return way.variable < 0 or self._at(frame, call.code, way) == call.subject

    def have_taken(self, entered: Iterable[Entered], call: WaitingCall) -> bool:
        """The same of the generators of context managers (``contextlib``) that somebody is in."""
        for one in entered:
            with contextlib.suppress(Unreadable):
                if self._objects.type_of(one.held).name in GENERATOR_MANAGERS:
                    made = self._objects.attributes(one.held, {"gen"}).get("gen")
                    frame = self._frames.inside_of(made) if made else 0
                    same = frame and self._frames.stands(frame)[0] == call.code
                    if same and self.has_taken(frame, call):
                        return True
        return False

    def _ways(self, call: WaitingCall) -> Iterator[_Way]:
        count = len(self._frames.locals_of(call.frame, call.code)[:_MOST_VARIABLES])
        for n in range(count):
            if self._variable(call.frame, call.code, n) == call.subject:
                yield _Way(n, "")
        for n in range(count):
            with contextlib.suppress(Unreadable):
                word = self._variable(call.frame, call.code, n)
                if word and self._objects.type_of(word).heap:
                    for name, value in self._objects.attributes(word).items():
                        if value == call.subject:
                            yield _Way(n, name)

    def _at(self, frame: int, code: int, way: _Way) -> int:
        word = self._variable(frame, code, way.variable)
        if way.attribute and word:
            return self._objects.attributes(word, {way.attribute}).get(way.attribute, 0)
        return word

    def _variable(self, frame: int, code: int, n: int) -> int:
        """What a variable refers to; of one that inner functions use, too, what is in its cell."""
        words = self._frames.locals_of(frame, code)
        word = words[n] if n < len(words) else 0
        with contextlib.suppress(Unreadable):
            if word and self._objects.type_of(word).name == "cell":
                return self._objects.memory.word(word + self._objects.layout.cell_content)
        return word
