"""Messages that lay unread in connections that a process has opened itself: its own business, and
no finding, but no all-clear either where the thread that reads them stood in another wait.

A download that is worked on slowly looks much the same, and so does what a server says to a client
that it has no news for. So messages are told of only where more came while nothing was read, and
nothing had come for a while before: whoever sends on request does so at once, until there is no
room, or says one thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from waitspy.judge import blame, places
from waitspy.judge.listeners import Done, may_accept
from waitspy.judge.spans import Span
from waitspy.judge.thread_time import cut
from waitspy.model.activities import NO_ACTIVITIES, Activity
from waitspy.model.clock import NS
from waitspy.model.judged import UnreadMessages
from waitspy.model.messages import MessageEvent
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.waits import WaitKind

_UNREAD_NS = NS
_QUIET_NS = NS // 5
_LOOKS_APART_NS = 60_000_000  # something may have been read so much earlier than it is seen
_MOSTLY = 0.9
_AT_WORK = frozenset({WaitKind.ON_CPU, WaitKind.UNKNOWN})
_IDLE = frozenset({WaitKind.POOL_IDLE, WaitKind.LOOP_POLL})


@dataclass(frozen=True, slots=True)
class _Lay:
    """Something lay unread in a connection for a while, and its peer went on sending."""

    peer: str
    span: Span
    readers: frozenset[int]


def unread(
    workers: Sequence[WorkerRecord], done: Done, sources: SourceLines, end_ns: int
) -> tuple[UnreadMessages, ...]:
    """The longest time of each connection in which that was so, and what the thread did that reads
    there; by how long it was.
    """
    found: dict[tuple[str, int | None], UnreadMessages] = {}
    for worker in workers:
        last_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
        for lay in _lain(worker.messages, last_ns):
            one = _told(worker, lay, done, sources)
            if one is not None:
                key = one.peer, one.reader.line
                found[key] = max(one, found.get(key, one), key=lambda told: told.longest_s)
    return tuple(sorted(found.values(), key=lambda one: (-one.longest_s, one.peer)))


def _lain(events: Sequence[MessageEvent], end_ns: int) -> Iterator[_Lay]:
    by_inode: dict[int, list[MessageEvent]] = {}
    for event in events:
        by_inode.setdefault(event.inode, []).append(event)
    for mine in by_inode.values():
        peer = next((event.peer for event in mine if event.peer is not None), None)
        readers = frozenset(event.reader for event in mine if event.reader is not None)
        rows = [event for event in mine if event.unread is not None or event.closed]
        if peer is None:
            continue
        for start_ns, until_ns in _untaken(rows, end_ns):
            if until_ns - start_ns >= _UNREAD_NS:
                yield _Lay(peer, (start_ns, until_ns), readers)


def _untaken(rows: Sequence[MessageEvent], end_ns: int) -> Iterator[Span]:
    """When something lay there, nothing was read, and more came after its peer had been quiet."""
    since_ns: int | None = None
    read: int | None = None
    goes_on = False
    for row in rows:
        if row.closed or row.read != read:
            if since_ns is not None and goes_on:
                yield since_ns, row.at_ns - _LOOKS_APART_NS
            read, goes_on = (None if row.closed else row.read), False
            since_ns = row.at_ns if row.unread else None
        else:
            goes_on = goes_on or row.quiet_ns >= _QUIET_NS
            since_ns = row.at_ns if since_ns is None else since_ns
    if since_ns is not None and goes_on:
        yield since_ns, end_ns


def _told(
    worker: WorkerRecord, lay: _Lay, done: Done, sources: SourceLines
) -> UnreadMessages | None:
    """What is told of it; None unless all who read there stood in waits for something else.

    Who has stood in one for long before has not read what was read last.
    """
    start_ns, end_ns = lay.span
    before_ns = start_ns - NS
    waits: list[tuple[bool, int, Activity]] = []
    for tid in lay.readers:
        mine = done.get(worker.thread(tid), NO_ACTIVITIES)
        held = [one for one in cut(mine, start_ns, end_ns) if one.wait.kind not in _AT_WORK]
        lengths_ns = [one.end_ns - one.start_ns for one in held]
        if any(map(_is_idle, held)) or sum(lengths_ns) < _MOSTLY * (end_ns - start_ns):
            return None
        lately = any(one.start_ns > before_ns for one in cut(mine, before_ns, start_ns + 1)[-1:])
        longest = max(range(len(held)), key=lengths_ns.__getitem__)
        waits.append((lately, lengths_ns[longest], held[longest]))
    one = max(waits, key=lambda each: each[:2])[2] if waits else None
    frame = None if one is None else blame.blamed(one.stack)
    if one is None or frame is None:
        return None
    reader = places.of_wait(worker.worker.pid, frame, one, sources)
    return UnreadMessages(lay.peer, (end_ns - start_ns) / NS, reader)


def _is_idle(one: Activity) -> bool:
    """Whether a thread waited for whatever comes: why not for this, is not known."""
    wait = one.wait
    gets = wait.kind is WaitKind.QUEUE and not (wait.call or "").endswith("put")
    return gets or wait.kind in _IDLE or may_accept(one.stack, wait)
