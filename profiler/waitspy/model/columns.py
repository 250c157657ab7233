"""Columns: many values of one field as one array, for what a recording holds by the million.

Rows of such columns are read as ordinary values one at a time; code that passes over all of them
works on the arrays.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
"""One column of whole numbers: nanoseconds, ids, or numbers of stacks and waits."""

Mask = npt.NDArray[np.bool_]

UNKNOWN = -(1 << 63)
"""What stands in a column where a row's value is None."""

_R = TypeVar("_R")

_ALL_BITS = (1 << 64) - 1
_NO_WORD = UNKNOWN & _ALL_BITS


def int64s(values: Iterable[int | None]) -> Int64s:
    """A column of those values."""
    return np.array([UNKNOWN if value is None else value for value in values], np.int64)


def words(values: Iterable[int | None]) -> Int64s:
    """A column of words of 64 bits; those above 2**63 keep their bits and become negative."""
    bits = [_NO_WORD if value is None else value for value in values]
    try:
        return np.array(bits, np.uint64).view(np.int64)
    except OverflowError:  # a damaged recording
        return np.array([value & _ALL_BITS for value in bits], np.uint64).view(np.int64)


def one_value(value: int, many: int) -> Int64s:
    """A column that has the same value in all its rows, which takes no room; it is not writable."""
    return np.broadcast_to(np.int64(value), many)


def thin(column: Int64s) -> Int64s:
    """The same column, without room for its rows where one value stands in all of them."""
    alike = len(column) > 0 and bool((column == column[0]).all())
    return one_value(int(column[0]), len(column)) if alike else column


def one_of(column: Int64s, values: Iterable[int]) -> Mask:
    """Which rows of a column have one of a few values."""
    found = np.zeros(len(column), np.bool_)
    for value in values:
        found |= column == value
    return found


def known(value: int) -> int | None:
    """The value of a row: None where the column says that it is not known."""
    return None if value == UNKNOWN else value


def known_word(value: int) -> int | None:
    """The same for words of 64 bits, which have no sign."""
    return None if value == UNKNOWN else value & _ALL_BITS


class Rows(Sequence[_R], Generic[_R]):
    """Columns of one length, read as the rows that they form: each a value, made when asked for."""

    __slots__ = ()

    @property
    @abstractmethod
    def columns(self) -> tuple[Int64s, ...]:
        """All columns, in the order in which ``_row`` takes their values."""

    @abstractmethod
    def _row(self, *values: int) -> _R:
        """The value of one row."""

    @abstractmethod
    def _like(self, columns: Sequence[Int64s]) -> Self:
        """Other rows of the same kind."""

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, at: int) -> _R: ...
    @overload
    def __getitem__(self, at: slice) -> Self: ...
    def __getitem__(self, at: int | slice) -> _R | Self:
        if isinstance(at, slice):
            return self._like([column[at] for column in self.columns])
        return self._row(*(int(column[at]) for column in self.columns))

    def __iter__(self) -> Iterator[_R]:
        for values in zip(*(column.tolist() for column in self.columns), strict=True):
            yield self._row(*values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as lists, they are no keys

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"
