"""What a loop's own ready queue and timers tell: when it served, and what was late.

From the rows of the ``asyncio`` oracle alone. A loop serves at a time when its queue's counter
says that callbacks were run, or when it is seen in its own poll; between two such times nothing
of it was served, so what was due then waited.
"""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from waitspy.judge import fifo, gil
from waitspy.judge.episode import UNNAMED, Item
from waitspy.judge.spans import Span
from waitspy.model.columns import Int64s, int64s
from waitspy.model.gil import MAIN
from waitspy.model.loops import LateTimer, LoopEvent, LoopEvents, LoopInfo, LoopWork

_MANY = 1 << 63  # more than a queue can hold


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


def collecting_ns(events: Iterable[LoopEvent], start_ns: int, end_ns: int) -> int:
    """For how long of a span garbage was seen to be collected."""
    collections: list[Span] = []
    since_ns: int | None = None
    for event in events:
        if event.collecting is None:
            continue
        if event.collecting:
            since_ns = event.at_ns
        elif since_ns is not None:
            collections.append((since_ns, event.at_ns))
            since_ns = None
    ended = bool(collections)
    if since_ns is not None:
        collections.append((since_ns, max(since_ns, end_ns)))
    return gil.believed_ns(collections, (start_ns, end_ns), ended=ended)


def interpreter(events: Iterable[LoopEvent], epfd: int, at_ns: int) -> int:
    """The number of the interpreter that the loop on that descriptor lives in."""
    facts = _facts_at(events, epfd, at_ns)
    return MAIN if facts is None else facts.interpreter


def _facts_at(events: Iterable[LoopEvent], epfd: int, at_ns: int) -> LoopInfo | None:
    facts = [e.facts for e in events if e.facts is not None and e.at_ns <= at_ns]
    mine = [one for one in facts if one.epfd == epfd and not one.closed]
    return mine[-1] if mine else None


