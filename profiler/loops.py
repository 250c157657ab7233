"""The event loops of a worker: which thread runs which epoll, and when their I/O went unserved.

A loop is an epoll descriptor together with the thread that waits on it. Everything here comes
from the oracles alone; stacks are looked at later, for the blame.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise

from profiler import syscalls
from profiler.model import EpollEvent, KernelState, UnreadSocket, WorkerRecord
from profiler.timeline import Span, state_at


@dataclass(frozen=True, slots=True)
class Loop:
    """One event loop; ``polls`` are the spans in which its thread waited in its own poll.

    ``seen`` tells how the owner is known: ``"polling"`` when it was caught in its poll,
    ``"collecting"`` when it alone ran whenever ready I/O was collected, ``"frames"`` when it alone
    shows a loop's frames and this is the process's only loop, ``"serving"`` when it is the only
    thread of the process and the sockets behind the epoll were being served.
    """

    pid: int
    epfd: int
    tid: int
    polls: tuple[Span, ...]
    seen: str


@dataclass(frozen=True, slots=True)
class Look:
    """The unread sockets behind a loop's epoll at one time."""

    at_ns: int
    sockets: tuple[UnreadSocket, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """A span in which I/O was ready on a loop's epoll and nobody collected it."""

    loop: Loop
    start_ns: int
    end_ns: int
    looks: tuple[Look, ...]


def find(
    worker: WorkerRecord,
    end_ns: int,
    arch: str,
    running: AbstractSet[int],
    shared: AbstractSet[int],
) -> tuple[Loop, ...]:
    """The worker's loops: epolls that one of its own threads is known to serve.

    ``running`` are the threads whose stacks showed the frames of a running loop, ``shared`` the
    epolls (by share number) that other processes hold as well. An epoll that was only inherited
    over a fork, or that nobody serves any more, is no loop.
    """
    waits = syscalls.epoll_waits(arch)
    end_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    polls: dict[int, Counter[int]] = {}
    spans: dict[tuple[int, int], list[Span]] = {}
    polled_by: dict[int, set[int]] = {}
    for tid, states in worker.states.items():
        for n, state in enumerate(states):
            if state.syscall not in waits or state.arg0 is None or state.state in "Tt":
                continue
            until_ns = states[n + 1].at_ns if n + 1 < len(states) else end_ns
            polls.setdefault(state.arg0, Counter())[tid] += 1
            spans.setdefault((state.arg0, tid), []).append((state.at_ns, until_ns))
            polled_by.setdefault(tid, set()).add(state.arg0)
    loops = []
    for epfd in sorted({event.epfd for event in worker.epolls}):
        if epfd in polls:
            tid = polls[epfd].most_common(1)[0][0]
            own = tuple(sorted(s for (fd, _), found in spans.items() if fd == epfd for s in found))
            loops.append(Loop(worker.worker.pid, epfd, tid, own, "polling"))
            continue
        collector = _collector(worker, epfd, busy=set(polled_by))
        if collector is not None:
            loops.append(Loop(worker.worker.pid, epfd, collector, (), "collecting"))
    return tuple(loops) + _never_idle(worker, loops, running - set(polled_by), shared)


def pending(
    loop: Loop, worker: WorkerRecord, end_ns: int, gaps: Sequence[Span] = ()
) -> list[Pending]:
    """Spans of uncollected I/O, in time order; a poll of the loop's own ends one.

    So does a gap in which nobody looked, unless it is known that work went unserved in it.
    """
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    events = [e for e in worker.epolls if e.epfd == loop.epfd]
    looks = [Look(e.at_ns, e.unread) for e in events if e.unread is not None]
    found = []
    states = worker.states.get(loop.tid, ())
    unknown = [gap for gap in gaps if not _unserved(gap, states, looks)]
    holes = _union([*loop.polls, *unknown])
    for start_ns, until_ns in _ready(events, stop_ns):
        for piece in _without((start_ns, until_ns), holes):
            inside = tuple(k for k in looks if piece[0] <= k.at_ns <= piece[1])
            found.append(Pending(loop, *piece, inside))
    return found


def split(span: Pending, cuts: Sequence[int]) -> list[Pending]:
    """The span cut at those times."""
    edges = [span.start_ns, *cuts, span.end_ns]
    return [
        Pending(span.loop, a, b, tuple(k for k in span.looks if a <= k.at_ns < b))
        for a, b in pairwise(edges)
        if a < b
    ]


def was_served(looks: Sequence[Look], *, all_of_them: bool = False) -> list[int]:
    """When looks showed that sockets had been served since the look before: some, or all."""
    times = []
    for before, after in pairwise(look for look in looks if look.sockets):
        now = {s.inode: s for s in after.sockets}
        served = [_read_since(s, now.get(s.inode)) for s in before.sockets]
        if all(served) if all_of_them else any(served):
            times.append(after.at_ns)
    return times


def was_left(looks: Sequence[Look]) -> bool:
    """Whether two looks prove that a connection which held data was not read in between."""
    for before, after in pairwise(looks):
        now = {s.inode: s for s in after.sockets}
        for s in before.sockets:
            if s.inode in now and s.read_bytes is not None and not _read_since(s, now[s.inode]):
                return True
    return False


def _read_since(before: UnreadSocket, now: UnreadSocket | None) -> bool:
    if now is None:
        return True
    if before.read_bytes is not None and now.read_bytes is not None:
        return now.read_bytes > before.read_bytes
    return now.size < before.size


def _never_idle(
    worker: WorkerRecord, known: Sequence[Loop], running: AbstractSet[int], shared: AbstractSet[int]
) -> tuple[Loop, ...]:
    """The loop of a thread that had so much to do that it was never caught in its poll."""
    shares = {e.epfd: e.share for e in worker.epolls if e.share is not None}
    taken = {loop.epfd for loop in known}
    free = [epfd for epfd, share in shares.items() if epfd not in taken and share not in shared]
    if len(free) != 1:
        return ()
    owners = running - {loop.tid for loop in known}
    if len(owners) == 1:
        return (Loop(worker.worker.pid, free[0], next(iter(owners)), (), "frames"),)
    looks = [Look(e.at_ns, e.unread) for e in worker.epolls if e.epfd == free[0] and e.unread]
    if not known and len(worker.states) == 1 and was_served(looks):
        return (Loop(worker.worker.pid, free[0], next(iter(worker.states)), (), "serving"),)
    return ()


def _ready(events: Sequence[EpollEvent], stop_ns: int) -> list[Span]:
    spans = []
    since: int | None = None
    for event in events:
        if event.ready and since is None:
            since = event.at_ns
        elif since is not None and (event.closed or event.ready is False):
            spans.append((since, event.at_ns))
            since = None
    if since is not None and since < stop_ns:
        spans.append((since, stop_ns))
    return [(a, min(b, stop_ns)) for a, b in spans if a < stop_ns]


def _union(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start_ns, end_ns in sorted(spans):
        if merged and start_ns <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end_ns)
        else:
            merged.append((start_ns, end_ns))
    return merged


def _without(span: Span, holes: Sequence[Span]) -> list[Span]:
    pieces = []
    at_ns, end_ns = span
    first = max(0, bisect_right(holes, (at_ns, at_ns)) - 1)
    for start_ns, until_ns in holes[first:]:
        if start_ns >= end_ns:
            break
        if start_ns > at_ns:
            pieces.append((at_ns, start_ns))
        at_ns = max(at_ns, until_ns)
    if at_ns < end_ns:
        pieces.append((at_ns, end_ns))
    return pieces


def _collector(worker: WorkerRecord, epfd: int, busy: set[int]) -> int | None:
    """The one thread that ran at every moment at which ready I/O was collected.

    A loop that runs only now and then may never be caught in its poll. Threads that poll another
    epoll are out (``busy``): a loop whose owner has moved on is nobody's. With a single thread
    one collection is proof; among several, two at least must agree.
    """
    collected = [e.at_ns for e in worker.epolls if e.epfd == epfd and e.ready is False]
    candidates = {tid for tid, states in worker.states.items() if states} - busy
    alone = len(worker.states) == 1
    if len(collected) < (1 if alone else 2):
        return None
    for at_ns in collected:
        candidates = {tid for tid in candidates if _ran_at(worker.states[tid], at_ns)}
    return candidates.pop() if len(candidates) == 1 else None


def _unserved(gap: Span, states: Sequence[KernelState], looks: Sequence[Look]) -> bool:
    """Whether it is known that the loop served nothing, or not everything, while nobody looked.

    Its thread did not run between the two looks; or a connection was left unread from before to
    after.
    """
    before, after = state_at(states, gap[0]), state_at(states, gap[1])
    if before is not None and after is not None:
        if before.ran_ns is not None and before.ran_ns == after.ran_ns:
            return True
        if before.ran_ns is None and before.syscall is not None and before == after:
            return True
    sooner = [look for look in looks if look.at_ns <= gap[0]][-1:]
    later = [look for look in looks if look.at_ns >= gap[1]][:1]
    return was_left(sooner + later)


def _ran_at(states: Sequence[KernelState], at_ns: int) -> bool:
    """Whether a row of exactly that tick says that the thread had run since the one before."""
    n = bisect_right(states, at_ns, key=lambda s: s.at_ns) - 1
    return n >= 1 and states[n].at_ns == at_ns and states[n].ran_ns != states[n - 1].ran_ns
