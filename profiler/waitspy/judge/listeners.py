"""Episodes of listening sockets: connections waited while all that accept there were blocked.

Who accepts is known from what a process holds: connections that came in by that socket, and from
its siblings. The master of a pre-forking server holds the socket, but none of those. A listener
that an event loop watches is judged with that loop; one that several epolls or processes share,
only where those are known to be event loops.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np

from waitspy.judge import blame, fifo, new_threads
from waitspy.judge.episode import Item, Starvation
from waitspy.judge.spans import Span, common, outside, union
from waitspy.judge.thread_time import cut
from waitspy.judge.timeline import still_spans
from waitspy.model import syscalls
from waitspy.model.activities import NO_ACTIVITIES, Activities, Activity, Answers
from waitspy.model.clock import NS
from waitspy.model.code_origin import Origin
from waitspy.model.columns import Int64s, Mask, int64s, one_of
from waitspy.model.datagrams import DatagramEvent
from waitspy.model.judged import Unaccepted
from waitspy.model.kinds import ACCEPT_BACKLOG, NO_CPU
from waitspy.model.listeners import ListenerEvent, port_of
from waitspy.model.oracle_names import BACKLOG, THREADS
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent
from waitspy.model.stacks import Stack
from waitspy.model.threads import FOREVER_NS, NO_STATES, KernelStates
from waitspy.model.waits import Wait, WaitKind

_UNACCEPTED_NS = NS
_SERVERS = "/socketserver.py", "serve_forever", "handle_request"  # the program calls these itself
_LOOKS_APART_NS = 60_000_000  # a thread may be looked at by so much sooner or later than a socket

Done = Mapping[ThreadKey, Activities]
"""What each thread of the recording did."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket: who accepts there, and how many connections waited at which times."""

    name: str
    acceptors: tuple[ThreadKey, ...]
    counts: tuple[tuple[int, int], ...]


def shared(workers: Sequence[WorkerRecord]) -> frozenset[int]:
    """The listening sockets (by inode) of which several processes or epolls are known."""
    users: dict[int, set[tuple[ThreadKey, int | None]]] = {}
    for worker in workers:
        for event in worker.listeners:
            if event.name is not None:
                users.setdefault(event.inode, set()).add((worker.thread(0), None))
        for look, unread in worker.epolls.looks:
            for one in unread:
                if one.kind == "listener":
                    users.setdefault(one.inode, set()).add((worker.thread(0), look.epfd))
    return frozenset(
        inode
        for inode, known in users.items()
        if len({key for key, _ in known}) > 1 or sum(epfd is not None for _, epfd in known) > 1
    )


def find(
    workers: Sequence[WorkerRecord], arch: str, watched: AbstractSet[int] = frozenset()
) -> list[Listener]:
    """The listening sockets that threads of these workers are known to accept from.

    ``watched`` are those (by inode) that are judged with an event loop.
    """
    names = _names(workers)
    holders: dict[int, dict[ThreadKey, WorkerRecord]] = {}
    accepting: dict[int, set[int]] = {}
    for worker in workers:
        for event in worker.listeners:
            if event.name is not None:
                holders.setdefault(event.inode, {})[worker.thread(0)] = worker
            if event.accepted:
                accepting.setdefault(event.inode, set()).add(worker.worker.pid)
    calls = list(syscalls.accepts(arch))
    found = []
    for inode, rows in _counts(workers).items():
        mine = holders.get(inode, {}).values()
        # what it accepts may be answered and closed before anybody looks: its call tells, too
        calling = {one.worker.pid for one in mine if _seen_accepting(one, inode, calls)}
        own = _accepting(mine, accepting.get(inode, set()) | calling)
        acceptors = _acceptors(own, inode, rows, arch)
        if acceptors and inode not in watched:
            found.append(Listener(names[inode], acceptors, tuple(rows)))
    return found


def _names(workers: Sequence[WorkerRecord]) -> dict[int, str]:
    """The address or path of each listening socket, by inode."""
    return {e.inode: e.name for w in workers for e in w.listeners if e.name is not None}


def _counts(workers: Sequence[WorkerRecord]) -> dict[int, list[tuple[int, int]]]:
    """How many connections waited in each listening socket, whoever told it, in time order."""
    found: dict[int, list[tuple[int, int]]] = {}
    for worker in workers:
        for event in worker.listeners:
            if event.waiting is not None:
                found.setdefault(event.inode, []).append((event.at_ns, event.waiting))
    for rows in found.values():
        rows.sort()
    return found


