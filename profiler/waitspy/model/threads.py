"""What was recorded of threads, in columns: their stacks, and what the kernel said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from waitspy.model.columns import (
    UNKNOWN,
    Int64s,
    Rows,
    int64s,
    known,
    known_word,
    one_of,
    words,
)
from waitspy.model.gil import GilStates
from waitspy.model.stacks import Stack, StackTable

FOREVER_NS = (1 << 63) - 1

NOT_LOOKED = "?"
"""The letter of a state that nobody looked at."""

_GONE, _NOT_STILL = ord("X"), tuple(b"RXTt?")


@dataclass(frozen=True, slots=True)
class Interval:
    """A thread showed one stack from ``start_ns`` to ``end_ns`` (half open)."""

    start_ns: int
    end_ns: int
    stack: Stack


class Intervals(Rows[Interval]):
    """The stacks of one thread in time order: columns, of which each row is an Interval."""

    __slots__ = ("end_ns", "stack", "start_ns", "table")

    def __init__(self, start_ns: Int64s, end_ns: Int64s, stack: Int64s, table: StackTable) -> None:
        self.start_ns, self.end_ns, self.stack, self.table = start_ns, end_ns, stack, table

    @classmethod
    def of(cls, rows: Iterable[Interval], table: StackTable) -> Intervals:
        """The columns of those rows."""
        kept = list(rows)
        return cls(
            int64s(i.start_ns for i in kept),
            int64s(i.end_ns for i in kept),
            int64s(table.number(i.stack) for i in kept),
            table,
        )

    @property
    def columns(self) -> tuple[Int64s, ...]:
        """All columns, in the order in which they are given."""
        return self.start_ns, self.end_ns, self.stack

    def _row(self, *values: int) -> Interval:
        start_ns, end_ns, stack = values
        return Interval(start_ns, end_ns, self.table[stack])

    def _like(self, columns: Sequence[Int64s]) -> Self:
        start_ns, end_ns, stack = columns
        return type(self)(start_ns, end_ns, stack, self.table)


@dataclass(frozen=True, slots=True)
class KernelState:
    """What the kernel said of a thread at one tick; it holds until the next one of that thread.

    ``state`` is the letter of /proc/PID/task/TID/stat (R S D T t Z X), T also of one that is
    frozen by its cgroup, or ``NOT_LOOKED``.
    ``syscall`` is the number the thread is blocked in, None while it runs; ``arg0`` its first
    argument. ``ran_ns`` and ``queued_ns`` are schedstat's fields 1 and 2: time on the CPU and time
    runnable without it (credited when it gets the CPU).
    """

    at_ns: int
    state: str
    syscall: int | None = None
    arg0: int | None = None
    ran_ns: int | None = None
    queued_ns: int | None = None

    @property
    def gone(self) -> bool:
        """Whether this is the tick at which the thread no longer existed."""
        return self.state == "X"


class KernelStates(Rows[KernelState]):
    """The kernel states of one thread in time order: columns, of which each row is a KernelState.

    ``state`` holds the letters' codes, the other columns ``UNKNOWN`` where a row has None.
    """

    __slots__ = ("_still", "arg0", "at_ns", "queued_ns", "ran_ns", "state", "syscall")

    def __init__(
        self,
        at_ns: Int64s,
        state: Int64s,
        syscall: Int64s,
        arg0: Int64s,
        ran_ns: Int64s,
        queued_ns: Int64s,
    ) -> None:
        self.at_ns, self.state, self.syscall = at_ns, state, syscall
        self.arg0, self.ran_ns, self.queued_ns = arg0, ran_ns, queued_ns
        self._still: tuple[Int64s, Int64s] | None = None

    @classmethod
    def of(cls, rows: Iterable[KernelState] = ()) -> KernelStates:
        """The columns of those rows."""
        kept = list(rows)
        return cls(
            int64s(s.at_ns for s in kept),
            int64s(ord(s.state[:1] or NOT_LOOKED) for s in kept),
            int64s(s.syscall for s in kept),
            words(s.arg0 for s in kept),
            int64s(s.ran_ns for s in kept),
            int64s(s.queued_ns for s in kept),
        )

    @property
    def columns(self) -> tuple[Int64s, ...]:
        """All columns, in the order in which they are given."""
        return self.at_ns, self.state, self.syscall, self.arg0, self.ran_ns, self.queued_ns

    @property
    def still(self) -> tuple[Int64s, Int64s]:
        """Starts and ends of the spans in which the thread was blocked in a call and did not run.

        What is not known to end lasts until ``FOREVER_NS``.
        """
        if self._still is None:
            mask = (self.syscall != UNKNOWN) & ~one_of(self.state, _NOT_STILL)
            ends = np.append(self.at_ns[1:], FOREVER_NS) if len(self) else self.at_ns
            mask &= ends > self.at_ns
            self._still = self.at_ns[mask], ends[mask]
        return self._still

    @property
    def unseen(self) -> list[tuple[int, int]]:
        """The spans in which nobody looked at the thread, and it ran, or may have."""
        rows = np.flatnonzero(self.state == ord(NOT_LOOKED))
        ends = np.append(self.at_ns[1:], FOREVER_NS)[rows]
        return [*zip(self.at_ns[rows].tolist(), ends.tolist(), strict=True)]

    @property
    def gone_ns(self) -> int | None:
        """When the thread was found to have ended; None while it was there."""
        return int(self.at_ns[-1]) if len(self) and self.state[-1] == _GONE else None

    def between(self, from_ns: int, until_ns: int) -> KernelStates:
        """The rows from one time to another, both included."""
        first = np.searchsorted(self.at_ns, from_ns)
        return self[int(first) : int(np.searchsorted(self.at_ns, until_ns, "right"))]

    def index_at(self, at_ns: int) -> int:
        """The row in force at that time; -1 before the first one."""
        return int(np.searchsorted(self.at_ns, at_ns, "right")) - 1

    def _row(self, *values: int) -> KernelState:
        at_ns, state, syscall, arg0, ran_ns, queued_ns = values
        return KernelState(
            at_ns, chr(state), known(syscall), known_word(arg0), known(ran_ns), known(queued_ns)
        )

    def _like(self, columns: Sequence[Int64s]) -> Self:
        return type(self)(*columns)


NO_STATES = KernelStates.of()


@dataclass(frozen=True, slots=True)
class Dump:
    """The stacks of threads of one process, each read at some moment from ``at_ns`` to
    ``until_ns``; ``gil_tid`` held the GIL.

    Stacks are numbers of the recording's table.
    """

    at_ns: int
    until_ns: int
    stacks: Mapping[int, int]
    gil_tid: int | None = None


@dataclass(frozen=True, slots=True)
class SampledThread:
    """The stacks of one thread within one segment, in time order."""

    tid: int
    name: str
    intervals: Intervals


@dataclass(frozen=True, slots=True)
class Segment:
    """What one sampler run gave: from ``start_ns`` to ``end_ns``, one sample per ``period_ns``.

    ``torn`` says that its file has lost its end. A sample took ``takes_ns``: with very many threads
    it shows what some of them did so long before its time. Times may be too early by ``late_ns``.
    ``gil`` is who held the GIL, as our own sampler sees it; the last of it lasts until the end.
    """

    start_ns: int
    end_ns: int
    period_ns: int
    threads: tuple[SampledThread, ...]
    torn: bool = False
    takes_ns: int = 0
    late_ns: int = 0
    gil: GilStates = field(default_factory=GilStates.of)


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """One thread on the common clock: its stacks without overlap, and its kernel states."""

    pid: int
    tid: int
    name: str
    intervals: Intervals
    states: KernelStates = field(default_factory=KernelStates.of)