class Counters:
    """What the counters of a loop's ready queue showed over time.

    Every callback that is put into the queue or taken from it adds one to its changes. ``served``
    are the times at which callbacks had been run since the look before, ``emptied`` those of
    them at which nothing was left in the queue.
    """

    def __init__(self, events: LoopEvents) -> None:
        columns = events.served.columns
        order = np.argsort(columns[1], kind="stable")  # one loop object after another
        at_ns, loop, ready, changes = (column[order] for column in columns)
        same = np.diff(loop, prepend=-1) == 0
        left = np.diff(changes, prepend=0) - np.diff(ready, prepend=0)
        self._taken = np.where(same, np.maximum(0, left // 2), 0)
        self._rows = at_ns, loop, ready
        numbers = events.numbers
        self._unseen = [(numbers[e.loop], e.at_ns) for e in events.others.values() if e.unseen]
        self._doubted_ns = {at_ns for _, at_ns in self._unseen}
        order = np.argsort(at_ns, kind="stable")
        self._times = at_ns[order]
        self._total = np.append(0, np.cumsum(self._taken[order]))
        served = same & (left > 1)
        emptied = served & (ready == 0)
        self.served: Sequence[int] = array("q", np.sort(at_ns[served]).tobytes())
        self.emptied: Sequence[int] = array("q", np.sort(at_ns[emptied]).tobytes())

    def __len__(self) -> int:
        return len(self._taken)

    def known_in(self, gap: Span) -> bool:
        """Whether it is known that nothing was served in a gap, though nobody looked."""
        counted = len(self._times) > 0 and self._times[0] <= gap[0]
        doubted = gap[0] in self._doubted_ns
        return counted and not doubted and not self.run_between(gap[0], gap[1] + 1)

    def run_between(self, start_ns: int, end_ns: int) -> int:
        """How many callbacks were seen to be run after the first time and before the second."""
        first = np.searchsorted(self._times, start_ns, "right")
        last = np.searchsorted(self._times, end_ns)
        return max(0, int(self._total[last] - self._total[first]))

    def waited_long(self, least_ns: int, stop_ns: int) -> Iterator[fifo.Waiting]:
        """Callbacks that are proven to have waited for so long."""
        at_ns, loop, ready = self._rows
        for one in np.unique(loop).tolist():
            mine = loop == one
            counts = np.stack([at_ns[mine], ready[mine], np.cumsum(self._taken[mine])], axis=1)
            # What happened while nobody looked is not known, and ends a wait.
            ends = [gap_ns for other, gap_ns in self._unseen if other == one]
            parts = np.split(counts, np.searchsorted(counts[:, 0], ends, "right"))
            for part, end_ns in zip(parts, [*ends, stop_ns], strict=True):
                if len(part):
                    done = part[0, 2]
                    yield from fifo.late(part - (0, 0, done), least_ns, min(end_ns, stop_ns))


class Looks:
    """When a loop was looked at, by the periods in which it served nothing."""

    def __init__(self, events: LoopEvents, served: Sequence[int], polls: Sequence[Span]) -> None:
        others = events.others.values()
        unseen = (event.at_ns for event in others if event.unseen)
        more = int64s([*unseen, *(start for start, _ in polls)])
        self.marks = np.unique(np.append(np.array(served, np.int64), more))
        self._times = [event.at_ns for event in others if event.work is not None]

    def any_for(self, span: Span) -> bool:
        """Whether it was looked at until a span's end since it had last served before."""
        n = int(np.searchsorted(self.marks, span[0], "right"))
        since_ns = int(self.marks[n - 1]) if n else 0
        return bisect_left(self._times, span[1]) > bisect_left(self._times, since_ns)


def late_items(events: LoopEvents, marks: Int64s, stop_ns: int) -> list[Item]:
    """What waited, for every period in which the loop served nothing and was looked at.

    ``marks`` are where these periods begin and end, see ``Looks``.
    """
    at_ns, _, ready, _ = events.served.columns
    last: dict[int, LoopEvent] = {}
    named: dict[int, LoopWork] = {}
    for event in events.others.values():
        if event.work is not None and event.at_ns < stop_ns:
            period = int(np.searchsorted(marks, event.at_ns, "right"))
            last[period] = event  # the last look knows most
            if event.work.named:
                named[period] = event.work
    items: list[Item] = []
    for n, event in last.items():
        assert event.work is not None
        since_ns = int(marks[n - 1]) if n else 0
        until_ns = min(int(marks[n]), stop_ns) if n < len(marks) else stop_ns
        names = named.get(n, event.work)
        items.extend(_timers(event.work, names.late, event.at_ns, until_ns))
        here = slice(
            int(np.searchsorted(at_ns, since_ns)), int(np.searchsorted(at_ns, event.at_ns, "right"))
        )
        known = [*zip(at_ns[here].tolist(), ready[here].tolist(), strict=True)]
        items.extend(_callbacks(event.work, known, event.at_ns, until_ns))
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


def _timers(
    work: LoopWork, named: Sequence[LateTimer], seen_ns: int, until_ns: int
) -> Iterable[Item]:
    """The overdue timers; those that an earlier look in the same period has named go by it."""
    left = Counter(timer.due_ns for timer in named)
    rest = [timer for timer in work.late if timer not in named]
    late = [*named]
    for timer in rest:
        if left[timer.due_ns]:
            left[timer.due_ns] -= 1
        else:
            late.append(timer)
    for timer in late:
        yield Item("timer", timer.name, timer.where, timer.due_ns, until_ns, timer.guards)
    more = (work.overdue or 0) - len(late)
    if more > 0:
        yield Item("timer", UNNAMED, None, seen_ns, until_ns, count=more)


def _callbacks(
    work: LoopWork, lengths: Sequence[tuple[int, int]], seen_ns: int, until_ns: int
) -> Iterable[Item]:
    """Ready callbacks; the queue is first in, first out, so its length tells when each came.

    ``lengths`` are those of the queue (with their times) since the loop last served.
    """
    at = 0
    for n in range(work.ready):
        while at < len(lengths) and lengths[at][1] <= n:
            at += 1
        came_ns = lengths[at][0] if at < len(lengths) else seen_ns
        if n < len(work.first):
            name, where, is_task = work.first[n]
            yield Item("task" if is_task else "callback", name, where, came_ns, until_ns)
        else:
            more = work.ready - len(work.first)
            yield Item("callback", UNNAMED, None, came_ns, until_ns, count=more)
            return
