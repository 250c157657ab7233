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
    """A call in which others wait for an object: where it is, and the ``try`` block behind it; by
    which variable of theirs, and which attribute of that ("" for none), the object is reached. No
    variable (-1): it is a global one, or one of a function around it.
    """

    code: int
    instruction: int
    subject: int
    block: int
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

    def call(self, frame: int, code: int, instruction: int, subject: int) -> WaitingCall | None:
        """The call in which a frame waits for that; None: there is no such block behind it, or its
        code does not give back what it takes.
        """
        block = self._blocks.try_behind(code, instruction, _MOST_BEHIND)
        if block is None or _GIVES_BACK not in self._objects.names_used(code, _MOST_NAMES):
            return None
        way = next(self._ways(frame, code, subject), (-1, ""))
        return WaitingCall(code, instruction, subject, block, *way)

    def has_taken(self, frame: int, call: WaitingCall) -> bool:
        """Whether another frame of that code seems to have what is waited for in the call."""
        if not self._blocks.is_in_try(frame, call.block):
            return False
        return call.variable < 0 or self._at(frame, call) == call.subject

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

    def _ways(self, frame: int, code: int, subject: int) -> Iterator[tuple[int, str]]:
        """The variables, and attributes of these, by which a frame leads to an object."""
        count = len(self._frames.locals_of(frame, code)[:_MOST_VARIABLES])
        for n in range(count):
            if self._variable(frame, code, n) == subject:
                yield n, ""
        for n in range(count):
            with contextlib.suppress(Unreadable):
                word = self._variable(frame, code, n)
                if word and self._objects.type_of(word).heap:
                    for name, value in self._objects.attributes(word).items():
                        if value == subject:
                            yield n, name

    def _at(self, frame: int, call: WaitingCall) -> int:
        word = self._variable(frame, call.code, call.variable)
        if call.attribute and word:
            return self._objects.attributes(word, {call.attribute}).get(call.attribute, 0)
        return word

    def _variable(self, frame: int, code: int, n: int) -> int:
        """What a variable refers to; of one that inner functions use, too, what is in its cell."""
        words = self._frames.locals_of(frame, code)
        word = words[n] if n < len(words) else 0
        with contextlib.suppress(Unreadable):
            if word and self._objects.type_of(word).name == "cell":
                return self._objects.memory.word(word + self._objects.layout.cell_content)
        return word
