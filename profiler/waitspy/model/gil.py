"""Who was seen to hold the GIL, and whether garbage was collected meanwhile; in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from waitspy.model.columns import Int64s, Rows, int64s, known

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


class GilStates(Rows[GilState]):
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
        return self if mine.all() else self._like([column[mine] for column in self.columns])

    def index_at(self, at_ns: int) -> int:
        """The row in force at that time, of those of one interpreter; -1 before the first one."""
        return int(np.searchsorted(self.at_ns, at_ns, "right")) - 1

    def _row(self, *values: int) -> GilState:
        at_ns, interpreter, holder_tid, collects = values
        return GilState(at_ns, interpreter, known(holder_tid), bool(collects))

    def _like(self, columns: Sequence[Int64s]) -> Self:
        return type(self)(*columns)
