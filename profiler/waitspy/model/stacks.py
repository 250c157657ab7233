"""Python stacks: what a thread was in the middle of, and every distinct one of a recording once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated

import msgspec
import numpy as np

from waitspy.model.code_origin import Home, Homes, Origin, base_name, home_by_path
from waitspy.model.columns import Mask

Line = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
"""The number of a line, as CPython counts them: an int of C."""


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One frame; ``file`` is the path inside the target, ``line`` None when not known.

    Of JavaScript, ``begins`` is where the function begins, and ``line`` the same unless it is known
    where in it the frame stands.
    """

    function: str
    file: str
    line: Line | None = None
    begins: Line | None = None

    @property
    def home(self) -> Home:
        """Whose code it is."""
        return home_by_path(self.file)

    @property
    def origin(self) -> Origin:
        """Where its code comes from."""
        return self.home.origin

    @property
    def rooted(self) -> str:
        """Its file, with a slash before all names: frozen programs have files without folders."""
        return f"/{self.file}"

    def is_one_of(self, files: str | tuple[str, ...], *functions: str) -> bool:
        """Whether it is one of these functions (by their last names) of a file that ends so."""
        return self.rooted.endswith(files) and base_name(self.function) in functions

    def without_line(self) -> Frame:
        """The frame of the whole function."""
        return Frame(self.function, self.file)

    @property
    def at_beginning(self) -> bool:
        """Whether its line is the function's, as it is not known where in it the frame stands."""
        return self.begins is not None and self.begins == self.line

    def from_the_beginning(self) -> Frame:
        """The frame by where its function begins; of Python, as it is."""
        if self.begins is None or self.at_beginning:
            return self
        return Frame(self.function, self.file, self.begins, self.begins)


class PlacedFrame(Frame, frozen=True, array_like=True, gc=False, kw_only=True):
    """A frame whose file's path does not tell whose code it is; ``place`` does."""

    place: Home

    @property
    def home(self) -> Home:
        """Whose code it is."""
        return self.place

    def without_line(self) -> Frame:
        """The frame of the whole function."""
        return PlacedFrame(self.function, self.file, place=self.place)

    def from_the_beginning(self) -> Frame:
        """The frame by where its function begins; of Python, as it is."""
        return self if self.begins is None else placed(super().from_the_beginning(), self.place)


Stack = tuple[Frame, ...]
"""Frames, root first, without process and thread roots."""


class StackTable:
    """Names every distinct stack by a number; zero is the empty stack.

    It is a tree: each other number is a frame on top of another stack. So a sampler's pushes and
    pops lead from number to number, and no stack is compared frame by frame. Numbers are never
    taken back. ``below`` is the stack without its topmost frame, by number; ``above`` is the other
    way round, by ``stack << 32 | frame``. They are for loops over millions of pushes and pops.

    ``homes`` says whose the frames are. Code that was made as the program ran belongs to whoever
    calls it, in each stack.
    """

    __slots__ = (
        "_frame_numbers", "_frames", "_having", "_homes", "_topped", "_tops", "_whole", "above",
        "below",
    )  # fmt: skip

    def __init__(self, homes: Homes | None = None) -> None:
        self._homes = homes
        self._frames: list[Frame] = []
        self._frame_numbers: dict[tuple[str, str, int | None, int | None], int] = {}
        self._tops = [-1]
        self.below = [0]
        self.above: dict[int, int] = {}
        self._whole: dict[int, Stack] = {0: ()}
        self._having: dict[Callable[[Frame], bool], Mask] = {}
        self._topped: dict[Callable[[Frame], bool], Mask] = {}

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
            frames.reverse()
            if any(frame.file.startswith("<") for frame in frames):
                frames = list(_with_makers(frames))
            found = self._whole[number] = tuple(frames)
        return found

    @property
    def frames(self) -> Sequence[Frame]:
        """Every distinct frame, by its number."""
        return self._frames

    def frames_in(self, numbers: Iterable[int]) -> Iterator[Frame]:
        """Every distinct frame of the stacks with these numbers."""
        seen = {0}
        frames: set[int] = set()
        for number in numbers:
            at = number
            while at not in seen:
                seen.add(at)
                frames.add(self._tops[at])
                at = self.below[at]
        return map(self._frames.__getitem__, sorted(frames))

    def having(self, holds: Callable[[Frame], bool]) -> Mask:
        """Which stacks, by number, have a frame of which that holds; each frame is asked once."""
        known = self._having.get(holds)
        if known is None or len(known) < len(self):
            frames = [*map(holds, self._frames)]
            found = [False]
            for below, top in zip(self.below[1:], self._tops[1:], strict=True):
                found.append(frames[top] or found[below])
            known = self._having[holds] = np.array(found, np.bool_)
        return known

    def topped(self, holds: Callable[[Frame], bool]) -> Mask:
        """Which stacks, by number, have such a frame on top."""
        known = self._topped.get(holds)
        if known is None or len(known) < len(self):
            frames = np.array([*map(holds, self._frames), False], np.bool_)
            known = self._topped[holds] = frames[self._tops]
        return known

    def frame(self, function: str, file: str, line: int | None, begins: int | None = None) -> int:
        """The number of a frame."""
        key = function, file, line, begins
        number = self._frame_numbers.get(key)
        if number is None:
            number = self._frame_numbers[key] = len(self._frames)
            self._frames.append(self.placed(Frame(*key)))
        return number

    def _frame(self, frame: Frame) -> int:
        return self.frame(frame.function, frame.file, frame.line, frame.begins)

    def placed(self, frame: Frame) -> Frame:
        """The same frame, with what is known of whose its file is."""
        if self._homes is None:
            return frame
        return placed(frame, self._homes.of(frame.file))

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
            at = self.push(at, self._frame(frame))
        return at

    def rewritten(self, change: Callable[[Frame], Frame]) -> tuple[StackTable, list[int]]:
        """A table with changed frames, and what number each stack has in it; some become equal."""
        done = StackTable()
        frames = []
        for frame in map(change, self._frames):
            frames.append(done._frame(frame))
            done._frames[frames[-1]] = frame  # it may know whose it is
        numbers = [0]
        for below, top in zip(self.below[1:], self._tops[1:], strict=True):
            numbers.append(done.push(numbers[below], frames[top]))
        return done, numbers


def placed(frame: Frame, home: Home) -> Frame:
    """The frame with that home; the plain one where its path says the same."""
    if home == home_by_path(frame.file):
        return frame
    return PlacedFrame(frame.function, frame.file, frame.line, frame.begins, place=home)


def _with_makers(frames: Sequence[Frame]) -> Iterator[Frame]:
    """The frames, root first: made code has the origin of the file that is nearest below it.

    What the library calls is whatever it was given: that is left as it is.
    """
    maker: Home | None = None
    for frame in frames:
        home = frame.home
        if not home.made:
            maker = home
            yield frame
        elif maker is None or maker.origin in {Origin.USER, Origin.STDLIB}:
            yield frame
        else:
            yield placed(frame, Home(maker.origin, maker.package, frame.file, made=True))
