"""Who was seen to hold the GIL, and whether garbage was collected meanwhile; in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from waitspy.model.columns import Int64s, int64s, known

MAIN = 0
"""The number of the interpreter that a process begins with; up to 3.11 its GIL is that of all."""


@dataclass(frozen=True, slots=True)
class GilState:
    """What was seen of an interpreter at one tick; it holds until the next one of the same.

    ``holder_tid`` is the thread that held its GIL, None where that was nobody, or nobody known.
    """

    at_ns: int
    interpreter: int
    holder_tid: int | None
    collects: bool


class GilStates(Sequence[GilState]):
    """Those of all interpreters in time order: columns, of which each row is a GilState."""

    __slots__ = ("at_ns", "collects", "holder_tid", "interpreter")

    def __init__(
        self, at_ns: Int64s, interpreter: Int64s, holder_tid: Int64s, collects: Int64s
    ) -> None:
        self.at_ns, self.interpreter = at_ns, interpreter
        self.holder_tid, self.collects = holder_tid, collects

    @classmethod
    def of(cls, rows: Iterable[GilState] = ()) -> GilStates:
        """The columns of those rows."""
        kept = list(rows)
        return cls(
            int64s(row.at_ns for row in kept),
            int64s(row.interpreter for row in kept),
            int64s(row.holder_tid for row in kept),
            int64s(row.collects for row in kept),
        )

    @property
    def columns(self) -> tuple[Int64s, ...]:
        """All columns, in the order in which they are given."""
        return self.at_ns, self.interpreter, self.holder_tid, self.collects

    def of_interpreter(self, number: int) -> GilStates:
        """Those of one interpreter."""
        mine = self.interpreter == number
        return self if mine.all() else GilStates(*(column[mine] for column in self.columns))

    def index_at(self, at_ns: int) -> int:
        """The row in force at that time, of those of one interpreter; -1 before the first one."""
        return int(np.searchsorted(self.at_ns, at_ns, "right")) - 1

    def __len__(self) -> int:
        return len(self.at_ns)

    @overload
    def __getitem__(self, at: int) -> GilState: ...
    @overload
    def __getitem__(self, at: slice) -> GilStates: ...
    def __getitem__(self, at: int | slice) -> GilState | GilStates:
        if isinstance(at, slice):
            return GilStates(*(column[at] for column in self.columns))
        at_ns, interpreter, holder_tid, collects = (int(column[at]) for column in self.columns)
        return GilState(at_ns, interpreter, known(holder_tid), bool(collects))

    def __iter__(self) -> Iterator[GilState]:
        return (self[n] for n in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as lists, they are no keys

    def __repr__(self) -> str:
        return f"GilStates({list(self)!r})"