def _accepting(holders: Collection[WorkerRecord], proven: AbstractSet[int]) -> list[WorkerRecord]:
    """Those that accept, and their siblings; not what they have forked."""
    parents = {one.worker.ppid for one in holders if one.worker.pid in proven} - proven
    return [one for one in holders if one.worker.ppid in parents]


def _acceptors(
    workers: Sequence[WorkerRecord], inode: int, counts: Sequence[tuple[int, int]], arch: str
) -> tuple[ThreadKey, ...]:
    """The threads of these workers seen in accept() on that socket, or in code that does it, else
    the main threads.

    Where connections were accepted while all of them stood still, a main thread is none of them:
    threads that ran then are.
    """
    calls = list(syscalls.accepts(arch))
    seen = {
        worker.thread(0): _seen_accepting(worker, inode, calls) or _told_to_accept(worker, inode)
        for worker in workers
    }
    taken_ns = int64s(at_ns for (_, before), (at_ns, count) in pairwise(counts) if count < before)
    unexplained = np.full(len(taken_ns), True)
    for worker in workers:
        for tid in seen[worker.thread(0)] or [worker.worker.pid]:
            unexplained &= _stood(worker, tid, taken_ns)
    found: list[ThreadKey] = []
    for worker in workers:
        tids = seen[worker.thread(0)] or _running(worker, taken_ns, unexplained)
        found += [worker.thread(tid) for tid in tids if tid in worker.states]
    return tuple(found)


def _seen_accepting(worker: WorkerRecord, inode: int, calls: Sequence[int]) -> list[int]:
    """The threads seen in accept() on it, while its descriptor was its own.

    A call that goes on when the socket is seen to be gone is on the next one with that number.
    """
    held = list(held_by_fd(worker.listeners, inode))
    return [tid for tid, states in worker.states.items() if in_calls(states, calls, held)]


def _told_to_accept(worker: WorkerRecord, inode: int) -> list[int]:
    """The threads that were in code that accepts on it, at looks while something waited there."""
    return sorted({tid for e in worker.listeners if e.inode == inode for tid in e.acceptors})


def in_calls(states: KernelStates, calls: Sequence[int], held: Iterable[tuple[int, Span]]) -> bool:
    """Whether a thread was seen in one of these calls on a descriptor while it was that one."""
    return any(_calls_within(states, calls, fd, *span) for fd, span in held)


def held_by_fd(
    events: Iterable[ListenerEvent | DatagramEvent], inode: int
) -> Iterator[tuple[int, Span]]:
    """By which descriptor a process held a socket, and when it was seen so."""
    rows = [e for e in events if e.inode == inode and (e.fd is not None or e.closed)]
    for row, after in zip_longest(rows, rows[1:]):
        if row.fd is not None:
            yield row.fd, (row.at_ns, FOREVER_NS if after is None else after.at_ns)


def _calls_within(
    states: KernelStates, calls: Sequence[int], fd: int, start_ns: int, end_ns: int
) -> bool:
    here = np.flatnonzero(one_of(states.syscall, calls) & (states.arg0 == fd))
    until_ns = np.append(states.at_ns, FOREVER_NS)[here + 1]
    return bool(np.any((until_ns > start_ns) & (until_ns <= end_ns)))


def _running(worker: WorkerRecord, taken_ns: Int64s, unexplained: Mask) -> list[int]:
    """The main thread, unless most of what was taken says that others accept: then those."""
    gone_ns = FOREVER_NS if worker.gone_ns is None else worker.gone_ns
    here = (taken_ns >= worker.attached_ns) & (taken_ns <= gone_ns)
    taken_ns = taken_ns[here & unexplained]
    if len(taken_ns) * 2 > np.count_nonzero(here):
        ran = {tid: np.count_nonzero(~_stood(worker, tid, taken_ns)) for tid in worker.states}
        most = max(ran.values(), default=0)
        if most:
            return [tid for tid, times in ran.items() if times == most]
    return [worker.worker.pid]


def _stood(worker: WorkerRecord, tid: int, at_ns: Int64s) -> Mask:
    """At which of these times the thread did not run: it stood still there, or was not there."""
    states = worker.states.get(tid, NO_STATES)
    if not len(states):
        return np.full(len(at_ns), True)
    from_ns = max(worker.attached_ns, int(states.at_ns[0]))
    ends = [gone for gone in (worker.gone_ns, states.gone_ns) if gone is not None]
    away = (at_ns < from_ns) | (at_ns > min(ends, default=FOREVER_NS))
    starts, ends_ns = states.still
    if not len(starts):
        return away
    before = np.searchsorted(starts, at_ns - _LOOKS_APART_NS, "right") - 1
    return away | ((before >= 0) & (ends_ns[before] >= at_ns + _LOOKS_APART_NS))


