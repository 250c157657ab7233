"""Times at which nobody looked: settled once on loading, so that no judge can forget them.

Rows are changes only, so a row would seem to hold all through a gap. Where a thread may have run
meanwhile, it gets a row that says that it was not looked at, and so do the loops that it may have
served. Pools have one where items were taken meanwhile. A thread whose time on the CPU is the same
before and after did not run, and a loop of asyncio whose queue has handed out no callback served
nothing, whatever its thread did: what was known of them holds on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from waitspy.model.columns import UNKNOWN, Int64s
from waitspy.model.loops import LoopEvent, LoopEvents
from waitspy.model.pools import PoolEvent
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import NOT_LOOKED, KernelStates

Gap = tuple[int, int]

_SOON_NS = 50_000_000  # a queue that is slow to read is not read at every look
_TORN = 1  # its length and its changes may be read in between: what is handed out counts two


def settle(worker: WorkerRecord, gaps: Sequence[Gap]) -> WorkerRecord:
    """The worker with rows for what is not known of it in these gaps (sorted)."""
    stop_ns = worker.gone_ns
    mine = tuple(
        (start_ns, end_ns)
        for start_ns, end_ns in gaps
        if end_ns > worker.attached_ns and (stop_ns is None or start_ns < stop_ns)
    )
    if not mine:
        return worker
    ran: dict[Gap, set[int]] = {gap: set() for gap in mine}
    states = {tid: _threads(tid, own, ran) for tid, own in worker.states.items()}
    return replace(
        worker,
        states=states,
        loops=_loops(worker.loops, ran, states),
        pools=tuple(_pools(worker.pools, [gap for gap in mine if ran[gap] or not states])),
        gaps=mine,
    )


def _threads(tid: int, states: KernelStates, ran: Mapping[Gap, set[int]]) -> KernelStates:
    """The states with a row at every gap in which the thread may have run, noted in ``ran``."""
    edges = np.array(list(ran), np.int64)
    before = np.searchsorted(states.at_ns, edges[:, 0], "right") - 1
    after = np.searchsorted(states.at_ns, edges[:, 1], "right") - 1
    ran_ns = states.ran_ns
    stood = (ran_ns[after] == ran_ns[before]) & (ran_ns[before] != UNKNOWN)
    unseen = np.flatnonzero((before >= 0) & (after != before) & ~stood)
    for n in unseen.tolist():
        ran[int(edges[n, 0]), int(edges[n, 1])].add(tid)
    rows = len(unseen)
    added = (edges[unseen, 0], [ord(NOT_LOOKED)] * rows, *([[UNKNOWN] * rows] * 4))
    return KernelStates(
        *(
            np.insert(column, before[unseen] + 1, values)
            for column, values in zip(states.columns, added, strict=True)
        )
    )


def _loops(
    events: LoopEvents, ran: Mapping[Gap, set[int]], states: Mapping[int, KernelStates]
) -> LoopEvents:
    """The events with one at every gap in which the loop may have served."""
    latest_ns = np.maximum.accumulate(events.at_ns)
    owners: dict[int, int | None] = {}
    facts = deque((n, e.loop, e.facts) for n, e in events.others.items() if e.facts is not None)
    counts, ends_ns = _counts(events), _ends_ns(ran)
    unseen = []
    for gap in ran:
        place = int(np.searchsorted(latest_ns, gap[0], "right"))
        while facts and facts[0][0] < place:
            _, loop, told = facts.popleft()
            owners[loop] = told.owner_tid
        unseen += [
            (place, LoopEvent(gap[0], loop, unseen=True))
            for loop, owner in owners.items()
            if (owner is None or owner not in states or owner in ran[gap])
            and not _stood(counts.get(loop), gap, ends_ns[gap])
        ]
    return events.with_more(unseen)


def _counts(events: LoopEvents) -> dict[int, tuple[Int64s, Int64s]]:
    """When which loop of asyncio had handed out how many callbacks, in steps of two.

    All that such a loop serves goes through its queue; uvloop serves I/O without it.
    """
    kinds = {e.loop: e.facts.kind for e in events.facts if e.facts is not None}
    at_ns, loop, ready, changes = events.served.columns
    rows = {address: loop == n for address, n in events.numbers.items()}
    return {
        address: (at_ns[mine], (changes - ready)[mine])
        for address, mine in rows.items()
        if kinds.get(address) == "asyncio"
    }


def _ends_ns(gaps: Iterable[Gap]) -> dict[Gap, int]:
    """By when it is known what each gap has brought: the end of the last one of those that follow
    upon each other. A look that takes long is a gap itself, and what it reads may be as late.
    """
    found: dict[Gap, int] = {}
    following: Gap | None = None
    for gap in sorted(gaps, reverse=True):
        goes_on = following is not None and following[0] <= gap[1] + _SOON_NS
        found[gap] = found[following] if following is not None and goes_on else gap[1]
        following = gap
    return found


def _stood(counts: tuple[Int64s, Int64s] | None, gap: Gap, known_ns: int) -> bool:
    """Whether a queue is known to have handed out nothing in a gap.

    A row of the very look that ended the gap says so, as does that there is none for a while after
    it is known what the gap has brought.
    """
    start_ns, end_ns = gap
    if counts is None:
        return False
    at_ns, steps = counts
    first = int(np.searchsorted(at_ns, start_ns, "right"))
    if not first:
        return False
    told = first < len(at_ns) and at_ns[first] == end_ns
    last = int(np.searchsorted(at_ns, end_ns if told else known_ns + _SOON_NS, "right"))
    return bool(np.all(steps[first:last] - steps[first - 1] <= _TORN))


def _pools(events: Sequence[PoolEvent], gaps: Iterable[Gap]) -> Iterable[PoolEvent]:
    """The events with one at every gap in which items were taken from that pool's queue.

    Where as many were taken after it as before, those that waited have waited on.
    """
    queues: dict[int, list[tuple[int, int]]] = {}
    for event in events:
        if event.queue is not None:
            queues.setdefault(event.pool, []).append((event.at_ns, event.queue[1]))
    unseen = [
        PoolEvent(start_ns, pool, unseen=True)
        for start_ns, end_ns in gaps
        for pool, rows in queues.items()
        if _taken_within(rows, start_ns, end_ns)
    ]
    return sorted([*events, *unseen], key=lambda event: event.at_ns)


def _taken_within(rows: Sequence[tuple[int, int]], start_ns: int, end_ns: int) -> bool:
    """Whether a row soon after a gap says that more items were taken than the one before it."""
    n = bisect_right(rows, start_ns, key=lambda row: row[0])
    if not 0 < n < len(rows) or rows[n][0] > end_ns + _SOON_NS:
        return False
    return rows[n][1] != rows[n - 1][1]
