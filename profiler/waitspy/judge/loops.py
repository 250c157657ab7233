"""The event loops of a worker: which thread runs which epoll, and when their I/O went unserved.

A loop is an epoll descriptor together with the thread that waits on it. Everything here comes
from the oracles alone; stacks are looked at later, for the blame.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from waitspy.judge import loop_service
from waitspy.judge.episode import Item, Look
from waitspy.judge.spans import Span, grouped, inside, overlaps, union, without
from waitspy.model import syscalls
from waitspy.model.clock import NS
from waitspy.model.columns import UNKNOWN, Int64s, Mask, one_of
from waitspy.model.epolls import EpollEvents, UnreadSocket
from waitspy.model.loops import LoopEvent
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import KernelStates

_LISTED_NS = NS // 2  # by then all epolls are known that were there when we came
_STOPPED = [ord(letter) for letter in "Tt"]
_LOOK_NS = NS // 100  # at least, between two looks: when in it something was served is not seen


@dataclass(frozen=True, slots=True)
class Loop:
    """One event loop; ``polls`` are the spans in which its thread waited in its own poll.

    ``seen`` tells how the owner is known: ``"polling"`` when it was caught in its poll,
    ``"collecting"`` when it alone ran whenever ready I/O was collected, ``"frames"`` when it alone
    shows a loop's frames and this is the process's only loop, ``"serving"`` when it is the only
    thread of the process and the sockets behind the epoll were being served, ``"memory"`` when
    the loop object itself says so. ``served`` are the times at which its own counter shows that
    it had run callbacks (None: there is no such counter), ``items`` what waited on it, ``told``
    what its objects said of themselves, ``counters`` what that counter and the queue's length show,
    ``looks`` when it was looked at.
    """

    pid: int
    epfd: int
    tid: int
    polls: tuple[Span, ...]
    seen: str
    served: Sequence[int] | None = None
    items: tuple[Item, ...] = ()
    told: tuple[LoopEvent, ...] = ()
    counters: loop_service.Counters | None = None
    looks: loop_service.Looks | None = None
    process: int = 0

    def thread(self, tid: int | None = None) -> ThreadKey:
        """The thread that runs it, or another one of its process."""
        return ThreadKey(self.pid, self.tid if tid is None else tid, self.process)


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
    end_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    polls: dict[int, Counter[int]] = {}
    spans: dict[int, list[Span]] = {}
    polled_by: dict[int, set[int]] = {}
    for tid, states in worker.states.items():
        for epfd, own in _polls(states, arch, end_ns):
            polls.setdefault(epfd, Counter())[tid] += len(own)
            spans.setdefault(epfd, []).extend(own)
            polled_by.setdefault(tid, set()).add(epfd)
    loops = []
    for epfd in np.unique(worker.epolls.epfd).tolist():
        if epfd in polls:
            tid = polls[epfd].most_common(1)[0][0]
            loops.append(Loop(worker.worker.pid, epfd, tid, tuple(sorted(spans[epfd])), "polling"))
            continue
        collector = _collector(worker, epfd, busy=set(polled_by))
        if collector is not None:
            loops.append(Loop(worker.worker.pid, epfd, collector, (), "collecting"))
    loops += _in_memory(worker, loops, shared)
    loops += _never_idle(worker, loops, running - set(polled_by), shared)
    told = worker.loops.facts
    return tuple(
        _with_work(replace(loop, told=told, process=worker.process), worker, end_ns)
        for loop in loops
    )


def changes_of(worker: WorkerRecord, epfd: int) -> list[tuple[int, bool]]:
    """When a descriptor was opened as an epoll, or (True) closed."""
    return [
        (event.at_ns, event.closed)
        for event in worker.epolls.others.values()
        if event.epfd == epfd and (event.closed or event.share is not None)
    ]


def was_there(changes: Sequence[tuple[int, bool]], attached_ns: int, span: Span) -> bool:
    """Whether it was one and the same epoll all through a span, as far as that is known."""
    soon_ns = max(span[0], attached_ns + _LISTED_NS)
    before = [closed for at_ns, closed in changes if at_ns <= soon_ns]
    gone = before[-1] if before else bool(changes)  # it is made later, if at all
    return not gone and not any(soon_ns < at_ns <= span[1] for at_ns, _ in changes)


def _polls(states: KernelStates, arch: str, end_ns: int) -> Iterator[tuple[int, list[Span]]]:
    """When a thread waited in epoll_wait, by the descriptor on which it did."""
    waits = list(syscalls.epoll_waits(arch))
    stopped = one_of(states.state, _STOPPED)
    rows = one_of(states.syscall, waits) & (states.arg0 != UNKNOWN) & ~stopped
    until_ns = np.append(states.at_ns[1:], end_ns)
    for epfd in np.unique(states.arg0[rows]).tolist():
        mine = rows & (states.arg0 == epfd)
        yield epfd, list(zip(states.at_ns[mine].tolist(), until_ns[mine].tolist(), strict=True))


def _in_memory(worker: WorkerRecord, known: Sequence[Loop], shared: AbstractSet[int]) -> list[Loop]:
    """Loops whose objects name their thread; not those that a fork may have copied."""
    taken = {loop.epfd for loop in known}
    shares = dict(worker.epolls.shares)
    owners = {
        e.facts.epfd: e.facts.owner_tid
        for e in worker.loops.facts
        if e.facts is not None and e.facts.epfd is not None and not e.facts.closed
    }
    return [
        Loop(worker.worker.pid, epfd, tid, (), "memory")
        for epfd, tid in owners.items()
        if tid is not None and epfd in shares and epfd not in taken and shares[epfd] not in shared
    ]


def _with_work(loop: Loop, worker: WorkerRecord, end_ns: int) -> Loop:
    """The loop with what its own objects say; nothing where it was never seen to run."""
    mine = loop_service.addresses(loop.told, loop.epfd)
    events = worker.loops.about(mine)
    counters = loop_service.Counters(events)
    if not len(counters):
        return loop
    looks = loop_service.Looks(events, counters.served, loop.polls)
    loop = replace(loop, served=counters.served, counters=counters, looks=looks)
    if not counters.served and not loop.polls and worker.worker.node is None:
        return loop  # left behind, or not run since before we came
    items = loop_service.late_items(events, looks.marks, end_ns)
    return replace(loop, items=tuple(items))


def pending(
    loop: Loop,
    worker: WorkerRecord,
    end_ns: int,
    min_stall_ns: int = 0,
) -> list[Pending]:
    """Spans in which work that waited for ``min_stall_ns`` and more went unserved, in time order.

    Ready I/O waits until the loop polls or runs callbacks; a connection that is proven to stay
    unread waits on. A gap in which nobody looked ends a wait, unless it is known that work went
    unserved in it. Waits that overlap are one span; when we held up the thread ourselves is none.
    """
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    events = worker.epolls.behind(loop.epfd)
    looks = [Look(e.at_ns, sockets) for e, sockets in events.looks]
    holes = union([*loop.polls, *_not_seen(worker, loop, looks)])
    cuts = _cuts(loop.served or (), looks)
    waits: list[Span] = []
    for ready in _ready(events, stop_ns, min_stall_ns):
        for start_ns, until_ns in without(ready, holes):
            waits.extend(pairwise([start_ns, *inside(cuts, (start_ns, until_ns)), until_ns]))
    late = [i for i in loop.items if i.end_ns - max(i.start_ns, worker.attached_ns) >= min_stall_ns]
    waits.extend((max(item.start_ns, worker.attached_ns), item.end_ns) for item in late)
    ours = union(one[1:] for one in worker.held_up if one.tid == loop.tid)
    own = (piece for wait in waits for piece in without(wait, ours))
    long = union(w for w in own if w[1] - w[0] >= min_stall_ns)
    behind = grouped(late, long)
    return [
        Pending(loop, *span, tuple(_within(looks, *span)), tuple(items))
        for span, items in zip(long, behind, strict=True)
    ]


def _within(looks: Sequence[Look], start_ns: int, until_ns: int) -> Sequence[Look]:
    """The looks from one time to another, both included."""
    first = bisect_left(looks, start_ns, key=_when)
    return looks[first : bisect_right(looks, until_ns, key=_when)]


def _cuts(served: Sequence[int], looks: Sequence[Look]) -> Sequence[int]:
    """The times of service, without those between two looks that show a connection left unread.

    What is seen at a time was served before it: a look of that same time is one after it.
    """
    left = union((a.at_ns, b.at_ns) for a, b in pairwise(looks) if was_left((a, b)))
    return [at_ns for at_ns in served if not overlaps((at_ns - 1, at_ns), left)] if left else served


def split(span: Pending, cuts: Sequence[int]) -> list[Pending]:
    """The span cut at those times."""
    edges = [span.start_ns, *cuts, span.end_ns]
    parts = [(a, b) for a, b in pairwise(edges) if a < b]
    behind = grouped(span.items, parts)
    return [
        Pending(span.loop, a, b, tuple(_within(span.looks, a, b - 1)), tuple(items))
        for (a, b), items in zip(parts, behind, strict=True)
    ]


def apart(span: Pending, least_ns: int) -> list[Pending]:
    """The span cut where all that had been due was served, into parts of that length and more.

    When that was, within the look before, is not seen: what came due in it did not wait with the
    others, though it seems to.
    """
    counters, bounds = span.loop.counters, (span.start_ns, span.end_ns)
    emptied = () if counters is None else _cuts(inside(counters.emptied, bounds), span.looks)
    starts = sorted(item.start_ns for item in span.items)
    before = ((item.start_ns + _LOOK_NS, item.end_ns) for item in span.items)
    waiting = union(wait for wait in before if wait[0] < wait[1])
    cuts = [span.start_ns]
    for at_ns in emptied:
        n = bisect_left(starts, at_ns - _LOOK_NS)
        cut_ns = min([at_ns, *starts[n : n + 1]])
        long = min(cut_ns - cuts[-1], span.end_ns - cut_ns) >= least_ns
        if long and not overlaps((at_ns, at_ns + 1), waiting):
            cuts.append(cut_ns)
    first, *others = split(span, cuts[1:])
    return [
        first,
        *(
            replace(
                piece, items=tuple(i for i in piece.items if i.end_ns > piece.start_ns + _LOOK_NS)
            )
            for piece in others
        ),
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
    shares = dict(worker.epolls.shares)
    taken = {loop.epfd for loop in known}
    free = [epfd for epfd, share in shares.items() if epfd not in taken and share not in shared]
    if len(free) != 1:
        return []
    owners = running - {loop.tid for loop in known}
    if len(owners) == 1:
        return [Loop(worker.worker.pid, free[0], next(iter(owners)), (), "frames")]
    looks = [Look(e.at_ns, unread) for e, unread in worker.epolls.looks if e.epfd == free[0]]
    if not known and len(worker.states) == 1 and was_served(looks):
        return [Loop(worker.worker.pid, free[0], next(iter(worker.states)), (), "serving")]
    return []


def is_ready(events: EpollEvents) -> Mask:
    """Whether events waited uncollected in an epoll from each of its rows on."""
    ready = events.ready.copy()
    ready[[n for n, event in events.others.items() if event.closed]] = 0
    told = np.where(ready == UNKNOWN, -1, np.arange(len(ready)))
    last = np.maximum.accumulate(told)  # the row that told it
    is_one: Mask = ready[last] == 1
    return is_one & (last >= 0)


def _ready(events: EpollEvents, stop_ns: int, least_ns: int) -> list[Span]:
    """The spans in which they did for that long."""
    edges = events.at_ns[np.diff(is_ready(events), prepend=False)]
    if len(edges) % 2:
        edges = np.append(edges, max(stop_ns, int(edges[-1])))
    starts, ends = edges[::2], np.minimum(edges[1::2], stop_ns)
    long = (starts < stop_ns) & (ends - starts >= least_ns)
    return [*zip(starts[long].tolist(), ends[long].tolist(), strict=True)]


def _collector(worker: WorkerRecord, epfd: int, busy: set[int]) -> int | None:
    """The one thread that ran at every moment at which ready I/O was collected.

    A loop that runs only now and then may never be caught in its poll. Threads that poll another
    epoll are out (``busy``): a loop whose owner has moved on is nobody's. With a single thread
    one collection is proof; among several, two at least must agree.
    """
    events = worker.epolls
    at_ns = events.at_ns[(events.epfd == epfd) & (events.ready == 0)]
    alone = len(worker.states) == 1
    if len(at_ns) < (1 if alone else 2):
        return None
    candidates = [
        tid
        for tid, states in worker.states.items()
        if tid not in busy and len(states) and _ran_at(states, at_ns)
    ]
    return candidates[0] if len(candidates) == 1 else None


def _not_seen(worker: WorkerRecord, loop: Loop, looks: Sequence[Look]) -> list[Span]:
    """When it is not known whether a loop was served.

    Nobody looked, and its thread has run meanwhile; but its own queue may tell that a callback went
    on all the time, and a connection that was left unread from before to after proves that not
    everything was served. A loop that polled when the gap began may have polled on for a while.
    """
    states, counters = worker.states.get(loop.tid), loop.counters
    unseen = worker.gaps if states is None else states.unseen
    if counters is not None:
        polled = {end_ns for _, end_ns in loop.polls}
        unseen = [gap for gap in unseen if gap[0] in polled or not counters.known_in(gap)]
    return [gap for gap in unseen if not was_left(_around_span(looks, gap))]


def _around_span(looks: Sequence[Look], span: Span) -> list[Look]:
    """The last look before a span and the first one after it."""
    before = bisect_right(looks, span[0], key=_when)
    after = bisect_left(looks, span[1], key=_when)
    return [*looks[max(0, before - 1) : before], *looks[after : after + 1]]


def _when(look: Look) -> int:
    return look.at_ns


def _ran_at(states: KernelStates, at_ns: Int64s) -> bool:
    """Whether rows of exactly those ticks say that the thread had run since the one before."""
    n = np.searchsorted(states.at_ns, at_ns, "right") - 1
    if np.any(n < 1):
        return False
    return bool(np.all((states.at_ns[n] == at_ns) & (states.ran_ns[n] != states.ran_ns[n - 1])))
