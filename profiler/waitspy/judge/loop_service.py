"""What a loop's own ready queue and timers tell: when it served, and what was late.

From the rows of the ``asyncio`` oracle alone. A loop serves at a time when its queue's counter
says that callbacks were run, or when it is seen in its own poll; between two such times nothing
of it was served, so what was due then waited.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from waitspy.judge import fifo
from waitspy.judge.episode import Item
from waitspy.judge.timeline import Span
from waitspy.model.loops import LoopEvent, LoopInfo, LoopWork


def addresses(events: Iterable[LoopEvent], epfd: int) -> frozenset[int]:
    """The loop objects on that epoll descriptor (another one each time the number is reused)."""
    return frozenset(e.loop for e in events if e.facts is not None and e.facts.epfd == epfd)


def was_parked(events: Iterable[LoopEvent], epfd: int, at_ns: int) -> bool:
    """Whether the loop object on that descriptor was last seen outside of its ``run_forever``."""
    facts = _facts_at(events, epfd, at_ns)
    return facts is not None and facts.how not in {None, "running"}


def ran_in_c(events: Iterable[LoopEvent], epfd: int, at_ns: int) -> bool:
    """Whether it is one written in C, which has no frames, and was last seen running."""
    facts = _facts_at(events, epfd, at_ns)
    return facts is not None and (facts.kind, facts.how) == ("uvloop", "running")


def _facts_at(events: Iterable[LoopEvent], epfd: int, at_ns: int) -> LoopInfo | None:
    facts = [e.facts for e in events if e.facts is not None and e.at_ns <= at_ns]
    mine = [one for one in facts if one.epfd == epfd and not one.closed]
    return mine[-1] if mine else None


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


def count_between(events: Sequence[LoopEvent], start_ns: int, end_ns: int) -> int:
    """How many callbacks were seen to be run after the first time and before the second one."""
    count = 0
    before: dict[int, tuple[int, int]] = {}
    for event in events:
        if event.service is None or event.at_ns >= end_ns:
            continue
        if event.loop in before and event.at_ns > start_ns:
            count += _taken(before[event.loop], event.service)
        before[event.loop] = event.service
    return count


def _taken(before: tuple[int, int], now: tuple[int, int]) -> int:
    """Every callback put into the queue or taken from it adds one to the second number."""
    return max(0, ((now[1] - before[1]) - (now[0] - before[0])) // 2)


def queued_long(events: Sequence[LoopEvent], least_ns: int, stop_ns: int) -> Iterator[fifo.Waiting]:
    """Callbacks that the counters of a loop's queue prove to have waited for so long."""
    counts: dict[int, list[tuple[int, int, int]]] = {}
    before: dict[int, tuple[int, int]] = {}
    for event in events:
        if event.service is None:
            continue
        rows = counts.setdefault(event.loop, [])
        taken = rows[-1][2] if rows else 0
        if event.loop in before:
            taken += _taken(before[event.loop], event.service)
        before[event.loop] = event.service
        rows.append((event.at_ns, event.service[0], taken))
    for rows in counts.values():
        yield from fifo.late(rows, least_ns, stop_ns)


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


def longest_gap(served: Sequence[int], start_ns: int, end_ns: int) -> Span:
    """The longest part of a span in which nothing was served."""
    inside = served[bisect_right(served, start_ns) : bisect_left(served, end_ns)]
    edges = [start_ns, *inside, end_ns]
    return max(itertools.pairwise(edges), key=lambda gap: gap[1] - gap[0])


def longest_gap_ns(served: Sequence[int], start_ns: int, end_ns: int) -> int:
    """How long that is."""
    gap = longest_gap(served, start_ns, end_ns)
    return gap[1] - gap[0]


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
            name, where, is_task = work.first[n]
            yield Item("task" if is_task else "callback", name, where, came_ns, until_ns)
        else:
            more = work.ready - len(work.first)
            yield Item("callback", "further callbacks", None, came_ns, until_ns, count=more)
            return