def unaccepted(workers: Sequence[WorkerRecord], end_ns: int) -> tuple[Unaccepted, ...]:
    """The listeners whose queue of connections did not get shorter for a second and more, or in
    which one of them has waited for so long.

    A queue that stays as long as it was may still be served, with one that comes for one that is
    taken; that this looks alike at a hundred looks in a row happens where it is full.
    """
    names = _names(workers)
    gone_ns: dict[int, int] = {}
    for worker in workers:
        last_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
        for event in worker.listeners:
            gone_ns[event.inode] = max(last_ns, gone_ns.get(event.inode, 0))
    found = []
    outside = _longest_outside(workers, end_ns)
    for inode, rows in _counts(workers).items():
        if inode not in names:
            continue
        longest_ns, most = _longest_untaken(rows, gone_ns[inode])
        waited_ns, many = outside.get(port_of(names[inode]), (0, 0))
        if not any(count for _, count in rows):
            continue  # they wait at another socket with that port
        if max(longest_ns, waited_ns) >= _UNACCEPTED_NS:
            most = many if longest_ns < _UNACCEPTED_NS else most
            found.append(Unaccepted(names[inode], most, _long(longest_ns), _long(waited_ns)))
    return tuple(sorted(found, key=_order))


def _long(length_ns: int) -> float | None:
    return length_ns / NS if length_ns >= _UNACCEPTED_NS else None


def _order(one: Unaccepted) -> tuple[float, str]:
    return -max(one.longest_s or 0.0, one.waited_s or 0.0), one.listener


def _longest_outside(
    workers: Sequence[WorkerRecord], end_ns: int
) -> dict[int | None, tuple[int, int]]:
    """By port, for how long one connection has waited that nobody had accepted, and how many did
    so for long at once.
    """
    found: dict[int | None, tuple[int, int]] = {}
    for worker in workers:
        last: dict[int, RequestsEvent] = {}
        for event in worker.requests:
            last[event.port] = event
            longest_ns, most = found.get(event.port, (0, 0))
            since_ns = event.outside_since_ns
            waited_ns = 0 if since_ns is None else event.at_ns - since_ns
            found[event.port] = max(longest_ns, waited_ns), max(most, event.outside or 0)
        if worker.gone_ns is None:
            for port, event in last.items():
                if event.outside_since_ns is not None:
                    longest_ns, most = found[port]
                    found[port] = max(longest_ns, end_ns - event.outside_since_ns), most
    return found


def _longest_untaken(counts: Sequence[tuple[int, int]], end_ns: int) -> tuple[int, int]:
    """For how long none left a queue that was not empty, and how many were in it then."""
    longest_ns, most_then = 0, 0
    since_ns, before = end_ns, 0
    for at_ns, count in (*counts, (end_ns, 0)):
        if count < before:
            if at_ns - since_ns > longest_ns:
                longest_ns, most_then = at_ns - since_ns, before
            since_ns = at_ns
        elif not before:
            since_ns = at_ns
        before = count
    return longest_ns, most_then


