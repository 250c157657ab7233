"""Who waited in a queue, from nothing but its length and how many were taken from it over time.

Items are taken in the order in which they came, so item number n came when the two numbers
together first exceeded n, and was served when the second one did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from waitspy.model.columns import Int64s

Counts = Sequence[tuple[int, int, int]] | Int64s
"""Rows of a time, how many items are queued then, and how many were taken since the beginning."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Items ``first`` to ``first + count - 1`` of a queue: all came and were taken together."""

    first: int
    count: int
    start_ns: int
    end_ns: int


def late(counts: Counts, least_ns: int, stop_ns: int) -> list[Waiting]:
    """Items that waited for ``least_ns`` and more, in the order in which they were taken.

    ``counts`` are sorted by time. What is still in the queue at ``stop_ns`` waited until then.
    """
    rows = np.array(counts, np.int64).reshape(-1, 3)
    if not _any_late(rows, least_ns, stop_ns):
        return []
    came: deque[list[int]] = deque()  # first item, how many, since when
    arrived = taken = 0
    found: list[Waiting] = []
    for at_ns, queued, taken_now in rows.tolist():
        if at_ns > stop_ns:
            break
        if taken_now + queued > arrived:
            came.append([arrived, taken_now + queued - arrived, at_ns])
            arrived = taken_now + queued
        if taken_now > taken:
            found.extend(_take(came, taken_now, at_ns))
            taken = taken_now
    found.extend(_take(came, arrived, stop_ns))
    return [one for one in found if one.end_ns - one.start_ns >= max(1, least_ns)]


def _take(came: deque[list[int]], until: int, at_ns: int) -> Iterable[Waiting]:
    while came and came[0][0] < until:
        first, count, since_ns = came[0]
        gone = min(count, until - first)
        yield Waiting(first, gone, since_ns, at_ns)
        if gone == count:
            came.popleft()
        else:
            came[0] = [first + gone, count - gone, since_ns]


def _any_late(counts: Int64s, least_ns: int, stop_ns: int) -> bool:
    """Whether an item waited that long at all; in a queue of a healthy program none does."""
    at_ns, queued, taken = counts[counts[:, 0] <= stop_ns].T
    arrived = np.maximum.accumulate(taken + queued)
    came = np.flatnonzero(np.diff(arrived, prepend=0) > 0)
    # Those that came together are served in their order: the last of them waits the longest.
    served = np.searchsorted(np.maximum.accumulate(taken), arrived[came])
    end_ns = np.append(at_ns, stop_ns)[served]
    return bool(np.any(end_ns - at_ns[came] >= max(1, least_ns)))
