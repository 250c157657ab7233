"""What our own sampler saw: which stack each thread showed, and from when on; and who held the GIL.

One file a segment. Frames and stacks have numbers, which are told before they are used; a stack is
a frame on top of another stack, and zero is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from waitspy.model.columns import int64s
from waitspy.model.gil import GilState, GilStates
from waitspy.model.ranges import Few, Many, Ns, Tid
from waitspy.model.stacks import Frame, Line, StackTable
from waitspy.model.threads import Intervals, SampledThread, Segment
from waitspy.recording.rows import Row, read, reader

SUFFIX = ".stacks.jsonl"


class FrameTold(Row, frozen=True, tag="frame"):
    """That number means this frame."""

    number: Many
    function: str
    file: str
    line: Line | None = None


class StackTold(Row, frozen=True, tag="stack"):
    """That number means the stack that has this frame on top of the one ``below``."""

    number: Many
    below: Few
    frame: Many


class ThreadNamed(Row, frozen=True, tag="thread"):
    """What a thread is called from now on."""

    tid: Tid
    name: str


class ThreadShows(Row, frozen=True, tag="shows"):
    """A thread shows another stack; zero: it has none, or nobody knows which.

    ``known_ns`` is until when the one before was seen, where that is not just before.
    """

    tid: Tid
    stack: Few
    known_ns: Ns | None = None


class GilHeld(Row, frozen=True, tag="gil"):
    """A thread holds the GIL of that interpreter (null: nobody does, or nobody knows who), and
    whether the interpreter collects garbage.
    """

    interpreter: Few
    holder_tid: Tid | None
    collects: bool


StacksRow = FrameTold | StackTold | ThreadNamed | ThreadShows | GilHeld
READER = reader(StacksRow)


class Numbers:
    """Gives numbers to the frames and stacks of one file, and says what is new."""

    def __init__(self) -> None:
        self._frames: dict[Frame, int] = {}
        self._above: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._frames) + len(self._above)

    def number(self, stack: Iterable[Frame], at_ns: int) -> tuple[int, list[StacksRow]]:
        """The number of a stack, root first, and the rows that have to come before its use."""
        number, new = 0, list[StacksRow]()
        for frame in stack:
            n = self._frames.get(frame)
            if n is None:
                n = self._frames[frame] = len(self._frames) + 1
                new.append(FrameTold(at_ns, n, frame.function, frame.file, frame.line))
            above = self._above.get((number, n))
            if above is None:
                above = self._above[number, n] = len(self._above) + 1
                new.append(StackTold(at_ns, above, number, n))
            number = above
        return number, new


class ReadSegment(NamedTuple):
    """What a file holds, and how many of its rows are damaged."""

    segment: Segment
    damaged: int


def segment(
    raw: bytes, table: StackTable, start_ns: int, period_ns: int, end_ns: int | None, *, cut: bool
) -> ReadSegment:
    """The stacks from ``start_ns`` to ``end_ns``; of a file that is cut short, to its last row.

    ``cut``: all of the recording was cut short, at that end or at the last row.
    """
    rows: list[StacksRow] = []
    lines = read(raw, READER, rows.extend)
    last_ns = max((row.at_ns for row in rows), default=start_ns)
    torn = not lines.ended and not cut
    if end_ns is None or torn:
        end_ns = last_ns
    elif cut:
        end_ns = max(end_ns, last_ns)
    end_ns = max(start_ns, end_ns)
    told = _Told(table)
    for row in rows:
        told.take(row)
    threads = tuple(
        SampledThread(tid, name, _intervals(shown, table, start_ns, end_ns))
        for (tid, name), shown in sorted(told.shown(end_ns).items())
        if shown
    )
    damaged = lines.damaged + told.damaged + (lines.torn and not torn)
    held = (row for row in rows if isinstance(row, GilHeld) and row.at_ns < end_ns)
    gil = GilStates.of(_gil(row) for row in sorted(held, key=lambda row: row.at_ns))
    return ReadSegment(Segment(start_ns, end_ns, period_ns, threads, torn, gil=gil), damaged)


def _gil(row: GilHeld) -> GilState:
    return GilState(row.at_ns, row.interpreter, row.holder_tid, row.collects)


_Shown = list[tuple[int, int, int]]
"""Start, end and stack."""


class _Told:
    """What the rows have told so far; ``damaged`` is how many of them make no sense."""

    def __init__(self, table: StackTable) -> None:
        self.damaged = 0
        self._table = table
        self._frames: dict[int, int] = {}
        self._stacks = {0: 0}
        self._names: dict[int, str] = {}
        self._open: dict[int, tuple[int, int, str]] = {}
        self._done: dict[tuple[int, str], _Shown] = {}

    def take(self, row: StacksRow) -> None:
        match row:
            case ThreadShows():
                stack = self._stacks.get(row.stack)
                if stack is None or self._open.get(row.tid, (0, 0, ""))[0] > row.at_ns:
                    self.damaged += 1
                    stack = 0
                self._close(row.tid, min(row.at_ns, row.known_ns or row.at_ns))
                if stack:
                    self._open[row.tid] = row.at_ns, stack, self._names.get(row.tid, "")
            case StackTold():
                below, frame = self._stacks.get(row.below), self._frames.get(row.frame)
                if below is None or frame is None:
                    self.damaged += 1
                    self._stacks.pop(row.number, None)
                else:
                    self._stacks[row.number] = self._table.push(below, frame)
            case FrameTold():
                frame = self._table.frame(row.function, row.file, row.line or None)
                self._frames[row.number] = frame
            case ThreadNamed():
                self._names[row.tid] = row.name

    def _close(self, tid: int, at_ns: int) -> None:
        start_ns, stack, name = self._open.pop(tid, (at_ns, 0, ""))
        if at_ns > start_ns:
            self._done.setdefault((tid, name), []).append((start_ns, at_ns, stack))

    def shown(self, end_ns: int) -> dict[tuple[int, str], _Shown]:
        """What each thread showed, by its id and name, until that time."""
        for tid in list(self._open):
            self._close(tid, end_ns)
        return self._done


def _intervals(shown: _Shown, table: StackTable, start_ns: int, end_ns: int) -> Intervals:
    rows = list(_within(shown, start_ns, end_ns))
    starts, ends, stacks = zip(*rows, strict=True) if rows else ((), (), ())
    return Intervals(int64s(starts), int64s(ends), int64s(stacks), table)


def _within(shown: _Shown, start_ns: int, end_ns: int) -> Iterator[tuple[int, int, int]]:
    """What lies between two times, in order and without overlap, however damaged the rows are."""
    for at_ns, until_ns, stack in sorted(shown):
        at_ns, until_ns = max(at_ns, start_ns), min(until_ns, end_ns)  # noqa: PLW2901
        if until_ns > at_ns:
            yield at_ns, until_ns, stack
            start_ns = until_ns
