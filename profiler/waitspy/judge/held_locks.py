"""Episodes of locks: threads that wait for what somebody holds over a slow wait, or in a ring, or
what nobody is left to give up, or to do.

What threads that serve a loop or a pool wait for is told with that loop or pool. A lock whose
holder waits for work itself (a connection, a message, a signal) starves nobody: those who wait for
it are the next ones in a row. Nor does a semaphore that is a limit on purpose.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from waitspy.judge import blame, pool_threads, requests, task_stacks
from waitspy.judge.episode import UNNAMED, Item, Starvation
from waitspy.judge.needs import Party
from waitspy.judge.spans import Span, common, union, without
from waitspy.judge.task_stacks import shared, task_item
from waitspy.judge.thread_time import compose, cut
from waitspy.judge.wait_for import (
    FOR_NOBODY,
    LOST,
    Chain,
    Chains,
    standstill,
    waits_for_work,
)
from waitspy.model.activities import NO_ACTIVITIES, Activities, Activity
from waitspy.model.clock import NS
from waitspy.model.kinds import (
    ACCEPT_BACKLOG,
    BLOCKED_LOOP,
    DEADLOCK,
    EXHAUSTED_POOL,
    HELD_LOCK,
    PARKED_LOOP,
)
from waitspy.model.oracle_names import THREADS, WAIT_FOR
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_for import TaskEdge, WaitEdge
from waitspy.model.waits import WaitKind

_SLOW = frozenset(
    {
        WaitKind.SLEEP, WaitKind.SOCKET, WaitKind.DNS, WaitKind.FILE, WaitKind.SUBPROCESS,
        WaitKind.JOIN, WaitKind.FUTURE, WaitKind.ON_CPU, WaitKind.GIL,
    }
)  # fmt: skip
"""Waits that end by themselves, and do not wait for work to arrive."""

_HALF = 0.5
_SOON_NS = NS // 5  # after a recording has begun: what was so before is known by then
_OWED_NS = NS // 2

_PLACES = {
    "lost-job": "a pool of processes", "lost-result": "a result", "lost-signal": "an event",
    "lost-queue": "a queue",
}  # fmt: skip
"""What starves, by what the root waits for; all else is a lock."""

_LOST_JOB = "work that no process of its pool has or will take"

MAY_BE_DEADLOCKS = frozenset({BLOCKED_LOOP, PARKED_LOOP, EXHAUSTED_POOL, ACCEPT_BACKLOG})


@dataclass(slots=True)
class _Waiter:
    """A thread that stood in one wait for a lock, what was seen of that, and when, and of tasks
    meanwhile.
    """

    tid: int
    span: Span
    seen: list[tuple[int, WaitEdge]] = field(default_factory=list)
    tasks: dict[int, TaskEdge] = field(default_factory=dict)


def rings(starved: Iterable[Starvation], chains: Chains) -> Iterator[Starvation]:
    """The same episodes; those that a ring keeps are deadlocks."""
    for one in starved:
        if one.kind not in MAY_BE_DEADLOCKS or not one.held_by:
            yield one
            continue
        found = [chains.of(key, one.start_ns, one.end_ns) for key in one.held_by]
        if all(chain is not None and chain.ring for chain in found):
            yield replace(one, kind=DEADLOCK, verdict=DEADLOCK.verdict)
        else:
            yield one


def find(
    worker: WorkerRecord,
    done: Mapping[ThreadKey, Activities],
    chains: Chains,
    told: Sequence[Starvation],
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """The episodes of locks in a worker; ``told`` are those of its loops and pools."""
    taken: dict[int, list[Span]] = {}
    for one in told:
        for key in () if one.of_tasks else one.held_by:
            if key._replace(tid=0) == worker.thread(0):
                taken.setdefault(key.tid, []).append((one.start_ns, one.end_ns))
    by_subject: dict[int, list[_Waiter]] = {}
    for subject, waiter in _waiters(worker, end_ns):
        if waiter.span[1] - waiter.span[0] >= min_stall_ns:
            by_subject.setdefault(subject, []).append(waiter)
    rings_seen: list[tuple[frozenset[ThreadKey], Span]] = []
    for waiters in by_subject.values():
        for span in union(waiter.span for waiter in waiters):
            mine = [w for w in waiters if span[0] <= w.span[0] and w.span[1] <= span[1]]
            if any(common(union(taken.get(w.tid, ())), [w.span]) for w in mine):
                continue
            found = _episode(worker, done, chains, mine, span, min_stall_ns)
            if found is None:
                continue
            if found.kind is DEADLOCK:  # of each lock in it, one tells of all
                ring = frozenset(found.held_by)
                if any(ring == other and common([span], [past]) for other, past in rings_seen):
                    continue
                rings_seen.append((ring, span))
            yield found


def _waiters(worker: WorkerRecord, end_ns: int) -> Iterator[tuple[int, _Waiter]]:
    """Every standstill in which a thread was seen to wait for a lock that is held, by the lock; or
    for what nobody will give up or do.
    """
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    found: dict[tuple[int, int, int], _Waiter] = {}
    for event in worker.wait_for:
        for one in event.waiting:
            if not _is_held(one) and one.kind not in FOR_NOBODY:
                continue
            span = standstill(worker, one.tid, event.at_ns, stop_ns)
            if span is None:
                continue
            key = (one.subject, one.tid, span[0])
            waiter = found.setdefault(key, _Waiter(one.tid, span))
            waiter.seen.append((event.at_ns, one))
            waiter.tasks.update((task.task, task) for task in event.tasks)
    for (subject, _, _), waiter in found.items():
        yield subject, waiter


def _is_held(one: WaitEdge) -> bool:
    """Whether somebody holds what a thread waits for; a result that a loop has to make, too."""
    if one.kind == "future":
        return any(holder.how in {"task", "loop"} for holder in one.holders)
    return one.kind in {"lock", "semaphore", "file-lock"} and bool(one.holders)


def _episode(
    worker: WorkerRecord,
    done: Mapping[ThreadKey, Activities],
    chains: Chains,
    waiters: Sequence[_Waiter],
    span: Span,
    min_stall_ns: int,
) -> Starvation | None:
    longest = max(waiters, key=lambda w: w.span[1] - w.span[0])
    chain = chains.of(worker.thread(longest.tid), *longest.span)
    of_future = any(one.kind == "future" for _, one in longest.seen)
    if chain is None or (of_future and not chain.ring):
        return None
    if not (chain.ring or is_slow(chain) or _computes(chain, chains, longest.span)):
        return None
    if not chain.ring and _is_limit(worker, done, waiters, span):
        return None
    if not chain.ring and _lacks_cpu(chain, chains, longest.span, min_stall_ns):
        return None
    kinds = {edge.kind for waiter in waiters for _, edge in waiter.seen}
    if kinds <= LOST and not _is_missed(worker, done, waiters, kinds):
        return None
    if kinds == {"file-lock"} and _stands_by(worker, done, waiters, span):
        return None
    kind = DEADLOCK if chain.ring else HELD_LOCK
    looks = [
        {(one.pid, one.tid, one.task) for one in edge.holders}
        for w in waiters
        for _, edge in w.seen
    ]
    guilty = (
        dict(zip(chain.parties, _stacks(chain), strict=True))
        if chain.ring
        else _holders(worker, waiters, chains)
    )
    own = [party for party in guilty if party.process == worker.thread(0)] if chain.ring else []
    waits = {party.thread.tid: span for party in own if party.task is None}
    waits |= {waiter.tid: waiter.span for waiter in waiters}
    items = [
        thread_item(cut(done.get(worker.thread(tid), NO_ACTIVITIES), *waited), waited)
        for tid, waited in waits.items()
    ]
    for party in own:
        stack = guilty[party]
        items += [] if stack is None else [task_item(stack, span, 1)]
    of_tasks = any(stack is not None for stack in guilty.values())
    waited: dict[ThreadKey, list[Span]] = {}
    for waiter in () if chain.ring else waiters:  # who holds it in turn waits for it before
        waited.setdefault(worker.thread(waiter.tid), []).append(waiter.span)
    taken = chain.links[min(1, len(chain.links) - 1)].taken
    detail = None if taken is None else f"a lock taken at {taken.file}:{taken.line}"
    root_waits_for = chain.root.waits_for
    if root_waits_for == "orphaned-lock":
        detail = _of_ended(longest) or detail
    return Starvation(
        kind=kind,
        verdict=kind.verdict if chain.ring or set.intersection(*looks) else "late",
        pid=worker.worker.pid,
        tid=longest.tid,
        process=worker.process,
        place=_PLACES.get(root_waits_for or "", "a lock"),
        start_ns=span[0],
        end_ns=span[1],
        held_by=_held_by(guilty, done, span, waited),
        base=None,
        evidence=(WAIT_FOR, THREADS),
        items=tuple(items),
        detail=_LOST_JOB if root_waits_for == "lost-job" else detail,
        asyncio=of_tasks,
        links=chain.links if of_tasks else (),
        of_tasks=of_tasks,
    )


def _of_ended(waiter: _Waiter) -> str | None:
    """Which process has ended with a lock, and where it had taken it."""
    for _, edge in waiter.seen:
        for one in edge.holders if edge.kind == "orphaned-lock" else ():
            if one.at is not None:
                taken = f"{one.at.file}:{one.at.line}"
                return f"a lock taken at {taken} by process {one.pid}, which has ended"
    return None


_Guilty = Mapping[Party, Stack | None]
"""Threads, and tasks with their awaits, where these are known."""


def _holders(worker: WorkerRecord, waiters: Iterable[_Waiter], chains: Chains) -> _Guilty:
    """Those who held what some waited for, of whatever process."""
    found: dict[Party, Stack | None] = {}
    seen: set[int] = set()
    looks = ((w.tasks, at_ns, edge.holders) for w in waiters for at_ns, edge in w.seen)
    for tasks, at_ns, holders in looks:
        for holder in holders:
            party = chains.party(worker.thread(0), holder, at_ns)
            if holder.task is None:
                found[party] = None
            elif holder.task in tasks and holder.task not in seen:
                seen.add(holder.task)
                found[party] = tasks[holder.task].stack
    return found


def _stacks(chain: Chain) -> Iterator[Stack | None]:
    """The awaits of each task of a chain; None for a thread."""
    for party, did in zip(chain.parties, chain.did, strict=True):
        yield None if party.task is None or did is None else did.stack


def _held_by(
    guilty: _Guilty,
    done: Mapping[ThreadKey, Activities],
    span: Span,
    waited: Mapping[ThreadKey, Sequence[Span]],
) -> dict[ThreadKey, tuple[Activity, ...]]:
    """What those threads did while they did not wait for it themselves, nor for work from a pool,
    and after that what the tasks of their loops did, who share it.
    """
    threads = sorted(party.thread for party in guilty if party.task is None)
    found = {
        key: tuple(
            activity
            for piece in without(span, union(waited.get(key, ())))
            for activity in cut(done.get(key, NO_ACTIVITIES), *piece)
            if activity.wait.kind is not WaitKind.POOL_IDLE
        )
        for key in threads
    }
    of_tasks: dict[ThreadKey, list[tuple[Stack, int]]] = {}
    for party, stack in guilty.items():
        if stack is not None:
            of_tasks.setdefault(party.home, []).append((stack, 1))
    for key, stacks in of_tasks.items():
        found[key] = (*found.get(key, ()), *shared(stacks, span))
    return found


def _computes(chain: Chain, chains: Chains, span: Span) -> bool:
    """Whether the root is a thread of which no stack was seen, and that ran, or wanted to, for most
    of a span.
    """
    if chain.root.task is not None or chain.root.at is not None:
        return False
    spent = compose(chains.states(chain.parties[-1].thread), *span)
    busy_ns = spent.ran_ns + spent.queued_ns
    return busy_ns >= (span[1] - span[0]) * _HALF


def _lacks_cpu(chain: Chain, chains: Chains, span: Span, min_stall_ns: int) -> bool:
    """Whether the root only wanted the CPU, rather than use it: the program is not to blame.

    It did where it ran for less than half of a span, and not long enough to be its cause anyhow.
    """
    states = chains.states(chain.parties[-1].thread)
    if chain.root.wait.kind is not WaitKind.ON_CPU or not len(states):
        return False
    return compose(states, *span).ran_ns < min(min_stall_ns, (span[1] - span[0]) * _HALF)


def _is_limit(
    worker: WorkerRecord,
    done: Mapping[ThreadKey, Activities],
    waiters: Sequence[_Waiter],
    span: Span,
) -> bool:
    """Whether it is a semaphore that all who have it and want it take at one line, and no requests
    are known to wait: a limit on purpose, in front of a batch.
    """
    edges = [edge for waiter in waiters for _, edge in waiter.seen]
    if any(edge.kind != "semaphore" for edge in edges):
        return False
    did = [
        activity
        for waiter in waiters
        for activity in cut(done.get(worker.thread(waiter.tid), NO_ACTIVITIES), *waiter.span)
    ]
    wanted = {_place(blame.blamed(activity.stack)) for activity in did}
    taken = {_place(holder.at) for edge in edges for holder in edge.holders}
    served = any(pool_threads.is_begun_by_server(activity.stack) for activity in did)
    return taken <= wanted and not served and not requests.is_owed(worker, span, _OWED_NS)


def _stands_by(
    worker: WorkerRecord,
    done: Mapping[ThreadKey, Activities],
    waiters: Sequence[_Waiter],
    span: Span,
) -> bool:
    """Whether they may wait for the end of another process, to do then what it does: a lock on a
    file says who leads. They have waited since before the recording, and no request waits for them.
    """
    begun_ns = worker.attached_ns + _SOON_NS
    if span[0] > begun_ns or any(waiter.span[0] > begun_ns for waiter in waiters):
        return False
    return not _serves(worker, done, waiters) and not requests.is_owed(worker, span, _OWED_NS)


def _serves(
    worker: WorkerRecord, done: Mapping[ThreadKey, Activities], waiters: Sequence[_Waiter]
) -> bool:
    """Whether a framework has begun what one of them does."""
    return any(
        pool_threads.is_begun_by_server(activity.stack)
        for waiter in waiters
        for activity in cut(done.get(worker.thread(waiter.tid), NO_ACTIVITIES), *waiter.span)
    )


def _is_missed(
    worker: WorkerRecord,
    done: Mapping[ThreadKey, Activities],
    waiters: Sequence[_Waiter],
    kinds: Container[str],
) -> bool:
    """Whether what is lost keeps a request, or a thread from what it does: programs park their main
    thread on purpose, and others in an event.
    """
    if _serves(worker, done, waiters):
        return True
    others = any(waiter.tid != worker.worker.pid for waiter in waiters)
    return "lost-signal" not in kinds and others


def _place(frame: Frame | None) -> tuple[str, int | None] | None:
    return None if frame is None else (frame.file, frame.line)


def is_slow(chain: Chain) -> bool:
    """Whether the root is in the middle of something, rather than waiting for something to do; of
    one who waits for a message of another process, whether that one is: it may bring work.
    """
    messages = (n for n, link in enumerate(chain.links) if link.waits_for == "message")
    n = next(messages, len(chain.links) - 1)
    last, did = chain.links[n], chain.did[n]
    if last.task is not None:
        return did is not None and task_stacks.is_slow(did.stack)
    return last.wait.kind in _SLOW and not waits_for_work(last.wait)


def thread_item(doing: Sequence[Activity], span: Span) -> Item:
    """The thread that waited, by what it does."""
    frames = [frame for a in doing if (frame := blame.blamed(a.stack)) is not None]
    if not frames:
        return Item("thread", UNNAMED, None, *span)
    frame = frames[-1]
    return Item("thread", frame.function, f"{frame.file}:{frame.line}", *span)
