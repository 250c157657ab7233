"""How much work waited, over time: what a timeline draws beneath the threads.

Counts come from the oracles' rows as they are; whether a wait is starvation is judged elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from waitspy.judge import loops
from waitspy.judge.episode import Item
from waitspy.judge.loops import Loop
from waitspy.judge.pools import Pool
from waitspy.model.judged import PendingKind, PendingSeries
from waitspy.model.points import Points
from waitspy.model.recorded import WorkerRecord

_KINDS: Mapping[PendingKind, str] = {"ready": "callback", "overdue": "timer"}


def of_loops(
    worker: WorkerRecord, own_loops: Sequence[Loop], end_ns: int
) -> Iterator[PendingSeries]:
    """What waited on each of a worker's loops; series in which nothing ever waited are left out."""
    end_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    for loop in own_loops:
        name = f"loop on epoll descriptor {loop.epfd}"
        pid = worker.worker.pid
        unread = _unread(worker, loop.epfd, end_ns)
        if len(unread):
            yield PendingSeries(pid, loop.tid, name, "unread", unread)
        for series, kind in _KINDS.items():
            points = _late((i for i in loop.items if i.kind == kind), worker.attached_ns)
            if points:
                yield PendingSeries(pid, loop.tid, name, series, points)


def of_pools(own_pools: Sequence[Pool]) -> Iterator[PendingSeries]:
    """What waited in each pool's queue."""
    for pool in own_pools:
        points = _changes([(at_ns, queued) for at_ns, queued, _ in pool.counts])
        if points:
            yield PendingSeries(pool.pid, None, pool.title, "queued", points)


def of_listeners(workers: Sequence[WorkerRecord]) -> Iterator[PendingSeries]:
    """What waited to be accepted, told with one of the processes that share the socket."""
    names = {e.inode: e.name for w in workers for e in w.listeners if e.name is not None}
    counts: dict[int, list[tuple[int, int]]] = {}
    tellers: dict[int, int] = {}
    for worker in workers:
        for event in worker.listeners:
            if event.waiting is not None:
                counts.setdefault(event.inode, []).append((event.at_ns, event.waiting))
                tellers.setdefault(event.inode, worker.worker.pid)
    for inode, rows in counts.items():
        points = _changes(sorted(rows))
        if points and inode in names:
            name = f"connections to {names[inode]}"
            yield PendingSeries(tellers[inode], None, name, "backlog", points)


def _unread(worker: WorkerRecord, epfd: int, end_ns: int) -> Points:
    """Ready sockets; at least one where nobody has counted them.

    Of Node.js none where a look has shown none: an epoll's readiness says nothing there.
    """
    least = 1 if worker.worker.node is None else 0
    events = worker.epolls.behind(epfd)
    counts = loops.is_ready(events).astype(np.int64)
    for n, event in events.others.items():
        if counts[n] and event.unread is not None:
            counts[n] = max(least, len(event.unread))
    end_ns = max([end_ns, *events.at_ns[-1:].tolist()])
    at_ns, counts = np.append(events.at_ns, end_ns), np.append(counts, 0)
    changed = np.flatnonzero(np.diff(counts, prepend=0))
    return Points(at_ns[changed], counts[changed])


def _late(items: Iterable[Item], from_ns: int) -> tuple[tuple[int, int], ...]:
    """How many of these items waited at each time."""
    steps: Counter[int] = Counter()
    for item in items:
        steps[max(from_ns, item.start_ns)] += item.count
        steps[max(from_ns, item.end_ns)] -= item.count
    points = []
    count = 0
    for at_ns in sorted(steps):
        count += steps[at_ns]
        points.append((at_ns, count))
    return _changes(points)


def _changes(points: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for at_ns, count in points:
        if (found[-1][1] if found else 0) != count:
            found.append((at_ns, count))
    return tuple(found)
