"""What a loop's own ready queue and timers tell: when it served, and what was late.

From the rows of the ``asyncio`` oracle alone. A loop serves at a time when its queue's counter
says that callbacks were run, or when it is seen in its own poll; between two such times nothing
of it was served, so what was due then waited.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from profiler.loop_events import LoopEvent, LoopWork
from profiler.timeline import Span


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that waited on a loop, from when it was due until the loop served again.

    ``guards`` marks a timer that limits the time of something else.
    """

    kind: Literal["timer", "callback"]
    name: str
    where: str | None
    start_ns: int
    end_ns: int
    guards: bool = False
    count: int = 1


def addresses(events: Iterable[LoopEvent], epfd: int) -> frozenset[int]:
    """The loop objects on that epoll descriptor (another one each time the number is reused)."""
    return frozenset(e.loop for e in events if e.facts is not None and e.facts.epfd == epfd)


def served_at(events: Sequence[LoopEvent]) -> tuple[int, ...]:
    """When the counters of one loop's queue show that callbacks had been run since before."""
    times = []
    before: dict[int, tuple[int, int]] = {}
    for event in events:
        if event.service is None:
            continue
        ready, state = event.service
        if event.loop in before:
            ready_before, state_before = before[event.loop]
            if (state - state_before) - (ready - ready_before) > 1:
                times.append(event.at_ns)
        before[event.loop] = event.service
    return tuple(times)


def late_items(
    events: Sequence[LoopEvent], served: Sequence[int], polls: Sequence[Span], stop_ns: int
) -> list[Item]:
    """What waited, for every period in which the loop served nothing and was looked at."""
    marks = sorted({*served, *(start for start, _ in polls)})
    last: dict[int, LoopEvent] = {}
    for event in events:
        if event.work is not None and event.at_ns < stop_ns:
            last[bisect_right(marks, event.at_ns)] = event  # the last look knows most
    items: list[Item] = []
    for n, event in last.items():
        assert event.work is not None
        since_ns = marks[n - 1] if n else 0
        until_ns = min(marks[n], stop_ns) if n < len(marks) else stop_ns
        items.extend(_timers(event.work, event.at_ns, until_ns))
        items.extend(_callbacks(event.work, events, since_ns, event.at_ns, until_ns))
    return [item for item in items if item.start_ns < item.end_ns]


def longest_gap_ns(served: Sequence[int], start_ns: int, end_ns: int) -> int:
    """The longest time within a span in which nothing was served."""
    inside = served[bisect_right(served, start_ns) : bisect_left(served, end_ns)]
    edges = [start_ns, *inside, end_ns]
    return max(b - a for a, b in itertools.pairwise(edges))


def _timers(work: LoopWork, seen_ns: int, until_ns: int) -> Iterable[Item]:
    for timer in work.late:
        yield Item("timer", timer.name, timer.where, timer.due_ns, until_ns, timer.guards)
    more = (work.overdue or 0) - len(work.late)
    if more > 0:
        yield Item("timer", "further timers", None, seen_ns, until_ns, count=more)


def _callbacks(
    work: LoopWork, events: Sequence[LoopEvent], since_ns: int, seen_ns: int, until_ns: int
) -> Iterable[Item]:
    """Ready callbacks; the queue is first in, first out, so its length tells when each came."""
    lengths = [
        (e.at_ns, e.service[0])
        for e in events
        if e.service is not None and since_ns <= e.at_ns <= seen_ns
    ]
    for n in range(work.ready):
        came_ns = next((at_ns for at_ns, length in lengths if length > n), seen_ns)
        if n < len(work.first):
            yield Item("callback", *work.first[n], came_ns, until_ns)
        else:
            more = work.ready - len(work.first)
            yield Item("callback", "further callbacks", None, came_ns, until_ns, count=more)
            return
