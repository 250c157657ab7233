"""A number that changes over time, in columns: an hour of a busy loop has a hundred thousand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from waitspy.model.columns import Int64s


class Points(Sequence[tuple[int, int]]):
    """Times (nanoseconds) and the number from then on, sorted by time; each row is such a pair."""

    __slots__ = ("at_ns", "number")

    def __init__(self, at_ns: Int64s, number: Int64s) -> None:
        self.at_ns, self.number = at_ns, number

    def __len__(self) -> int:
        return len(self.at_ns)

    @overload
    def __getitem__(self, at: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, at: slice) -> Points: ...
    def __getitem__(self, at: int | slice) -> tuple[int, int] | Points:
        if isinstance(at, slice):
            return Points(self.at_ns[at], self.number[at])
        return int(self.at_ns[at]), int(self.number[at])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.at_ns.tolist(), self.number.tolist(), strict=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as lists, they are no keys

    def __repr__(self) -> str:
        return f"Points({list(self)!r})"
