"""Episodes of listening sockets: connections waited while all that accept there were blocked.

Who accepts is known from what a process holds: connections that came in by that socket, and from
its siblings. The master of a pre-forking server holds the socket, but none of those. A listener
that an event loop watches is judged with that loop.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from waitspy.judge import blame, fifo
from waitspy.judge.episode import Item, Starvation, ThreadKey
from waitspy.judge.loops import union, without
from waitspy.judge.thread_time import cut
from waitspy.judge.timeline import Span, still_spans
from waitspy.model import syscalls
from waitspy.model.code_origin import Origin, origin
from waitspy.model.judged import Activity, WaitKind
from waitspy.model.kinds import ACCEPT_BACKLOG
from waitspy.model.recorded import WorkerRecord

Activities = Mapping[int, Mapping[int, Sequence[Activity]]]
"""What each thread did, by pid and thread id."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket: who accepts there, and how many connections waited at which times."""

    name: str
    acceptors: tuple[ThreadKey, ...]
    counts: tuple[tuple[int, int], ...]


def find(workers: Sequence[WorkerRecord], arch: str) -> list[Listener]:
    """The listening sockets that threads of these workers are known to accept from."""
    names: dict[int, str] = {}
    counts: dict[int, list[tuple[int, int]]] = {}
    holders: dict[int, dict[int, WorkerRecord]] = {}
    accepting: dict[int, set[int]] = {}
    for worker in workers:
        for event in worker.listeners:
            if event.name is not None:
                names[event.inode] = event.name
                holders.setdefault(event.inode, {})[worker.worker.pid] = worker
            if event.waiting is not None:
                counts.setdefault(event.inode, []).append((event.at_ns, event.waiting))
            if event.accepted:
                accepting.setdefault(event.inode, set()).add(worker.worker.pid)
    watched = {s.inode for w in workers for e in w.epolls for s in e.unread or ()}
    found = []
    for inode, rows in counts.items():
        own = _accepting(holders.get(inode, {}), accepting.get(inode, set()))
        acceptors = tuple(key for worker in own for key in _acceptors(worker, inode, arch))
        if acceptors and inode not in watched:
            found.append(Listener(names[inode], acceptors, tuple(sorted(rows))))
    return found


def _accepting(holders: Mapping[int, WorkerRecord], proven: AbstractSet[int]) -> list[WorkerRecord]:
    """Those that accept, and their siblings; not what they have forked."""
    parents = {holders[pid].worker.ppid for pid in proven if pid in holders} - proven
    return [one for one in holders.values() if one.worker.ppid in parents]


def _acceptors(worker: WorkerRecord, inode: int, arch: str) -> Iterator[ThreadKey]:
    """The threads seen in accept() on that socket, else the main thread."""
    calls = syscalls.accepts(arch)
    fds = {e.fd for e in worker.listeners if e.inode == inode and e.fd is not None}
    pid = worker.worker.pid
    seen = [
        tid
        for tid, states in worker.states.items()
        if any(s.syscall in calls and s.arg0 in fds for s in states)
    ]
    for tid in seen or [pid]:
        if tid in worker.states:
            yield pid, tid


def starvations(
    listener: Listener,
    workers: Sequence[WorkerRecord],
    activities: Activities,
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """The episodes of one listener.

    Its length over time hides a connection that comes in the moment another one is accepted. So
    only time counts in which no acceptor ran: those who waited then were not served for sure.
    """
    by_pid = {worker.worker.pid: worker for worker in workers}
    still = [
        _still(by_pid[pid], tid, activities.get(pid, {}).get(tid, ()), end_ns)
        for pid, tid in listener.acceptors
    ]
    for whole in _waiting(listener.counts, end_ns):
        gaps = [gap for gap in _common(still, whole) if gap[1] - gap[0] >= min_stall_ns]
        for start_ns, until_ns in _joined(gaps, min_stall_ns):
            guilty = {
                (pid, tid): done
                for pid, tid in listener.acceptors
                if (done := cut(activities.get(pid, {}).get(tid, ()), start_ns, until_ns))
            }
            if not _is_blocked(guilty):
                continue
            workers_many = len({pid for pid, _ in listener.acceptors})
            many = f"all {workers_many} workers" if workers_many > 1 else "its only worker"
            pid, tid = min(guilty)
            yield Starvation(
                kind=ACCEPT_BACKLOG,
                verdict=ACCEPT_BACKLOG.verdict,
                pid=pid,
                tid=tid,
                place=listener.name,
                start_ns=start_ns,
                end_ns=until_ns,
                held_by=guilty,
                base=None,
                evidence=("backlog", "threads"),
                items=tuple(_items(listener, start_ns, until_ns)),
                detail=f"connections to {listener.name}: {many} blocked",
            )


def _still(worker: WorkerRecord, tid: int, mine: Sequence[Activity], end_ns: int) -> list[Span]:
    """When that thread accepted nothing for sure: it stood still in another call, or was not there.

    A thread that waits for connections may have been woken already, and not got the CPU yet.
    """
    gone_ns = end_ns if worker.gone_ns is None else worker.gone_ns
    idle = [(a.start_ns, a.end_ns) for a in mine if _may_accept(a)]
    found = [
        part for span in still_spans(worker.states[tid], gone_ns) for part in without(span, idle)
    ]
    return [(0, worker.attached_ns), *found, (gone_ns, end_ns)]


def _may_accept(activity: Activity) -> bool:
    """Whether it waits in accept(), or polls for the server and not for the program's own code."""
    call = activity.wait.syscall
    if call in syscalls.ACCEPTS or activity.wait.kind is WaitKind.LOOP_POLL:
        return True
    frame = blame.blamed(activity.stack) if call in syscalls.POLLS else None
    return frame is not None and origin(frame.file) in {Origin.FRAMEWORK, Origin.STDLIB}


def _is_blocked(guilty: Mapping[ThreadKey, Sequence[Activity]]) -> bool:
    """Whether it is known that the acceptors waited, and not that they computed or were stopped."""
    spent = [a for mine in guilty.values() for a in mine]
    unclear = {WaitKind.ON_CPU, WaitKind.UNKNOWN}
    blocked = sum(a.end_ns - a.start_ns for a in spent if a.wait.kind not in unclear)
    return bool(spent) and blocked * 2 >= sum(a.end_ns - a.start_ns for a in spent)


def _waiting(counts: Sequence[tuple[int, int]], end_ns: int) -> list[Span]:
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
    common = [whole]
    for spans in still:
        common = _both(common, spans)
    return common


def _both(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    found = []
    n = m = 0
    while n < len(some) and m < len(others):
        start_ns = max(some[n][0], others[m][0])
        end_ns = min(some[n][1], others[m][1])
        if start_ns < end_ns:
            found.append((start_ns, end_ns))
        if some[n][1] < others[m][1]:
            n += 1
        else:
            m += 1
    return found


def _joined(gaps: Sequence[Span], least_ns: int) -> list[Span]:
    """Gaps that follow each other closely: the same connections waited on in both."""
    wider = union((a, b + least_ns) for a, b in gaps)
    return [(a, b - least_ns) for a, b in wider]


def _items(listener: Listener, start_ns: int, end_ns: int) -> Iterator[Item]:
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
    name = f"connections to accept on {listener.name}"
    for one in fifo.late(rows, 0, end_ns):
        if one.start_ns < one.end_ns:
            yield Item("connection", name, None, one.start_ns, one.end_ns, count=one.count)
