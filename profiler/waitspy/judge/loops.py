"""The event loops of a worker: which thread runs which epoll, and when their I/O went unserved.

A loop is an epoll descriptor together with the thread that waits on it. Everything here comes
from the oracles alone; stacks are looked at later, for the blame.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise

from waitspy.judge import loop_service
from waitspy.judge.episode import Item, Look
from waitspy.judge.timeline import Span, state_at
from waitspy.model import syscalls
from waitspy.model.epolls import EpollEvent, UnreadSocket
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import KernelState


@dataclass(frozen=True, slots=True)
class Loop:
    """One event loop; ``polls`` are the spans in which its thread waited in its own poll.

    ``seen`` tells how the owner is known: ``"polling"`` when it was caught in its poll,
    ``"collecting"`` when it alone ran whenever ready I/O was collected, ``"frames"`` when it alone
    shows a loop's frames and this is the process's only loop, ``"serving"`` when it is the only
    thread of the process and the sockets behind the epoll were being served, ``"memory"`` when
    the loop object itself says so. ``served`` are the times at which its own counter shows that
    it had run callbacks (None: there is no such counter), ``items`` what waited on it.
    """

    pid: int
    epfd: int
    tid: int
    polls: tuple[Span, ...]
    seen: str
    served: tuple[int, ...] | None = None
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """A span in which work was due on a loop and nobody served it: ready I/O, late items."""

    loop: Loop
    start_ns: int
    end_ns: int
    looks: tuple[Look, ...]
    items: tuple[Item, ...] = ()


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
    loops += _in_memory(worker, loops, shared)
    loops += _never_idle(worker, loops, running - set(polled_by), shared)
    return tuple(_with_work(loop, worker, end_ns) for loop in loops)


def _in_memory(worker: WorkerRecord, known: Sequence[Loop], shared: AbstractSet[int]) -> list[Loop]:
    """Loops whose objects name their thread; not those that a fork may have copied."""
    taken = {loop.epfd for loop in known}
    shares = {e.epfd: e.share for e in worker.epolls if e.share is not None}
    owners = {
        e.facts.epfd: e.facts.owner_tid
        for e in worker.loops
        if e.facts is not None and e.facts.epfd is not None and not e.facts.closed
    }
    return [
        Loop(worker.worker.pid, epfd, tid, (), "memory")
        for epfd, tid in owners.items()
        if tid is not None and epfd in shares and epfd not in taken and shares[epfd] not in shared
    ]


def _with_work(loop: Loop, worker: WorkerRecord, end_ns: int) -> Loop:
    """The loop with what its own objects say; nothing where it was never seen to run."""
    mine = loop_service.addresses(worker.loops, loop.epfd)
    events = [e for e in worker.loops if e.loop in mine]
    if not any(e.service for e in events):
        return loop
    served = loop_service.served_at(events)
    if not served and not loop.polls:
        return replace(loop, served=served)  # left behind, or not run since before we came
    items = loop_service.late_items(events, served, loop.polls, end_ns)
    return replace(loop, served=served, items=tuple(items))


def pending(
    loop: Loop,
    worker: WorkerRecord,
    end_ns: int,
    gaps: Sequence[Span] = (),
    min_stall_ns: int = 0,
) -> list[Pending]:
    """Spans in which work that waited for ``min_stall_ns`` and more went unserved, in time order.

    Ready I/O waits until the loop polls or runs callbacks; a connection that is proven to stay
    unread waits on. A gap in which nobody looked ends a wait, unless it is known that work went
    unserved in it. Waits that overlap are one span.
    """
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    events = [e for e in worker.epolls if e.epfd == loop.epfd]
    looks = [Look(e.at_ns, e.unread) for e in events if e.unread is not None]
    states = worker.states.get(loop.tid, ())
    unknown = [gap for gap in gaps if not _unserved(gap, states, looks)]
    holes = union([*loop.polls, *unknown])
    cuts = [at_ns for at_ns in loop.served or () if not was_left(_around(looks, at_ns))]
    waits: list[Span] = []
    for ready in _ready(events, stop_ns):
        for start_ns, until_ns in without(ready, holes):
            inner = cuts[bisect_right(cuts, start_ns) : bisect_left(cuts, until_ns)]
            waits.extend(pairwise([start_ns, *inner, until_ns]))
    late = [i for i in loop.items if i.end_ns - max(i.start_ns, worker.attached_ns) >= min_stall_ns]
    waits.extend((max(item.start_ns, worker.attached_ns), item.end_ns) for item in late)
    found = []
    for start_ns, until_ns in union(w for w in waits if w[1] - w[0] >= min_stall_ns):
        inside = tuple(k for k in looks if start_ns <= k.at_ns <= until_ns)
        items = tuple(i for i in late if i.start_ns < until_ns and start_ns < i.end_ns)
        found.append(Pending(loop, start_ns, until_ns, inside, items))
    return found


def _around(looks: Sequence[Look], at_ns: int) -> list[Look]:
    """The look before a time and the one after it."""
    n = bisect_right(looks, at_ns, key=lambda look: look.at_ns)
    return list(looks[max(0, n - 1) : n + 1])


def split(span: Pending, cuts: Sequence[int]) -> list[Pending]:
    """The span cut at those times."""
    edges = [span.start_ns, *cuts, span.end_ns]
    return [
        Pending(
            span.loop,
            a,
            b,
            tuple(k for k in span.looks if a <= k.at_ns < b),
            tuple(i for i in span.items if i.start_ns < b and a < i.end_ns),
        )
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
) -> list[Loop]:
    """The loop of a thread that had so much to do that it was never caught in its poll."""
    shares = {e.epfd: e.share for e in worker.epolls if e.share is not None}
    taken = {loop.epfd for loop in known}
    free = [epfd for epfd, share in shares.items() if epfd not in taken and share not in shared]
    if len(free) != 1:
        return []
    owners = running - {loop.tid for loop in known}
    if len(owners) == 1:
        return [Loop(worker.worker.pid, free[0], next(iter(owners)), (), "frames")]
    looks = [Look(e.at_ns, e.unread) for e in worker.epolls if e.epfd == free[0] and e.unread]
    if not known and len(worker.states) == 1 and was_served(looks):
        return [Loop(worker.worker.pid, free[0], next(iter(worker.states)), (), "serving")]
    return []


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


def union(spans: Iterable[Span]) -> list[Span]:
    """The spans, those that overlap or touch joined, sorted."""
    merged: list[Span] = []
    for start_ns, end_ns in sorted(spans):
        if merged and start_ns <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end_ns)
        else:
            merged.append((start_ns, end_ns))
    return merged


def without(span: Span, holes: Sequence[Span]) -> list[Span]:
    """The parts of a span that lie in none of the holes (sorted)."""
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
