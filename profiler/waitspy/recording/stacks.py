"""What our own sampler saw: which stack each thread showed, and from when on; and who held the GIL.

One file a segment. Frames and stacks have numbers, which are told before they are used; a stack is
a frame on top of another stack, and zero is none.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from waitspy.model.columns import UNKNOWN, Int64s, thin
from waitspy.model.gil import GilStates
from waitspy.model.ranges import Few, Many, Ns, Tid
from waitspy.model.stacks import Frame, Line, StackTable
from waitspy.model.threads import FOREVER_NS, Intervals, SampledThread, Segment
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
    told = _Told(table, start_ns)
    lines = read(raw, READER, told.take)
    torn = not lines.ended and not cut
    if end_ns is None or torn:
        end_ns = told.last_ns
    elif cut:
        end_ns = max(end_ns, told.last_ns)
    end_ns = max(start_ns, end_ns)
    threads = tuple(
        SampledThread(tid, name, _intervals(shown, table, start_ns, end_ns))
        for (tid, name), shown in sorted(told.shown(end_ns).items())
    )
    damaged = lines.damaged + told.damaged + (lines.torn and not torn)
    gil = _gil(told.held, end_ns)
    return ReadSegment(Segment(start_ns, end_ns, period_ns, threads, torn, gil=gil), damaged)


class _Told:
    """What the rows have told so far; ``damaged`` is how many of them make no sense.

    ``last_ns`` is the latest time of any. Of the numbers in ``held``, each four are a row: time,
    interpreter, who holds its GIL, and whether it collects garbage; of what a thread has shown,
    each three: start, end and stack. There may be a million.
    """

    def __init__(self, table: StackTable, start_ns: int) -> None:
        self.damaged = 0
        self.last_ns = start_ns
        self.held = array("q")
        self._table = table
        self._frames: dict[int, int] = {}
        self._stacks = {0: 0}
        self._names: dict[int, str] = {}
        self._open: dict[int, tuple[int, int, str]] = {}
        self._done: dict[tuple[int, str], array[int]] = {}

    def take(self, rows: Sequence[StacksRow]) -> None:
        """The next rows."""
        latest_ns = max([row.at_ns for row in rows])
        self.last_ns = max(self.last_ns, latest_ns)
        for row in rows:
            match row:
                case ThreadShows():
                    self._shows(row)
                case GilHeld():
                    holder = UNKNOWN if row.holder_tid is None else row.holder_tid
                    self.held.extend((row.at_ns, row.interpreter, holder, row.collects))
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

    def _shows(self, row: ThreadShows) -> None:
        at_ns, tid = row.at_ns, row.tid
        stack = self._stacks.get(row.stack)
        before = self._open.get(tid)
        if stack is None or (before is not None and before[0] > at_ns):
            self.damaged += 1
            stack = 0
        if before is not None:
            known_ns = row.known_ns
            self._close(tid, before, min(at_ns, known_ns) if known_ns else at_ns)
        if stack:
            self._open[tid] = at_ns, stack, self._names.get(tid, "")
        elif before is not None:
            del self._open[tid]

    def _close(self, tid: int, before: tuple[int, int, str], at_ns: int) -> None:
        start_ns, stack, name = before
        if at_ns > start_ns:
            done = self._done.get((tid, name))
            if done is None:
                done = self._done[tid, name] = array("q")
            done.extend((start_ns, at_ns, stack))

    def shown(self, end_ns: int) -> dict[tuple[int, str], array[int]]:
        """What each thread showed, by its id and name, until that time."""
        for tid, before in self._open.items():
            self._close(tid, before, end_ns)
        self._open.clear()
        return self._done


def _columns(numbers: array[int], many: int) -> list[Int64s]:
    """The columns of rows of so many numbers."""
    return [*np.frombuffer(numbers, np.int64).reshape(-1, many).T.copy()]


def _gil(held: array[int], end_ns: int) -> GilStates:
    """What was told of the time before the end, in order."""
    columns = _columns(held, 4)
    order = np.argsort(columns[0], kind="stable")
    order = order[columns[0][order] < end_ns]
    return GilStates(*(thin(column[order]) for column in columns))


def _intervals(shown: array[int], table: StackTable, start_ns: int, end_ns: int) -> Intervals:
    """What lies between two times, in order and without overlap, however damaged the rows are."""
    at_ns, until_ns, stack = _columns(shown, 3)
    order = np.lexsort((stack, until_ns, at_ns))
    until_ns = np.minimum(until_ns[order], min(end_ns, FOREVER_NS))
    free_ns = np.maximum.accumulate(np.append(np.int64(start_ns), until_ns[:-1]))
    at_ns = np.maximum(at_ns[order], free_ns)
    kept = at_ns < until_ns
    return Intervals(at_ns[kept], until_ns[kept], stack[order][kept], table)
