"""Episodes: spans of starvation of one loop, judged by what its thread did meanwhile.

Bounds and composition come from the oracles: how long I/O stood ready, and what the kernel says
of the loop's thread in that time. Stacks only tell whether the loop was running below it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from profiler import blame, loops, service
from profiler.loops import Loop, Pending
from profiler.model import Activity, KernelState, Stack, WaitKind, WorkerRecord
from profiler.service import Item
from profiler.timeline import still_spans

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Starvation:
    """One episode with all that a finding needs: what held the loop, and what waited.

    ``guilty`` are the activities that starved it, cut to the episode; empty when no stack did
    (no CPU, unknown holder of the GIL) or none was sampled.
    """

    kind: str
    loop: Loop
    start_ns: int
    end_ns: int
    guilty: tuple[Activity, ...]
    guilty_tid: int
    base: Stack | None
    looks: tuple[loops.Look, ...]
    evidence: tuple[str, ...]
    items: tuple[Item, ...] = ()
    latent: bool = False

    @property
    def waiting(self) -> int:
        """How many things waited at most: unread sockets and late items known, at least one."""
        times = [look.at_ns for look in self.looks] + [item.start_ns for item in self.items]
        most = 1
        for at_ns in times:
            sockets = next((len(k.sockets) for k in reversed(self.looks) if k.at_ns <= at_ns), 0)
            late = sum(i.count for i in self.items if i.start_ns <= at_ns < i.end_ns)
            most = max(most, sockets + late)
        return most


@dataclass(frozen=True, slots=True)
class Composition:
    """How a thread spent a span, in nanoseconds."""

    ran_ns: int
    queued_ns: int
    stopped_ns: int
    blocked_ns: int


def find(
    worker: WorkerRecord,
    activities: Mapping[int, Sequence[Activity]],
    own_loops: Sequence[Loop],
    end_ns: int,
    min_stall_ns: int,
    gaps: Sequence[tuple[int, int]] = (),
) -> Iterator[Starvation]:
    """Episodes of every loop of a worker, in no particular order, then the latent ones."""
    starved: list[Starvation] = []
    for loop in own_loops:
        base = blame.base_stack(activities.get(loop.tid, ()))
        if activities and not activities.get(loop.tid):
            continue  # a thread of native code: whatever it polls is no Python program's loop
        known = _is_event_loop(loop, worker, base)
        for span in loops.pending(loop, worker, end_ns, gaps, min_stall_ns):
            if not known and not _has_clients(span):
                continue
            if span.end_ns - span.start_ns >= min_stall_ns:
                starved.extend(_judge(span, worker, activities, base, min_stall_ns))
    yield from starved
    told: set[int] = set()
    for loop in own_loops:
        if loop.seen == "polling" and loop.tid not in told:
            told.add(loop.tid)
            mine = activities.get(loop.tid, ())
            same = [s for s in starved if s.loop.tid == loop.tid]
            yield from _latent(loop, mine, blame.base_stack(mine), same, min_stall_ns)


def _is_event_loop(loop: Loop, worker: WorkerRecord, base: Stack | None) -> bool:
    """Whether that epoll is known to be an event loop's, rather than some client's own selector.

    Where loop objects cannot be read, every epoll that a Python thread serves counts as one.
    """
    if any(event.facts and event.facts.epfd == loop.epfd for event in worker.loops):
        return True
    if base is not None and blame.shows_loop(base):
        return True
    return worker.oracles.get("asyncio") != "ok"


def _has_clients(span: Pending) -> bool:
    """Whether what waits came from clients: then somebody outside is kept waiting for sure."""
    sockets = (s for look in span.looks for s in look.sockets)
    return any(s.inbound or s.kind == "listener" for s in sockets)


def compose(states: Sequence[KernelState], start_ns: int, end_ns: int) -> Composition:
    """What the kernel says of the thread in that span; unknown time is left out.

    State R alone does not mean on the CPU: what counts is the time that schedstat gained.
    """
    ran = queued = stopped = blocked = 0
    first = max(0, bisect_right(states, start_ns, key=lambda s: s.at_ns) - 1)
    for n in range(first, len(states)):
        state = states[n]
        if state.at_ns >= end_ns:
            break
        following = states[n + 1] if n + 1 < len(states) else None
        until_ns = min(following.at_ns if following else end_ns, end_ns)
        length = until_ns - max(state.at_ns, start_ns)
        if length <= 0 or state.gone:
            continue
        gained = length if state.syscall is None else 0  # without schedstat: by the state
        if following and following.ran_ns is not None and state.ran_ns is not None:
            gained = min(length, following.ran_ns - state.ran_ns)
        elif state.ran_ns is not None:
            gained = 0
        ran += gained
        if state.state in "Tt":
            stopped += length - gained
        elif state.syscall is None and state.state == "R":
            queued += length - gained
        else:
            blocked += length - gained
    return Composition(ran, queued, stopped, blocked)


def _judge(
    span: Pending,
    worker: WorkerRecord,
    activities: Mapping[int, Sequence[Activity]],
    base: Stack | None,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    loop = span.loop
    states = worker.states.get(loop.tid, ())
    spent = compose(states, span.start_ns, span.end_ns)
    length = span.end_ns - span.start_ns
    if spent.stopped_ns + spent.queued_ns >= length * _HALF and spent.ran_ns < min_stall_ns:
        yield _make("no-cpu", span, (), base)
        return
    if spent.blocked_ns < length * _HALF:
        yield from _judge_busy(span, worker, activities, base, min_stall_ns)
        return
    # Items whose waits overlap are one episode; it ends when everything seen was served.
    for piece in loops.split(span, loops.was_served(span.looks, all_of_them=True)):
        if piece.end_ns - piece.start_ns < min_stall_ns:
            continue
        still = (
            min(b, piece.end_ns) - max(a, piece.start_ns)
            for a, b in still_spans(states, piece.end_ns)
        )
        if loops.was_served(piece.looks) and max(still, default=0) < min_stall_ns:
            continue  # served all along, though late: no single wait holds this loop
        yield from _judge_blocked(piece, worker, activities, base)


def _judge_busy(
    span: Pending,
    worker: WorkerRecord,
    activities: Mapping[int, Sequence[Activity]],
    base: Stack | None,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """A loop with much to do looks the same from here as one long callback.

    What tells them apart is the loop's own counter, or else connections that are proven to stay
    unread; without either, nothing is claimed.
    """
    counted = span.loop.served
    if counted is not None:
        ran_ns = compose(worker.states.get(span.loop.tid, ()), span.start_ns, span.end_ns).ran_ns
        gap_ns = service.longest_gap_ns(counted, span.start_ns, span.end_ns)
        if min(ran_ns, gap_ns) >= min_stall_ns:
            guilty = _cut(activities.get(span.loop.tid, ()), span.start_ns, span.end_ns)
            yield _make("busy-loop", span, guilty, base)
        return
    for piece in loops.split(span, loops.was_served(span.looks)):
        ran_ns = compose(worker.states.get(span.loop.tid, ()), piece.start_ns, piece.end_ns).ran_ns
        if loops.was_left(piece.looks) and ran_ns >= min_stall_ns:
            guilty = _cut(activities.get(span.loop.tid, ()), piece.start_ns, piece.end_ns)
            yield _make("busy-loop", piece, guilty, base)


def _judge_blocked(
    span: Pending,
    worker: WorkerRecord,
    activities: Mapping[int, Sequence[Activity]],
    base: Stack | None,
) -> Iterator[Starvation]:
    loop = span.loop
    guilty = _cut(activities.get(loop.tid, ()), span.start_ns, span.end_ns)
    spent: Counter[str] = Counter()
    for activity in guilty:
        running = blame.in_loop(activity.stack, base, never_idle=loop.seen == "serving")
        if activity.wait.kind is WaitKind.GIL:
            kind = "gil-bound"
        elif activity.wait.kind is WaitKind.LOOP_POLL:
            kind = ""  # its thread polls another loop (its own polls are cut out): left behind
        else:
            kind = "blocked-loop" if running else "parked-loop"
        spent[kind] += activity.end_ns - activity.start_ns
    if not spent:
        # Starved for certain, but no stack was sampled in that time: nobody is blamed.
        yield _make("blocked-loop", span, (), base)
        return
    kind = spent.most_common(1)[0][0]
    if kind == "gil-bound":
        holder, stack = _gil_holder(span, worker)
        found = _cut(activities.get(holder or 0, ()), span.start_ns, span.end_ns) if stack else ()
        evidence = ("epoll", "threads", "dump") if stack else ("epoll", "threads")
        yield _make(kind, span, found, None, tid=holder, evidence=evidence)
    elif kind:
        yield _make(kind, span, guilty, base)


def _gil_holder(span: Pending, worker: WorkerRecord) -> tuple[int | None, Stack | None]:
    """The thread that a dump inside the span showed as holding the GIL, and its stack then."""
    for dump in worker.dumps:
        if span.start_ns <= dump.at_ns < span.end_ns and dump.gil_tid not in {None, span.loop.tid}:
            return dump.gil_tid, dump.stacks.get(dump.gil_tid)
    return None, None


def _latent(
    loop: Loop,
    activities: Sequence[Activity],
    base: Stack | None,
    starved: Sequence[Starvation],
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """Blocking calls on the running loop's thread that happened to starve nothing."""
    for activity in activities:
        length = activity.end_ns - activity.start_ns
        if (
            length >= min_stall_ns
            and activity.wait.kind not in {WaitKind.LOOP_POLL, WaitKind.ON_CPU, WaitKind.GIL}
            and activity.wait.syscall is not None
            and blame.in_loop(activity.stack, base)
            and not any(
                s.start_ns < activity.end_ns and activity.start_ns < s.end_ns for s in starved
            )
        ):
            span = Pending(loop, activity.start_ns, activity.end_ns, ())
            yield _make("blocked-loop", span, (activity,), base, evidence=("threads",), latent=True)


def _make(
    kind: str,
    span: Pending,
    guilty: Sequence[Activity],
    base: Stack | None,
    *,
    evidence: tuple[str, ...] = ("epoll", "threads"),
    tid: int | None = None,
    latent: bool = False,
) -> Starvation:
    return Starvation(
        kind=kind,
        loop=span.loop,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        guilty=tuple(guilty),
        guilty_tid=span.loop.tid if tid is None else tid,
        base=base,
        looks=span.looks,
        evidence=("asyncio", *evidence) if span.items else evidence,
        items=span.items,
        latent=latent,
    )


def _cut(activities: Sequence[Activity], start_ns: int, end_ns: int) -> tuple[Activity, ...]:
    first = max(0, bisect_right(activities, start_ns, key=lambda a: a.start_ns) - 1)
    found = []
    for activity in activities[first:]:
        if activity.start_ns >= end_ns:
            break
        a, b = max(activity.start_ns, start_ns), min(activity.end_ns, end_ns)
        if a < b:
            found.append(Activity(a, b, activity.stack, activity.wait))
    return tuple(found)
