"""A number that changes over time, in columns: an hour of a busy loop has a hundred thousand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from waitspy.model.columns import Int64s, Rows


class Points(Rows[tuple[int, int]]):
    """Times (nanoseconds) and the number from then on, sorted by time; each row is such a pair."""

    __slots__ = ("at_ns", "number")

    def __init__(self, at_ns: Int64s, number: Int64s) -> None:
        self.at_ns, self.number = at_ns, number

    @property
    def columns(self) -> tuple[Int64s, ...]:
        """Both columns, in the order in which they are given."""
        return self.at_ns, self.number

    def _row(self, *values: int) -> tuple[int, int]:
        at_ns, number = values
        return at_ns, number

    def _like(self, columns: Sequence[Int64s]) -> Self:
        return type(self)(*columns)
