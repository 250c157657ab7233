"""The Python stack of a thread that stands still: its frames, innermost first in memory.

py-spy reads every thread of a process, which takes a second where there are thousands. Where one
waits, its stack alone is read in well under a millisecond, and at a known time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from waitspy.model.stacks import Frame, Stack
from waitspy.remote.frame_shapes import OWNED_BY_C
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable, word_at

_DEEPEST = 2048
"""Frames that are read; of deeper stacks the innermost ones."""

_LARGEST_CHUNK = 1 << 20


class ThreadFrame(NamedTuple):
    """A frame of a thread: where it is, its code, and the pointer or index that it holds."""

    address: int
    code: int
    instruction: int


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
        used = (lay.frame_back, lay.frame_code, lay.frame_instruction, lay.frame_owner)
        self._size = max(used) + 8

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
        lay = self._layout
        if lay.pair >= (3, 11):
            begin = self._memory.word(thread + lay.thread_chunk)
            size = self._memory.word(thread + lay.thread_chunk_top) - begin
            if 0 < size <= _LARGEST_CHUNK:
                self._memory.keep([begin], size)

    def frames(self, thread: int, most: int = _DEEPEST) -> list[ThreadFrame]:
        """The innermost frames of a thread state, as they are read one by one."""
        lay = self._layout
        frame = self._memory.word(thread + lay.thread_frame)
        if frame and lay.pair in {(3, 11), (3, 12)}:
            frame = self._memory.word(frame + lay.cframe_frame)
        found: list[ThreadFrame] = []
        seen: set[int] = set()
        while frame and len(seen) < _DEEPEST and len(found) < most:
            if frame in seen:
                raise Torn("a stack that does not end")
            seen.add(frame)
            raw = self._memory.read(frame, self._size)
            if lay.pair < (3, 12) or word_at(raw, lay.frame_owner, "b") < OWNED_BY_C:
                if lay.pair >= (3, 11):
                    instruction = word_at(raw, lay.frame_instruction)
                else:
                    instruction = max(0, word_at(raw, lay.frame_instruction, "i"))
                found.append(ThreadFrame(frame, word_at(raw, lay.frame_code) & ~3, instruction))
            frame = word_at(raw, lay.frame_back)
        return found
