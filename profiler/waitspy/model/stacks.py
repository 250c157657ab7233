"""Python stacks: what a thread was in the middle of, and every distinct one of a recording once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One Python frame; ``file`` is the path inside the target, ``line`` None when not known."""

    function: str
    file: str
    line: int | None = None


Stack = tuple[Frame, ...]
"""Frames, root first, without process and thread roots."""


class StackTable:
    """Names every distinct stack by a number; zero is the empty stack.

    It is a tree: each other number is a frame on top of another stack. So a sampler's pushes and
    pops lead from number to number, and no stack is compared frame by frame. Numbers are never
    taken back. ``below`` is the stack without its topmost frame, by number; ``above`` is the other
    way round, by ``stack << 32 | frame``. They are for loops over millions of pushes and pops.
    """

    __slots__ = ("_frame_numbers", "_frames", "_tops", "_whole", "above", "below")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._frame_numbers: dict[tuple[str, str, int | None], int] = {}
        self._tops = [-1]
        self.below = [0]
        self.above: dict[int, int] = {}
        self._whole: dict[int, Stack] = {0: ()}

    def __len__(self) -> int:
        return len(self.below)

    def __getitem__(self, number: int) -> Stack:
        """The frames of a stack; the same object every time."""
        found = self._whole.get(number)
        if found is None:
            frames: list[Frame] = []
            at = int(number)
            while at:
                frames.append(self._frames[self._tops[at]])
                at = self.below[at]
            found = self._whole[number] = tuple(reversed(frames))
        return found

    @property
    def frames(self) -> Sequence[Frame]:
        """Every distinct frame, by its number."""
        return self._frames

    def frame(self, function: str, file: str, line: int | None) -> int:
        """The number of a frame."""
        key = function, file, line
        number = self._frame_numbers.get(key)
        if number is None:
            number = self._frame_numbers[key] = len(self._frames)
            self._frames.append(Frame(*key))
        return number

    def push(self, number: int, frame: int) -> int:
        """The stack that has that frame on top of this one."""
        key = number << 32 | frame
        above = self.above.get(key)
        if above is None:
            above = self.above[key] = len(self.below)
            self.below.append(number)
            self._tops.append(frame)
        return above

    def number(self, stack: Iterable[Frame]) -> int:
        """The number of a whole stack."""
        at = 0
        for frame in stack:
            at = self.push(at, self.frame(frame.function, frame.file, frame.line))
        return at

    def rewritten(self, change: Callable[[Frame], Frame]) -> tuple[StackTable, list[int]]:
        """A table with changed frames, and what number each stack has in it; some become equal."""
        done = StackTable()
        frames = [done.frame(f.function, f.file, f.line) for f in map(change, self._frames)]
        numbers = [0]
        for below, top in zip(self.below[1:], self._tops[1:], strict=True):
            numbers.append(done.push(numbers[below], frames[top]))
        return done, numbers
