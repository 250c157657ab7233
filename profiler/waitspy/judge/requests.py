"""What is owed to clients: a number with an age for each port, and no finding.

Why a client waits is not judged here: the server may wait for something itself, and a long poll is
meant to wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from waitspy.judge.spans import Span
from waitspy.model.clock import NS
from waitspy.model.judged import OwedRequests
from waitspy.model.listeners import port_of
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent

_INNER = re.compile(
    r"/pymp-[^/]*/listener-[^/]*$"
)  # of multiprocessing: Lib/multiprocessing/util.py


def owed(
    workers: Sequence[WorkerRecord], end_ns: int, *, same_stall: bool
) -> tuple[OwedRequests, ...]:
    """What was owed on each port at the end, sorted by port.

    What was late was counted while it was recorded: ``same_stall`` says that --min-stall has not
    changed since; else how many were late at once is not known.
    """
    ports = sorted({event.port for worker in workers for event in worker.requests})
    return tuple(_port(port, workers, end_ns, same_stall=same_stall) for port in ports)


def unseen(workers: Iterable[WorkerRecord], end_ns: int) -> tuple[str, ...]:
    """The unix sockets at which workers listen in the end, by name: the kernel does not tell when
    something last came or went by their connections.
    """
    found: set[str] = set()
    for worker in workers:
        if worker.worker.role != "worker" or (worker.gone_ns or end_ns) < end_ns:
            continue
        closed = {event.inode for event in worker.listeners if event.closed}
        found |= {
            event.name
            for event in worker.listeners
            if event.name and event.inode not in closed and port_of(event.name) is None
        }
    return tuple(sorted(name for name in found if not _INNER.search(name)))


def is_owed(worker: WorkerRecord, span: Span, least_ns: int) -> bool:
    """Whether a client had waited for an answer for so long at the end of a span.

    What is looked at in the tick that ends it shows what is answered by then.
    """
    last: dict[int, RequestsEvent] = {}
    for event in worker.requests:  # each holds until the next one about its port
        if event.at_ns < span[1]:
            last[event.port] = event
    return any(
        event.since_ns is not None and span[1] - event.since_ns >= least_ns
        for event in last.values()
    )


def _port(
    port: int, workers: Sequence[WorkerRecord], end_ns: int, *, same_stall: bool
) -> OwedRequests:
    late = [e.late for w in workers for e in w.requests if e.port == port and e.late is not None]
    most = max(late) if late and same_stall else None
    last = list(_last(port, workers, end_ns))
    longest_ns = max((ns for one in workers for ns in _waited_ns(port, one)), default=None)
    counts = [event.owed for event in last if event.owed is not None]
    if not last or len(counts) < len(last):
        return OwedRequests(port, most=most, longest_s=_in_s(longest_ns))
    since_ns = [event.since_ns for event in last if event.since_ns is not None]
    oldest_ns = max(0, end_ns - min(since_ns)) if since_ns else None
    longest_ns = max((ns for ns in (longest_ns, oldest_ns) if ns is not None), default=None)
    return OwedRequests(port, sum(counts), _in_s(oldest_ns), most, _in_s(longest_ns))


def _waited_ns(port: int, worker: WorkerRecord) -> Iterator[int]:
    """How long a client was seen to wait, at the last look at which each row held."""
    mine = [event for event in worker.requests if event.port == port]
    for event, following in zip_longest(mine, mine[1:]):
        if event.since_ns is not None:
            until_ns = event.at_ns
            if following is not None and following.before_until_ns is not None:
                until_ns = max(until_ns, following.before_until_ns)
            yield max(0, until_ns - event.since_ns)


def _in_s(length_ns: int | None) -> float | None:
    return None if length_ns is None else length_ns / NS


def _last(port: int, workers: Iterable[WorkerRecord], end_ns: int) -> Iterator[RequestsEvent]:
    """What holds at the end: of every network namespace, one of those still there tells it."""
    for worker in workers:
        if worker.gone_ns is None or worker.gone_ns >= end_ns:
            yield from [event for event in worker.requests if event.port == port][-1:]
