"""Spans of time, as pairs of nanoseconds (half open) and as columns: joined, cut, and compared."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from waitspy.model.columns import Int64s

Span = tuple[int, int]

_EARLIEST_NS, _LATEST_NS = np.int64(-(1 << 63)), np.int64((1 << 63) - 1)


def union(spans: Iterable[Span]) -> list[Span]:
    """The spans, those that overlap or touch joined, sorted."""
    merged: list[Span] = []
    for start_ns, end_ns in sorted(spans):
        if merged and start_ns <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end_ns)
        else:
            merged.append((start_ns, end_ns))
    return merged


def length_ns(spans: Iterable[Span]) -> int:
    """How long they are together."""
    return sum(end_ns - start_ns for start_ns, end_ns in spans)


def without(span: Span, holes: Sequence[Span]) -> list[Span]:
    """The parts of a span that lie in none of the holes (sorted)."""
    pieces = []
    at_ns, end_ns = span
    n = max(0, bisect_right(holes, (at_ns, at_ns)) - 1)
    while n < len(holes) and holes[n][0] < end_ns:
        start_ns, until_ns = holes[n]
        n += 1
        if start_ns > at_ns:
            pieces.append((at_ns, start_ns))
        at_ns = max(at_ns, until_ns)
    if at_ns < end_ns:
        pieces.append((at_ns, end_ns))
    return pieces


def common(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """The parts of time that lie in a span of both (each sorted, without overlap)."""
    found: list[Span] = []
    if not some or not others:
        return found
    n = bisect_right(some, others[0][0], key=_end)
    m = bisect_right(others, some[0][0], key=_end)
    while n < len(some) and m < len(others):
        start_ns = max(some[n][0], others[m][0])
        end_ns = min(some[n][1], others[m][1])
        if start_ns < end_ns:
            found.append((start_ns, end_ns))
        if some[n][1] < others[m][1]:
            n += 1
        else:
            m += 1
    return found


def _end(span: Span) -> int:
    return span[1]


def overlaps(span: Span, others: Sequence[Span]) -> bool:
    """Whether a span shares time with one of the others (sorted, without overlap)."""
    n = bisect_right(others, span[0], key=_end)
    return n < len(others) and others[n][0] < span[1]


def inside(times: Sequence[int], span: Span) -> Sequence[int]:
    """Those of the times (sorted) that lie within a span, its bounds left out."""
    return times[bisect_right(times, span[0]) : bisect_left(times, span[1])]


class Timed(Protocol):
    """Anything that lasts from one time to another."""

    @property
    def start_ns(self) -> int:
        """Its start."""
        ...

    @property
    def end_ns(self) -> int:
        """Its end."""
        ...


_T = TypeVar("_T", bound=Timed)


def grouped(items: Iterable[_T], spans: Sequence[Span]) -> list[list[_T]]:
    """The items that share time with each of the spans (sorted, without overlap)."""
    found: list[list[_T]] = [[] for _ in spans]
    for item in items:
        n = bisect_right(spans, item.start_ns, key=_end)
        while n < len(spans) and spans[n][0] < item.end_ns:
            found[n].append(item)
            n += 1
    return found


# --- columns ---------------------------------------------------------------------------------


def pieces(start_ns: Int64s, end_ns: Int64s, cuts: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Sorted spans without overlap, cut at those times: starts, ends, and which span each was."""
    if not len(start_ns):
        return start_ns, end_ns, np.empty(0, np.int64)
    starts = np.sort(np.concatenate([start_ns, cuts]), kind="stable")  # merges what is sorted
    starts = starts[np.append(True, starts[1:] != starts[:-1])]
    owner = np.searchsorted(start_ns, starts, "right") - 1
    ends = np.minimum(np.append(starts[1:], np.int64(end_ns[-1])), end_ns[owner])
    kept = (owner >= 0) & (starts < ends)
    return starts[kept], ends[kept], owner[kept]


def pairs(starts: Int64s, first: Int64s, last: Int64s) -> tuple[Int64s, Int64s]:
    """Every pair of a span (of which there are as many as ``starts``) and one of its items.

    The items of span ``n`` are those numbered from ``first[n]`` up to, without, ``last[n]``.
    """
    many = np.maximum(0, last - first)
    span = np.repeat(np.arange(len(starts)), many)
    item = np.arange(len(span)) - np.repeat(np.cumsum(many) - many, many) + first[span]
    return span, item


def outside(
    start_ns: Int64s, end_ns: Int64s, holes_start_ns: Int64s, holes_end_ns: Int64s
) -> list[Span]:
    """The parts of spans that lie in none of the holes (both sorted, without overlap)."""
    free_start_ns = np.append(_EARLIEST_NS, holes_end_ns)
    free_end_ns = np.append(holes_start_ns, _LATEST_NS)
    first = np.searchsorted(free_end_ns, start_ns, "right")
    last = np.searchsorted(free_start_ns, end_ns, "left")
    span, free = pairs(start_ns, first, last)
    starts = np.maximum(start_ns[span], free_start_ns[free])
    ends = np.minimum(end_ns[span], free_end_ns[free])
    kept = starts < ends
    return [*zip(starts[kept].tolist(), ends[kept].tolist(), strict=True)]


def runs(end_ns: Int64s, start_ns: Int64s, *same: Int64s) -> Int64s:
    """Where a new run begins in spans of which those that touch and are the same form one run."""
    if not len(start_ns):
        return np.empty(0, np.int64)
    new = start_ns[1:] != end_ns[:-1]
    for column in same:
        new |= column[1:] != column[:-1]
    return np.flatnonzero(np.concatenate([[True], new]))
