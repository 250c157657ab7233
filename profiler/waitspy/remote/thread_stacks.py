"""The Python stack of a thread that stands still: its frames, innermost first in memory.

py-spy reads every thread of a process, which takes a second where there are thousands. Where one
waits, its stack alone is read in well under a millisecond, and at a known time.
"""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from waitspy.model.stacks import Frame, Stack
from waitspy.remote.frame_shapes import OWNED_BY_C
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable, packed

_DEEPEST = 2048
"""Frames that are read; of deeper stacks the innermost ones."""

_LARGEST_CHUNK = 1 << 20


class ThreadFrame(NamedTuple):
    """A frame of a thread: where it is, its code, and the pointer or index that it holds."""

    address: int
    code: int
    instruction: int


class Piece(NamedTuple):
    """Memory in which frames lie, and its address."""

    begin: int
    raw: bytes


class ThreadState(NamedTuple):
    """A thread state, and the pthread id that it must have: it may be another thread's by now."""

    address: int
    ident: int


class ThreadStacks:
    """Reads stacks of one process.

    Raises:
        Unreadable: from every method: the thread runs, or its state is gone.
        OSError: from every method.
    """

    def __init__(self, frames: Frames) -> None:
        self.code = frames
        self._memory = frames.objects.memory
        lay = self._layout = frames.objects.layout
        fields = [(lay.frame_back, "Q"), (lay.frame_code, "Q")]
        fields.append((lay.frame_instruction, "Q" if lay.pair >= (3, 11) else "i"))
        if lay.pair >= (3, 12):
            fields.append((lay.frame_owner, "b"))
        self._fields, order = packed(fields)
        self._back, self._code, self._instruction = order[:3]
        self._owner = order[3] if len(order) > 3 else None

    def still(self, thread: int) -> Stack:
        """The stack of a thread state, outermost first; Torn if it changed while it was read."""
        before = self.frames(thread)
        stack = self.code.codes([(frame.code, frame.instruction) for frame in before])
        if self.frames(thread) != before or None in stack:
            raise Torn("a thread that runs")
        # whose code it is is settled on loading, for these as for sampled stacks
        return tuple(Frame(f.function, f.file, f.line) for f in reversed(stack) if f is not None)

    def of(
        self, tids: Iterable[int], states: Mapping[int, Iterable[ThreadState]], until_ns: int
    ) -> dict[int, Stack]:
        """The stacks of those threads that stand still, given the states of each, until this thread
        has used so much CPU time.
        """
        found: dict[int, Stack] = {}
        for tid in tids:
            for state in states.get(tid, ()):  # one for each interpreter that the thread was in
                with contextlib.suppress(Unreadable):
                    found[tid] = self.still(state.address) or found.get(tid, ())
            if found and time.thread_time_ns() > until_ns:
                break
        return found

    def keep(self, thread: int) -> None:
        """Keeps the memory that frames lie in, as far as it is one piece (from 3.11 on)."""
        begin, size = self._piece(thread)
        if size:
            self._memory.keep([begin], size)

    def piece(self, thread: int) -> Piece:
        """That memory; nothing, where it is not one piece."""
        begin, size = self._piece(thread)
        return Piece(begin, self._memory.read(begin, size) if size else b"")

    def _piece(self, thread: int) -> tuple[int, int]:
        lay = self._layout
        if lay.pair < (3, 11):
            return 0, 0
        begin = self._memory.word(thread + lay.thread_chunk)
        size = self._memory.word(thread + lay.thread_chunk_top) - begin
        return (begin, size) if 0 < size <= _LARGEST_CHUNK else (0, 0)

    def frames(
        self, thread: int, most: int = _DEEPEST, piece: Piece | None = None
    ) -> list[ThreadFrame]:
        """The innermost frames of a thread state, as they are read one by one, or were in one."""
        lay, fields = self._layout, self._fields
        begin, raw = piece or (0, b"")
        within = range(begin, begin + len(raw) - fields.size + 1)
        frame = self._memory.word(thread + lay.thread_frame)
        if frame and lay.pair in {(3, 11), (3, 12)}:
            frame = self._memory.word(frame + lay.cframe_frame)
        found: list[ThreadFrame] = []
        seen: set[int] = set()
        while frame and len(seen) < _DEEPEST and len(found) < most:
            if frame in seen:
                raise Torn("a stack that does not end")
            seen.add(frame)
            if frame in within:
                words = fields.unpack_from(raw, frame - begin)
            else:
                words = fields.unpack(self._memory.read(frame, fields.size))
            if self._owner is None or words[self._owner] < OWNED_BY_C:
                instruction = max(0, words[self._instruction])
                found.append(ThreadFrame(frame, words[self._code] & ~3, instruction))
            frame = words[self._back]
        return found


def that_may_have(word: int, piece: Piece, frames: Iterable[ThreadFrame]) -> Iterator[ThreadFrame]:
    """Those of a thread's frames in whose memory that pointer may be: in few, as a rule, so that
    the others need not be looked into. Without that memory it may be in each.
    """
    begin, raw = piece
    within = range(begin, begin + len(raw))
    inside = sorted(one for one in frames if one.address in within)
    yield from (one for one in frames if one.address not in within)
    addresses = [one.address for one in inside]
    places = (begin + at for tag in range(4) for at in _places_of(word | tag, raw))
    for n in {bisect_right(addresses, place) - 1 for place in places} - {-1}:
        yield inside[n]


def _places_of(word: int, raw: bytes) -> Iterator[int]:
    """Where it lies in memory that begins at the start of a word."""
    wanted = word.to_bytes(8, "little")
    at = raw.find(wanted)
    while at >= 0:
        if at % 8 == 0:
            yield at
        at = raw.find(wanted, at + 1)
