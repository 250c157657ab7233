"""Groups of threads that take from one queue: where they idle, and whether anybody waits for them.

Work in such a queue may be meant to wait: a log line, a statistic, a mail. It is starved if whoever
handed it in waits for it: by a future or an event in it, or as a client whose connection it is.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from enum import Enum

from waitspy.judge import pool_threads, requests
from waitspy.judge.spans import Span
from waitspy.judge.thread_time import cut
from waitspy.model.activities import NO_ACTIVITIES, Activities
from waitspy.model.pools import PoolInfo, PoolWaits
from waitspy.model.recorded import WorkerRecord

_FOR_ITEMS = frozenset({"queue", "condition"})


def idle(worker: WorkerRecord, done: Mapping[int, Activities], info: PoolInfo) -> pool_threads.Idle:
    """Where the threads of a group were seen to wait for something to do."""
    return frozenset(
        frame
        for event in worker.wait_for
        for one in event.waiting
        if one.tid in info.tids and one.subject in info.signals and one.kind in _FOR_ITEMS
        for activity in cut(done.get(one.tid, NO_ACTIVITIES), event.at_ns, event.at_ns + 1)
        if (frame := pool_threads.caller(activity.stack)) is not None
    )


class WhoWaits(Enum):
    """Who waits for items of a queue."""

    REQUESTS = "clients of a server"
    CALLERS = "tasks or threads"
    NOBODY = "nobody that was seen"


def who_waits(
    worker: WorkerRecord,
    looks: Iterable[tuple[int, PoolWaits]],
    own: Container[int],
    span: Span,
    min_stall_ns: int,
) -> WhoWaits:
    """Who was seen to wait at the looks of a span; the queue's ``own`` threads aside."""
    mine = [waits for at_ns, waits in looks if span[0] <= at_ns <= span[1]]
    if any(waits.of_requests for waits in mine):
        return WhoWaits.REQUESTS
    if are_clients(worker, mine, span, min_stall_ns):
        return WhoWaits.REQUESTS
    wanted = _waiting(worker, mine, own, (0, span[1]))
    awaited = any(waits.awaiting for waits in mine)
    return WhoWaits.CALLERS if wanted or awaited else WhoWaits.NOBODY


def are_clients(
    worker: WorkerRecord, looks: Iterable[PoolWaits], span: Span, min_stall_ns: int
) -> bool:
    """Whether there were connections in the items, and clients are owed an answer meanwhile."""
    return any(waits.of_clients for waits in looks) and requests.is_owed(worker, span, min_stall_ns)


def have_several_callers(
    worker: WorkerRecord,
    looks: Iterable[tuple[int, PoolWaits]],
    own: Container[int],
    span: Span,
) -> bool:
    """Whether several threads wait for items, each for its own."""
    mine = [waits for at_ns, waits in looks if span[0] <= at_ns <= span[1]]
    return len(_waiting(worker, mine, own, span)) > 1


def _waiting(
    worker: WorkerRecord, looks: Iterable[PoolWaits], own: Container[int], span: Span
) -> set[int]:
    """The threads that were seen to wait for what is promised by these items."""
    promises = {address for waits in looks for address in waits.promises}
    return {
        one.tid
        for event in worker.wait_for
        if span[0] <= event.at_ns <= span[1]
        for one in event.waiting
        if one.subject in promises and one.tid not in own
    }
