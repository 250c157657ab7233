"""Episodes of event loops: spans of starvation, judged by what the loop's thread did meanwhile.

Bounds and composition come from the oracles: how long I/O stood ready, and what the kernel says
of the loop's thread in that time. Stacks only tell whether the loop was running below it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Literal

import numpy as np

from waitspy.judge import blame, gil, loop_service, loops, node_loops
from waitspy.judge.episode import Item, Starvation
from waitspy.judge.loops import Loop, Pending
from waitspy.judge.spans import grouped, length_ns, overlaps, union
from waitspy.judge.thread_time import compose, cut, what_decides
from waitspy.judge.timeline import longest_still_ns
from waitspy.model.activities import NO_ACTIVITIES, Activities, Activity
from waitspy.model.kinds import (
    BLOCKED_LOOP,
    BUSY_LOOP,
    GC_PAUSE,
    GIL_BOUND,
    NO_CPU,
    OVERLOADED_LOOP,
    PARKED_LOOP,
    Kind,
    Verdict,
)
from waitspy.model.oracle_names import ASYNCIO, EPOLL, LIBUV, THREADS
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import NO_STATES, KernelStates
from waitspy.model.waits import WaitKind

_HALF = 0.5
_LEAST_HELD = 0.1  # of what the one that kept the GIL the longest had of it


def find(
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    own_loops: Sequence[Loop],
    end_ns: int,
    min_stall_ns: int,
    shared: AbstractSet[int] = frozenset(),
) -> Iterator[Starvation]:
    """Episodes of every loop of a worker, in no particular order, then the latent ones.

    ``shared`` are listening sockets (by inode) at which others may accept as well.
    """
    of_node = worker.worker.node is not None
    starved: list[Starvation] = []
    bases: dict[int, Stack | None] = {}
    for loop in own_loops:
        if loop.tid not in bases:
            mine = activities.get(loop.tid, NO_ACTIVITIES)
            bases[loop.tid] = () if of_node else blame.base_stack(mine)  # libuv has no frames
        base = bases[loop.tid]
        if activities and not activities.get(loop.tid):
            continue  # a thread of native code: whatever it polls is no Python program's loop
        known = _is_event_loop(loop, worker, base)
        first = len(starved)
        for span in loops.pending(loop, worker, end_ns, min_stall_ns):
            if not known and not _has_clients(span):
                continue
            if of_node and not node_loops.has_victims(span):
                continue
            if not _is_proven(loop, base) and _waits_for_anyone(span, shared):
                continue
            if span.end_ns - span.start_ns >= min_stall_ns:
                starved.extend(_judge(span, worker, activities, base, end_ns, min_stall_ns))
        starved[first:] = [_collected(s, loop, worker) for s in starved[first:]]
        same = [s for s in starved if s.tid == loop.tid]
        starved.extend(_overloaded(loop, worker, activities, base, same, end_ns, min_stall_ns))
    yield from starved
    told: set[int] = set()
    for loop in own_loops:
        if loop.seen == "polling" and loop.tid not in told and not of_node:
            told.add(loop.tid)
            mine = activities.get(loop.tid, NO_ACTIVITIES)
            same = [s for s in starved if s.tid == loop.tid]
            yield from _latent(loop, worker, mine, bases[loop.tid], same, min_stall_ns)


def is_watched(loop: Loop, worker: WorkerRecord, activities: Mapping[int, Activities]) -> bool:
    """Whether that is an event loop, run by a thread of Python."""
    mine = activities.get(loop.tid, NO_ACTIVITIES)
    return bool(mine) and (_is_seen_proven(loop, mine) or worker.oracles.get(ASYNCIO) != "ok")


def watched(
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    own_loops: Sequence[Loop],
    shared: AbstractSet[int],
) -> set[int]:
    """The listening sockets (by inode) that are judged with a loop of that worker.

    An epoll that nobody was seen to serve is no loop: whose socket that is, is judged with the
    socket, as is a shared one behind an epoll that may be no event loop's.
    """
    found: set[int] = set()
    for loop in own_loops:
        looks = (unread for e, unread in worker.epolls.looks if e.epfd == loop.epfd)
        mine = {socket.inode for unread in looks for socket in unread}
        if mine & shared:
            proven = _is_seen_proven(loop, activities.get(loop.tid, NO_ACTIVITIES))
            mine -= frozenset() if proven else shared
        found |= mine
    return found


def _is_event_loop(loop: Loop, worker: WorkerRecord, base: Stack | None) -> bool:
    """Whether that epoll is known to be an event loop's, rather than some client's own selector.

    Where loop objects cannot be read, every epoll that a Python thread serves counts as one.
    """
    return _is_proven(loop, base) or worker.oracles.get(ASYNCIO) != "ok"


def _is_proven(loop: Loop, base: Stack | None) -> bool:
    """Whether a loop object or the frames of a loop say that it is one."""
    return has_object(loop) or (base is not None and blame.shows_loop(base))


def _is_seen_proven(loop: Loop, mine: Activities) -> bool:
    """The same, by what its thread did; a loop object makes it needless to go through that."""
    return has_object(loop) or _is_proven(loop, blame.base_stack(mine))


def has_object(loop: Loop) -> bool:
    """Whether a loop object says that this epoll is its own."""
    return any(event.facts and event.facts.epfd == loop.epfd for event in loop.told)


def _waits_for_anyone(span: Pending, shared: AbstractSet[int]) -> bool:
    """Whether all that waits are connections that others may accept all along."""
    sockets = [s for look in span.looks for s in look.sockets]
    alone = [s for s in sockets if s.kind != "listener" or s.inode not in shared]
    return bool(sockets) and not alone and not span.items


def _has_clients(span: Pending) -> bool:
    """Whether what waits came from clients: then somebody outside is kept waiting for sure."""
    sockets = (s for look in span.looks for s in look.sockets)
    return any(s.inbound or s.kind == "listener" for s in sockets)


def _judge(
    span: Pending,
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    base: Stack | None,
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    states = worker.states.get(span.loop.tid, NO_STATES)
    if worker.worker.node is not None:
        done = cut(activities.get(span.loop.tid, NO_ACTIVITIES), span.start_ns, span.end_ns)
        if node_loops.is_collection(span, done, worker.states):
            yield _make(GC_PAUSE, span, done, base)
            return
    decides = _decides(span, worker, end_ns, min_stall_ns)
    if decides == "kept":
        pieces = loops.apart(span, min_stall_ns)
        if len(pieces) == 1:
            yield _make(NO_CPU, span, (), base)
        for piece in pieces if len(pieces) > 1 else ():
            yield from _judge(piece, worker, activities, base, end_ns, min_stall_ns)
        return
    if decides != "blocked":
        yield from _judge_busy(span, worker, activities, base, end_ns, min_stall_ns)
        return
    # Items whose waits overlap are one episode; it ends when everything seen was served.
    for piece in loops.split(span, loops.was_served(span.looks, all_of_them=True)):
        if piece.end_ns - piece.start_ns < min_stall_ns:
            continue
        still_ns = longest_still_ns(states, (piece.start_ns, piece.end_ns))
        if loops.was_served(piece.looks) and still_ns < min_stall_ns:
            continue  # served all along, though late: no single wait holds this loop
        yield from _judge_blocked(piece, worker, activities, base)


def _judge_busy(
    span: Pending,
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    base: Stack | None,
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """A loop with much to do looks the same from here as one long callback.

    What tells them apart is the loop's own counter, or else connections that are proven to stay
    unread; without either, nothing is claimed. Where the counter stood still the longest, what the
    thread did meanwhile decides: whatever was served before is not the cause.
    """
    counted = span.loop.served
    if counted is None:
        for piece in loops.split(span, loops.was_served(span.looks)):
            decides = _decides(piece, worker, end_ns, min_stall_ns)
            if loops.was_left(piece.looks) and decides == "ran":
                mine = activities.get(span.loop.tid, NO_ACTIVITIES)
                guilty = cut(mine, piece.start_ns, piece.end_ns)
                yield _make(BUSY_LOOP, piece, guilty, base)
        return
    gap = _longest_gap(span, counted)
    if gap.end_ns - gap.start_ns < min_stall_ns:
        return
    decides = _decides(gap, worker, end_ns, min_stall_ns)
    if decides == "ran":
        guilty = cut(activities.get(span.loop.tid, NO_ACTIVITIES), span.start_ns, span.end_ns)
        of_many = worker.worker.node is not None and node_loops.serves_all_along(span)
        yield _make(OVERLOADED_LOOP if of_many else BUSY_LOOP, span, guilty, base)
    elif decides == "kept":
        yield _make(NO_CPU, gap, (), base)
    elif decides == "blocked":
        yield from _judge_blocked(gap, worker, activities, base)


def _decides(
    span: Pending, worker: WorkerRecord, end_ns: int, min_stall_ns: int
) -> Literal["kept", "blocked", "ran"] | None:
    """What its thread did that explains it."""
    states = worker.states.get(span.loop.tid, NO_STATES)
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    whole = worker.attached_ns < span.start_ns and span.end_ns < stop_ns
    return what_decides(states, span.start_ns, span.end_ns, min_stall_ns, whole=whole)


def _longest_gap(span: Pending, served: Sequence[int]) -> Pending:
    """The longest part of a span in which nothing was served, with what waited in it."""
    gap = loop_service.longest_gap(served, span.start_ns, span.end_ns)
    return next(piece for piece in loops.split(span, gap) if piece.start_ns == gap[0])


def _judge_blocked(
    span: Pending,
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    base: Stack | None,
) -> Iterator[Starvation]:
    loop = span.loop
    guilty = cut(activities.get(loop.tid, NO_ACTIVITIES), span.start_ns, span.end_ns)
    waits = [activity for activity in guilty if activity.wait.kind is not WaitKind.ON_CPU]
    ran = loop.seen == "serving" or loop_service.ran_in_c(loop.told, loop.epfd, span.end_ns)
    spent: Counter[Kind | None] = Counter()
    for activity in waits or guilty:  # in between it may be woken; what it waits for is what counts
        running = blame.in_loop(activity.stack, base, never_idle=ran)
        starts = blame.starts_thread(activity.stack)
        kind: Kind | None
        if worker.worker.node is not None:
            held = blame.holds_up(activity.stack, activity.wait)
            kind = node_loops.kind_of(activity) if held else None
        elif activity.wait.kind is WaitKind.GIL or (starts and _others_have_gil(span, worker)):
            kind = GIL_BOUND
        elif not blame.holds_up(activity.stack, activity.wait):
            kind = None  # its thread polls another loop (its own polls are cut out): left behind
        else:
            kind = BLOCKED_LOOP if running else PARKED_LOOP
        spent[kind] += activity.end_ns - activity.start_ns
    if not spent:
        # Starved for certain, but no stack was sampled in that time: nobody is blamed.
        parked = loop_service.was_parked(loop.told, loop.epfd, span.end_ns)
        yield _make(PARKED_LOOP if parked else BLOCKED_LOOP, span, (), base)
        return
    kind = spent.most_common(1)[0][0]
    if kind is GIL_BOUND:
        yield _gil_bound(span, worker, activities)
    elif kind is not None:
        yield _make(kind, span, guilty, base)


def _collected(one: Starvation, loop: Loop, worker: WorkerRecord) -> Starvation:
    """The same, told as a collection of garbage where that took most of it."""
    if one.kind not in {BUSY_LOOP, GIL_BOUND} or one.node:
        return one
    mine = loop_service.addresses(loop.told, loop.epfd)
    events = (event for event in worker.loops.others.values() if event.loop in mine)
    interpreter = loop_service.interpreter(loop.told, loop.epfd, one.end_ns)
    spent_ns = max(
        loop_service.collecting_ns(events, one.start_ns, one.end_ns),
        gil.collecting_ns(worker, interpreter, (one.start_ns, one.end_ns)),
    )
    if spent_ns < (one.end_ns - one.start_ns) * _HALF:
        return one
    return replace(one, kind=GC_PAUSE, verdict=GC_PAUSE.verdict)


def _gil_bound(
    span: Pending, worker: WorkerRecord, activities: Mapping[int, Activities]
) -> Starvation:
    """What those did that kept the GIL, as long as they had it; those with little of it aside."""
    times, how = _gil_times(span, worker)
    lengths = {tid: length_ns(own) for tid, own in times.items()}
    least_ns = max(lengths.values(), default=0) * _LEAST_HELD
    held_by = {
        span.loop.thread(tid): tuple(
            activity for piece in own for activity in cut(activities[tid], *piece)
        )
        for tid, own in sorted(times.items())
        if lengths[tid] >= least_ns and tid in activities
    }
    held_by = {key: found for key, found in held_by.items() if found}
    evidence = (EPOLL, THREADS, how) if held_by else (EPOLL, THREADS)
    return replace(_make(GIL_BOUND, span, (), None, evidence=evidence), held_by=held_by)


def _others_have_gil(span: Pending, worker: WorkerRecord) -> bool:
    times, _ = _gil_times(span, worker)
    return sum(map(length_ns, times.values())) >= (span.end_ns - span.start_ns) * _HALF


def _gil_times(
    span: Pending, worker: WorkerRecord
) -> tuple[Mapping[int, Sequence[tuple[int, int]]], str]:
    """When which other threads had the GIL in a span, and how that is known.

    A single dump says so of all of it.
    """
    whole = span.start_ns, span.end_ns
    times = {tid: own for tid, own in gil.held(worker, whole).items() if tid != span.loop.tid}
    if times:
        return times, gil.SEEN
    holder = _gil_holder(span, worker)
    return {} if holder is None else {holder: [whole]}, "dump"


def _gil_holder(span: Pending, worker: WorkerRecord) -> int | None:
    """The thread that a dump inside the span showed as holding the GIL."""
    first = bisect_left(worker.dumps, span.start_ns, key=lambda dump: dump.at_ns)
    for dump in worker.dumps[first:]:
        if dump.at_ns >= span.end_ns:
            break
        if dump.gil_tid is not None and dump.gil_tid != span.loop.tid:
            return dump.gil_tid if dump.stacks.get(dump.gil_tid) else None
    return None


def _latent(
    loop: Loop,
    worker: WorkerRecord,
    activities: Activities,
    base: Stack | None,
    starved: Sequence[Starvation],
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """Blocking calls on the running loop's thread that happened to starve nothing.

    Of a loop whose work can be read, that is known only if it was looked at meanwhile.
    """
    held = union((s.start_ns, s.end_ns) for s in starved)
    changes = loops.changes_of(worker, loop.epfd)  # a thread may run a loop for a moment only
    for n in np.flatnonzero(activities.length_ns >= min_stall_ns).tolist():
        activity = activities[n]
        if (
            activity.wait.kind not in {WaitKind.LOOP_POLL, WaitKind.ON_CPU, WaitKind.GIL}
            and activity.wait.syscall is not None
            and activity.stack != base
            and blame.in_loop(activity.stack, base)
            and not overlaps((activity.start_ns, activity.end_ns), held)
            and loops.was_there(changes, worker.attached_ns, (activity.start_ns, activity.end_ns))
        ):
            span = Pending(loop, activity.start_ns, activity.end_ns, ())
            made = _make(
                BLOCKED_LOOP, span, (activity,), base, evidence=(THREADS,), verdict="latent"
            )
            looked = loop.looks is None or loop.looks.any_for((span.start_ns, span.end_ns))
            yield replace(made, looked=looked)


def _overloaded(
    loop: Loop,
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    base: Stack | None,
    starved: Sequence[Starvation],
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """Where the loop ran callbacks all along, but its own queue proves that some waited long."""
    if loop.served is None or loop.counters is None:
        return
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    waits = list(loop.counters.waited_long(min_stall_ns, stop_ns))
    held = union((s.start_ns, s.end_ns) for s in starved)
    late = union((w.start_ns, w.end_ns) for w in waits)
    for (start_ns, until_ns), waited in zip(late, grouped(waits, late), strict=True):
        if overlaps((start_ns, until_ns), held):
            continue  # something held it meanwhile: that is why they were late
        if loop_service.longest_gap_ns(loop.served, start_ns, until_ns) >= min_stall_ns:
            continue
        items = tuple(
            Item("callback", "callbacks", None, w.start_ns, w.end_ns, count=w.count) for w in waited
        )
        span = Pending(loop, start_ns, until_ns, (), items)
        spent = compose(worker.states.get(loop.tid, NO_STATES), start_ns, until_ns)
        if spent.kept_ns >= (until_ns - start_ns) * _HALF:
            yield _make(NO_CPU, span, (), base, evidence=(THREADS,))
        elif _late_anyhow(items, worker.states.get(loop.tid, NO_STATES), min_stall_ns):
            done = cut(activities.get(loop.tid, NO_ACTIVITIES), start_ns, until_ns)
            guilty = [a for a in done if a.wait.kind is not WaitKind.LOOP_POLL]
            served = loop.counters.run_between(start_ns, until_ns)
            made = _make(OVERLOADED_LOOP, span, guilty, base, evidence=(THREADS,))
            yield replace(made, served=served)


def _late_anyhow(items: Sequence[Item], states: KernelStates, min_stall_ns: int) -> bool:
    """Whether something would have waited that long with all the CPU that its thread wanted."""
    longest = max(items, key=lambda item: item.end_ns - item.start_ns)
    kept_ns = compose(states, longest.start_ns, longest.end_ns).kept_ns
    return longest.end_ns - longest.start_ns - kept_ns >= min_stall_ns


def _make(
    kind: Kind,
    span: Pending,
    guilty: Sequence[Activity],
    base: Stack | None,
    *,
    evidence: tuple[str, ...] = (EPOLL, THREADS),
    verdict: Verdict | None = None,
) -> Starvation:
    loop = span.loop
    of_node = node_loops.is_one(loop)
    own = LIBUV if of_node else ASYNCIO
    return Starvation(
        kind=kind,
        verdict=verdict or kind.verdict,
        pid=loop.pid,
        tid=loop.tid,
        process=loop.process,
        place=f"epoll descriptor {loop.epfd}",
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        held_by={loop.thread(): tuple(guilty)} if guilty else {},
        base=base,
        looks=span.looks,
        evidence=(own, *evidence) if span.items else evidence,
        items=span.items,
        asyncio=has_object(loop) and not of_node,
        node=of_node,
    )
