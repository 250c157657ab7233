"""The events of one stream: its frequent kind in columns, all others as values between them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, Self, TypeVar, overload

import numpy as np

from waitspy.model.columns import Int64s, Mask

_E = TypeVar("_E")


class EventColumns(Sequence[_E], Generic[_E]):
    """Events in the order of their rows; read one at a time, each is a value.

    ``columns`` begin with the times. ``others`` are the events that have more to tell than fits
    into columns, by their place, in order; their fields in columns are ``UNKNOWN``.
    """

    __slots__ = ("columns", "others")

    def __init__(self, columns: tuple[Int64s, ...], others: Mapping[int, _E]) -> None:
        self.columns, self.others = columns, others

    @property
    def at_ns(self) -> Int64s:
        """When, of all events."""
        return self.columns[0]

    @abstractmethod
    def _event(self, *row: int) -> _E:
        """The event of a row of the columns."""

    def _like(self, columns: tuple[Int64s, ...], others: Mapping[int, _E]) -> Self:
        """Other events of the same things."""
        return type(self)(columns, others)

    def kept(self, mask: Mask) -> Self:
        """Those for which the mask holds."""
        if mask.all():
            return self
        place = np.cumsum(mask) - 1
        others = {int(place[n]): event for n, event in self.others.items() if mask[n]}
        return self._like(tuple(column[mask] for column in self.columns), others)

    def between(self, from_ns: int, until_ns: int) -> Self:
        """Those at or between two times."""
        return self.kept((self.at_ns >= from_ns) & (self.at_ns <= until_ns))

    def __len__(self) -> int:
        return len(self.at_ns)

    @overload
    def __getitem__(self, at: int) -> _E: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[_E]: ...
    def __getitem__(self, at: int | slice) -> _E | Sequence[_E]:
        if isinstance(at, slice):
            return [self[n] for n in range(len(self))[at]]
        n = range(len(self))[at]
        other = self.others.get(n)
        return self._event(*(int(column[n]) for column in self.columns)) if other is None else other

    def __iter__(self) -> Iterator[_E]:
        for n, row in enumerate(zip(*(column.tolist() for column in self.columns), strict=True)):
            other = self.others.get(n)
            yield self._event(*row) if other is None else other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as lists, they are no keys

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"