def starvations(
    listener: Listener,
    workers: Sequence[WorkerRecord],
    activities: Done,
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """The episodes of one listener.

    Its length over time hides a connection that comes in the moment another one is accepted. So
    only time counts in which no acceptor ran: those who waited then were not served for sure.
    """
    owners = {worker.thread(tid): worker for worker in workers for tid in worker.states}
    known: Answers = {}
    still = [
        stood_still(owners[key], key.tid, activities.get(key, NO_ACTIVITIES), end_ns, known)
        for key in listener.acceptors
    ]
    for whole in waited_spans(listener.counts, end_ns):
        gaps = [gap for gap in _common(still, whole) if gap[1] - gap[0] >= min_stall_ns]
        for start_ns, until_ns in _joined(gaps, min_stall_ns):
            guilty = {
                key: done
                for key in listener.acceptors
                if (done := cut(activities.get(key, NO_ACTIVITIES), start_ns, until_ns))
            }
            if not is_blocked(guilty):
                continue
            pid, tid, process = min(guilty)
            no_cpu = all(new_threads.are_awaited(owners[key], done) for key, done in guilty.items())
            kind = NO_CPU if no_cpu else ACCEPT_BACKLOG
            who = who_accepts(listener.acceptors)
            why = "waiting for a new thread" if no_cpu else "blocked"
            yield Starvation(
                kind=kind,
                verdict=kind.verdict,
                pid=pid,
                tid=tid,
                process=process,
                place=listener.name,
                start_ns=start_ns,
                end_ns=until_ns,
                held_by={} if no_cpu else guilty,
                base=None,
                evidence=(BACKLOG, THREADS),
                items=tuple(waited_items(listener, start_ns, until_ns)),
                detail=f"connections to {listener.name}: {who} {why}",
            )


def who_accepts(acceptors: Iterable[ThreadKey]) -> str:
    """As in "all 3 workers" or "its only worker"."""
    many = len({key.pid for key in acceptors})
    return f"all {many} workers" if many > 1 else "its only worker"


def connection_name(listener: str) -> str:
    """What the connections of a listener are called that wait to be accepted."""
    return f"connections to accept on {listener}"


def stood_still(
    worker: WorkerRecord,
    tid: int,
    mine: Activities,
    end_ns: int,
    known: Answers,
) -> list[Span]:
    """When that thread accepted nothing for sure: it stood still in another call, or was not there.

    A thread that waits for connections may have been woken already, and not got the CPU yet.
    """
    states = worker.states[tid]
    born_ns = max(worker.attached_ns, int(states.at_ns[0]))
    ends = [gone for gone in (worker.gone_ns, states.gone_ns) if gone is not None]
    gone_ns = min(end_ns, *ends) if ends else end_ns
    idle = mine.of_kind(may_accept, known)
    found = outside(*still_spans(states, gone_ns), mine.start_ns[idle], mine.end_ns[idle])
    return [(0, born_ns), *found, (gone_ns, end_ns)]


def may_accept(stack: Stack, wait: Wait) -> bool:
    """Whether it waits in accept(), or polls for the server and not for the program's own code."""
    call = wait.syscall
    if call in syscalls.ACCEPTS or wait.kind is WaitKind.LOOP_POLL:
        return True
    if call not in syscalls.POLLS:
        return False
    frame = blame.blamed(stack)
    return (frame is not None and frame.origin in {Origin.FRAMEWORK, Origin.STDLIB}) or any(
        one.is_one_of(*_SERVERS) for one in stack[-2:]
    )


def is_blocked(guilty: Mapping[ThreadKey, Sequence[Activity]]) -> bool:
    """Whether it is known that the acceptors waited, and not that they computed or were stopped."""
    spent = [a for mine in guilty.values() for a in mine]
    unclear = {WaitKind.ON_CPU, WaitKind.UNKNOWN}
    blocked = sum(a.end_ns - a.start_ns for a in spent if a.wait.kind not in unclear)
    return bool(spent) and blocked * 2 >= sum(a.end_ns - a.start_ns for a in spent)


def waited_spans(counts: Sequence[tuple[int, int]], end_ns: int) -> list[Span]:
    """The spans in which at least one connection waited."""
    spans = []
    since_ns: int | None = None
    for at_ns, count in counts:
        if count and since_ns is None:
            since_ns = at_ns
        elif not count and since_ns is not None:
            spans.append((since_ns, at_ns))
            since_ns = None
    if since_ns is not None and since_ns < end_ns:
        spans.append((since_ns, end_ns))
    return spans


def _common(still: Sequence[Sequence[Span]], whole: Span) -> list[Span]:
    """The parts of a span in which all of them stood still."""
    shared = [whole]
    for spans in still:
        shared = common(shared, spans)
    return shared


def _joined(gaps: Sequence[Span], least_ns: int) -> list[Span]:
    """Gaps that follow each other closely: the same connections waited on in both."""
    wider = union((a, b + least_ns) for a, b in gaps)
    return [(a, b - least_ns) for a, b in wider]


def waited_items(listener: Listener, start_ns: int, end_ns: int) -> Iterator[Item]:
    """The connections that waited in an episode; those that left were the first to come."""
    rows: list[tuple[int, int, int]] = []
    n = max(0, bisect_right(listener.counts, start_ns, key=lambda row: row[0]) - 1)
    taken = before = 0
    for at_ns, count in listener.counts[n:]:
        if at_ns >= end_ns:
            break
        taken += max(0, before - count)
        rows.append((max(at_ns, start_ns), count, taken))
        before = count
    name = connection_name(listener.name)
    for one in fifo.late(rows, 0, end_ns):
        if one.start_ns < one.end_ns:
            yield Item("connection", name, None, one.start_ns, one.end_ns, count=one.count)
