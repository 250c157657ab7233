"""What our own sampler saw: which stack each thread showed, and from when on; and who held the GIL.

One file a segment. Frames and stacks have numbers, which are told before they are used; a stack is
a frame on top of another stack, and zero is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from waitspy.model.columns import Int64s, Mask, int64s, thin
from waitspy.model.gil import GilStates
from waitspy.model.ranges import Few, Many, Ns, Tid
from waitspy.model.stacks import Frame, Line, StackTable
from waitspy.model.threads import FOREVER_NS, Intervals, SampledThread, Segment
from waitspy.recording.rows import Row, read, reader

SUFFIX = ".stacks.jsonl"


class FrameTold(Row, frozen=True, tag="frame"):
    """That number means this frame; see ``Frame`` for its lines."""

    number: Many
    function: str
    file: str
    line: Line | None = None
    begins: Line | None = None


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
_FREQUENT = frozenset({ThreadShows, GilHeld})


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
                told = frame.function, frame.file, frame.line, frame.begins
                new.append(FrameTold(at_ns, n, *told))
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
    found = Segment(start_ns, end_ns, period_ns, threads, torn, gil=told.gil(end_ns))
    return ReadSegment(found, damaged)


class _Told:
    """What the rows have told so far; ``damaged`` is how many of them make no sense.

    ``last_ns`` is the latest time of any. There may be a million, most of which say what a thread
    shows: those are kept in columns, part by part.
    """

    def __init__(self, table: StackTable, start_ns: int) -> None:
        self.damaged = 0
        self.last_ns = start_ns
        self._table = table
        self._frames: dict[int, int] = {}
        self._stacks = {0: 0}
        self._names: dict[int, list[tuple[int, str]]] = {}
        self._shown: list[_Columns] = []
        self._held: list[_Columns] = []

    def take(self, rows: Sequence[StacksRow]) -> None:
        """The next rows."""
        self.last_ns = max(self.last_ns, *[row.at_ns for row in rows])
        for row in rows:
            if type(row) not in _FREQUENT:
                self._told(row)
        shows = [row for row in rows if type(row) is ThreadShows]
        held = [row for row in rows if type(row) is GilHeld]
        number_of = self._stacks.get
        stack = np.array([number_of(row.stack, -1) for row in shows], np.int64)
        self.damaged += int(np.count_nonzero(stack < 0))
        self._shown.append(
            [
                np.array([row.at_ns for row in shows], np.int64),
                np.array([row.tid for row in shows], np.int64),
                stack,
                np.array([row.known_ns or FOREVER_NS for row in shows], np.int64),
            ]
        )
        self._held.append(
            [
                np.array([row.at_ns for row in held], np.int64),
                np.array([row.interpreter for row in held], np.int64),
                int64s([row.holder_tid for row in held]),
                np.array([row.collects for row in held], np.int64),
            ]
        )

    def _told(self, row: StacksRow) -> None:
        match row:
            case StackTold():
                below, frame = self._stacks.get(row.below), self._frames.get(row.frame)
                if below is None or frame is None:
                    self.damaged += 1
                    self._stacks.pop(row.number, None)
                else:
                    self._stacks[row.number] = self._table.push(below, frame)
            case FrameTold():
                frame = self._table.frame(row.function, row.file, row.line or None, row.begins)
                self._frames[row.number] = frame
            case ThreadNamed():
                self._names.setdefault(row.tid, []).append((row.at_ns, row.name))

    def shown(self, end_ns: int) -> dict[tuple[int, str], _Columns]:
        """What each thread showed, by its id and name, until that time: start, end and stack."""
        at_ns, tid, stack, known_ns = _joined(self._shown, 4)
        order = np.argsort(tid, kind="stable")
        at_ns, tid, stack, known_ns = at_ns[order], tid[order], stack[order], known_ns[order]
        same = tid[1:] == tid[:-1]
        back = np.append(False, same & (at_ns[1:] < at_ns[:-1]))
        self.damaged += int(np.count_nonzero(back))
        until_ns = np.full_like(at_ns, end_ns)
        until_ns[:-1][same] = np.minimum(at_ns, known_ns)[1:][same]
        kept = (stack > 0) & ~back & (until_ns > at_ns)
        at_ns, tid, until_ns, stack = at_ns[kept], tid[kept], until_ns[kept], stack[kept]
        tids, first = np.unique(tid, return_index=True)
        found: dict[tuple[int, str], list[_Columns]] = {}
        columns = at_ns, until_ns, stack
        for one, *mine in zip(
            tids.tolist(), *(np.split(column, first)[1:] for column in columns), strict=True
        ):
            for name, which in self._named(one, mine[0]):
                found.setdefault((one, name), []).append([column[which] for column in mine])
        return {thread: _joined(parts, 3) for thread, parts in found.items()}

    def _named(self, tid: int, at_ns: Int64s) -> Iterator[tuple[str, Mask]]:
        """What a thread was called, and at which of those times."""
        told = sorted(self._names.get(tid, ()), key=itemgetter(0))
        since = np.searchsorted(int64s([told_ns for told_ns, _ in told]), at_ns, "right")
        for n in np.unique(since).tolist():
            yield told[n - 1][1] if n else "", since == n

    def gil(self, end_ns: int) -> GilStates:
        """What was told of the time before the end, in order."""
        columns = _joined(self._held, 4)
        order = np.argsort(columns[0], kind="stable")
        order = order[columns[0][order] < end_ns]
        return GilStates(*(thin(column[order]) for column in columns))


_Columns = list[Int64s]


def _joined(parts: Sequence[_Columns], many: int) -> _Columns:
    """The columns of all parts, of so many columns each."""
    if not parts:
        return [np.empty(0, np.int64) for _ in range(many)]
    return [*map(np.concatenate, zip(*parts, strict=True))]


def _intervals(shown: _Columns, table: StackTable, start_ns: int, end_ns: int) -> Intervals:
    """What lies between two times, in order and without overlap, however damaged the rows are."""
    at_ns, until_ns, stack = shown
    order = np.lexsort((stack, until_ns, at_ns))
    until_ns = np.minimum(until_ns[order], min(end_ns, FOREVER_NS))
    free_ns = np.maximum.accumulate(np.append(np.int64(start_ns), until_ns[:-1]))
    at_ns = np.maximum(at_ns[order], free_ns)
    kept = at_ns < until_ns
    return Intervals(at_ns[kept], until_ns[kept], stack[order][kept], table)
