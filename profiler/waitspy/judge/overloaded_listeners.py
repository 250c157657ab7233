"""Episodes of listening sockets whose workers work all along, and yet let connections in late.

How long each connection has waited is known from the kernel, however many come and go: by when its
client last spoke. Where all who accept are blocked, ``listeners`` tells of it. Here they do one
request after the other, computing or in waits too short to count, and there are more than they can
do. If some of them idle meanwhile, it is something else that keeps the connections out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from waitspy.judge.episode import Item, Starvation
from waitspy.judge.listeners import (
    Done,
    Listener,
    connection_name,
    may_accept,
    who_accepts,
)
from waitspy.judge.spans import Span, length_ns, union, without
from waitspy.judge.thread_time import cut
from waitspy.model.activities import NO_ACTIVITIES, Activity
from waitspy.model.kinds import ACCEPT_BACKLOG
from waitspy.model.listeners import port_of
from waitspy.model.oracle_names import REQUESTS, THREADS
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent
from waitspy.model.waits import WaitKind

_BUSY = 0.8  # of the time: between two requests a worker asks for the next one


def find(
    some: Sequence[Listener],
    workers: Sequence[WorkerRecord],
    done: Done,
    blocked: Iterable[Starvation],
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """The episodes of these listeners beside those in which all who accept were ``blocked``."""
    stalls = list(blocked)
    ports: dict[int, list[Listener]] = {}
    for listener in some:
        port = port_of(listener.name)
        if port is not None:
            ports.setdefault(port, []).append(listener)
    for port, own in ports.items():
        acceptors = sorted({key for one in own for key in one.acceptors})
        names = {one.name for one in own}
        known = union((one.start_ns, one.end_ns) for one in stalls if one.place in names)
        unseen = [gap for worker in workers for gap in _unseen(worker, acceptors, end_ns)]
        told = (e for worker in workers for e in worker.requests if e.port == port)
        events = sorted(told, key=lambda e: e.at_ns)  # in turn, if one that told of it has ended
        late = [
            part
            for span in _outside(events, end_ns)
            for part in without(span, union([*known, *unseen]))
            if part[1] - part[0] >= min_stall_ns
        ]
        if length_ns(late) <= length_ns(known):
            continue  # they are blocked for most of it: the rest is the same story
        for span in late:
            guilty = {key: cut(done.get(key, NO_ACTIVITIES), *span) for key in acceptors}
            if _are_busy(guilty, span):
                waited = _items(events, min(names), span, min_stall_ns)
                yield _starvation(min(names), guilty, span, tuple(waited))


def _unseen(worker: WorkerRecord, acceptors: Sequence[ThreadKey], end_ns: int) -> Iterator[Span]:
    """When it is not known what it did, if it is one of those that accept."""
    if any(worker.thread(key.tid) == key for key in acceptors):
        yield 0, worker.attached_ns
        yield from worker.gaps
        yield (end_ns if worker.gone_ns is None else worker.gone_ns), end_ns


def _outside(events: Sequence[RequestsEvent], end_ns: int) -> list[Span]:
    """When somebody waited to be accepted who had to do so for long."""
    spans: list[Span] = []
    for event, after in zip_longest(events, events[1:]):
        until_ns = end_ns if after is None else after.at_ns
        if event.let_in_mean_ns is not None:
            spans.append((event.let_in_mean_ns, event.at_ns))
        if event.outside_since_ns is not None:
            spans.append((event.outside_since_ns, until_ns))
    return union(spans)


def _are_busy(guilty: Mapping[ThreadKey, Sequence[Activity]], span: Span) -> bool:
    """Whether all of them are known to have been at work for nearly all of the span."""
    for mine in guilty.values():
        busy = [
            (a.start_ns, a.end_ns)
            for a in mine
            if a.wait.kind is not WaitKind.UNKNOWN and not may_accept(a.stack, a.wait)
        ]
        if length_ns(busy) < _BUSY * (span[1] - span[0]):
            return False
    return bool(guilty)


def _items(
    events: Sequence[RequestsEvent], name: str, span: Span, min_stall_ns: int
) -> Iterator[Item]:
    """The connections that were let in late within a span, or not at all until its end."""
    last: RequestsEvent | None = None
    for event in events:
        if event.at_ns > span[1]:
            break
        last = event
        since_ns = event.let_in_mean_ns if event.at_ns > span[0] else None
        if since_ns is not None and event.at_ns - since_ns >= min_stall_ns:
            yield _item(name, since_ns, event.at_ns, event.let_in)
    if last is not None and last.outside and last.outside_mean_ns is not None:
        yield _item(name, last.outside_mean_ns, span[1], last.outside)


def _item(name: str, start_ns: int, end_ns: int, count: int) -> Item:
    return Item("connection", connection_name(name), None, start_ns, end_ns, count=count)


def _starvation(
    name: str,
    guilty: Mapping[ThreadKey, tuple[Activity, ...]],
    span: Span,
    items: tuple[Item, ...],
) -> Starvation:
    pid, tid, process = min(guilty)
    return Starvation(
        kind=ACCEPT_BACKLOG,
        verdict="late",
        pid=pid,
        tid=tid,
        process=process,
        place=name,
        start_ns=span[0],
        end_ns=span[1],
        held_by=guilty,
        base=None,
        evidence=(REQUESTS, THREADS),
        items=items,
        served=sum(item.count for item in items if item.end_ns < span[1]),
        detail=f"connections to {name}: {who_accepts(guilty)} busy",
    )
