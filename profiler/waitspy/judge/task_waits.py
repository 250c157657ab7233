"""Episodes of tasks that wait for what other tasks hold: locks, semaphores, and connections.

Nothing is due on their loop, which may be idle: the oracles of pending work see nothing. Looks are
a few in a second at most, so that only longer waits are told. A semaphore or a pool is a limit on
purpose: who waits for it in a batch of its own is served in time. So those count only where
requests wait, as their tasks were begun by a server, or clients are owed an answer. So does a wait
for what nobody else can reach: programs wait in that way on purpose, too. A full queue slows down
who fills it on purpose: it counts where several requests wait for room in it. One alone may wait
for consumers of its own, and those who wait for a client to read pass that on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from waitspy.judge import blame, requests
from waitspy.judge.asyncio_chains import TaskChain, Waits, all_slow, follow, holders_of, stuck_in
from waitspy.judge.episode import Starvation
from waitspy.judge.spans import Span, common
from waitspy.judge.spots import spot_of
from waitspy.judge.task_stacks import shared, task_item, wait_of
from waitspy.judge.wait_for import LOST, Chains
from waitspy.model.clock import NS
from waitspy.model.code_origin import Origin
from waitspy.model.judged import Lending, LentTo
from waitspy.model.kinds import DEADLOCK, EXHAUSTED_CONNECTIONS, HELD_LOCK, Verdict
from waitspy.model.oracle_names import PLACES, REQUESTS
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.task_waits import TaskHolder, TaskWait
from waitspy.model.unsent import drains
from waitspy.model.wait_for import Held, How

_LEAST_NS = NS // 2  # a wait that two looks saw is longer, unless something came in between

_GO_ROUND = frozenset({"semaphore", "full-queue"})
"""What one after the other gets that waits for it."""

_SEVERAL = 2
_SHORT = 2  # links: who waits, and who holds it
_HALF = 0.5  # of an episode, for which one holder kept it


class _LookAt(NamedTuple):
    """What was seen of one thing at a look, until when, and all that tasks waited for then."""

    until_ns: int
    wait: TaskWait
    waits: Waits


def find(
    worker: WorkerRecord, chains: Chains, end_ns: int, min_stall_ns: int
) -> Iterator[Starvation]:
    """The episodes of the tasks of a worker; of each thing in a ring, or that waits for what is
    lost, one tells of all. ``chains`` go on from the tasks to the threads that work for them.
    """
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    judged = {event.pool for event in worker.pools}
    for loop in sorted({event.loop for event in worker.task_waits}):
        looks = sorted(event.at_ns for event in worker.places if event.loop == loop)
        events = [event for event in worker.task_waits if event.loop == loop]
        seen: dict[int, list[_LookAt]] = {}
        for n, event in enumerate(events):
            until_ns = events[n + 1].at_ns if n + 1 < len(events) else stop_ns
            before = bisect_left(looks, until_ns)
            last_ns = looks[before - 1] if before else event.at_ns
            # a limiter of threads is told as their pool
            waits = {one.subject: one for one in event.waits if one.subject not in judged}
            for one in waits.values():
                look = _LookAt(max(event.at_ns, last_ns), one, waits)
                seen.setdefault(one.subject, []).append(look)
        ends: list[tuple[frozenset[int], Span]] = []
        for run in (run for runs in seen.values() for run in _runs(runs)):
            tid = loop_thread(worker, loop)
            found = _episode(worker, tid, run, chains, stop_ns, min_stall_ns)
            if found is None:
                continue
            starvation, end = found
            span = starvation.start_ns, starvation.end_ns
            if end and any(end == other and common([span], [past]) for other, past in ends):
                continue
            ends.append((end, span))
            yield starvation


def _runs(seen: list[_LookAt]) -> Iterator[list[_LookAt]]:
    """What was seen of one thing, without a break in which nobody waited for it."""
    run: list[_LookAt] = []
    for look in seen:
        if run and look.wait.since_ns > run[-1].until_ns:
            yield run
            run = []
        run.append(look)
    if run:
        yield run


def _episode(
    worker: WorkerRecord,
    tid: int,
    run: Sequence[_LookAt],
    chains: Chains,
    stop_ns: int,
    min_stall_ns: int,
) -> tuple[Starvation, frozenset[int]] | None:
    """The episode, and at what its chain ends, if nobody can ever give that."""
    last = run[-1].wait
    span = min(look.wait.since_ns for look in run), min(stop_ns, run[-1].until_ns)
    if span[1] - span[0] < max(min_stall_ns, _LEAST_NS):
        return None
    most = max(run, key=lambda look: look.wait.count)
    key = worker.thread(tid)
    if last.subject in stuck_in(run[-1].waits):
        most = run[-1]
    chain = follow(key, most.wait, most.waits, chains.sources)
    if chain.stuck:
        if most.wait.kind in LOST and not _is_served(worker, most.wait, span):
            return None
    elif not _is_held(worker, most.wait, most.waits, span):
        return None
    found = _starvation(worker, key, run, most.wait, chain, span, chains.sources)
    if chain.last is not None:
        until_ns = min(stop_ns, most.until_ns)
        found = _to_root(found, chain.last, worker, (span[0], until_ns), chains)
    if len(most.wait.holders) > 1:
        found = replace(found, root=None)  # each of them may have another one
    return found, chain.end


def _to_root(
    found: Starvation, last: TaskHolder, worker: WorkerRecord, span: Span, chains: Chains
) -> Starvation:
    """The same with what is at its root, where that is another one than those who hold the thing
    itself: the thread that works for the last task, the one of another process from which it is to
    hear, or whoever holds what that one waits for.
    """
    links = found.links
    tail = None
    how: How = "work-item"
    waits_for: Held = "future"
    if last.thread is not None:
        tail = chains.from_worker(worker.thread(last.thread), span)
    elif last.sender is not None:
        tail = chains.from_sender(worker.thread(0), last.sender, span)
        how, waits_for = last.sender.how, "message"
    if tail is not None:
        did, home = tail.did[-1], tail.parties[-1].home
        first = replace(tail.links[0], how=how)
        task = replace(links[-1], waits_for=waits_for, unsent=None)
        root = None if did is None else (home, did.stack, did.wait)
        return replace(found, links=(*links[:-1], task, first, *tail.links[1:]), root=root)
    if len(links) <= _SHORT:
        return found
    return replace(found, root=(found.thread, last.stack, wait_of(last.stack)))


def _is_held(worker: WorkerRecord, most: TaskWait, waits: Waits, span: Span) -> bool:
    """Whether it is kept by those who are in the middle of something, from those it is owed to."""
    if most.kind == "connections":
        if most.use is not None and not most.use.exhausted:
            return False
    elif not most.holders or not all_slow(most, waits):
        return False
    if most.kind == "full-queue":
        if not _is_served(worker, most, span):
            return False
        if not holders_of(most):
            return True  # who took from it has ended
        if most.count < _SEVERAL or any(drains(holder.stack) for holder in most.holders):
            return False
    elif most.kind != "lock" and not _are_requests(worker, most.stack, span):
        return False
    # else its places go from hand to hand
    return most.kind not in _GO_ROUND or any(holder.since_ns for holder in most.holders)


def _starvation(
    worker: WorkerRecord,
    key: ThreadKey,
    run: Sequence[_LookAt],
    most: TaskWait,
    chain: TaskChain,
    span: Span,
    sources: SourceLines,
) -> Starvation:
    kind = EXHAUSTED_CONNECTIONS if most.kind == "connections" else HELD_LOCK
    kept_ns = max(
        (look.until_ns - h.since_ns for look in run for h in look.wait.holders if h.since_ns),
        default=0,
    )
    goes_round = bool(most.holders) and kept_ns < (span[1] - span[0]) * _HALF
    ended = most.kind == "full-queue" and not holders_of(most)
    late = goes_round and most.kind != "semaphore" and not ended
    verdict: Verdict = "late" if late else "starving"
    shown = [(h.stack, h.count) for h in most.holders] or [(most.stack, most.count)]
    if chain.stuck:
        kind, verdict = DEADLOCK, DEADLOCK.verdict
        shown = [(stack, 1) for stack in chain.guilty]
    return Starvation(
        kind=kind,
        verdict=verdict,
        pid=worker.worker.pid,
        tid=key.tid,
        process=worker.process,
        place="tasks",
        start_ns=span[0],
        end_ns=span[1],
        held_by={key: tuple(shared(shown, span))},
        base=None,
        evidence=(PLACES,) if chain.stuck or most.kind == "lock" else (PLACES, REQUESTS),
        items=(task_item(most.stack, span, most.count),),
        detail=_detail(most, run[-1].waits, chain),
        asyncio=True,
        links=chain.links,
        lending=_lending(most, sources),
        of_tasks=True,
    )


def _is_served(worker: WorkerRecord, wait: TaskWait, span: Span) -> bool:
    """Whether who waits does so for a client: a framework has begun it, or it has the client's
    connection, and that one is owed an answer. Others may wait for ever on purpose.
    """
    stack = wait.stack
    if wait.serves and requests.is_owed(worker, span, _LEAST_NS):
        return True
    begun = bool(stack) and stack[0].origin is Origin.FRAMEWORK
    return begun and any(frame.origin is Origin.USER for frame in stack)


def _are_requests(worker: WorkerRecord, stack: Stack, span: Span) -> bool:
    """Whether those that wait were begun by a server, or its clients are owed an answer."""
    if stack and stack[0].origin is not Origin.USER:
        return True
    return requests.is_owed(worker, span, _LEAST_NS)


def _detail(wait: TaskWait, waits: Waits, chain: TaskChain) -> str | None:
    if wait.kind == "full-queue" or (chain.stuck and wait.kind != "lock"):
        end = [waits[subject] for subject in chain.end] if chain.stuck else [wait]
        ended = [holder for one in end for holder in one.holders]
        at = next((one.at for one in ended if one.how == "ended"), None)
        return None if at is None else f"who took from it has ended at {at.file}:{at.line}"
    if wait.kind != "connections":
        taken = wait.holders[0].at if wait.holders else None
        return None if taken is None else f"a {wait.kind} taken at {taken.file}:{taken.line}"
    use, to_whom = wait.use, "" if wait.holders else ", to whom is not known"
    if use is None:
        return None
    if use.limit is None or use.lent is None:
        return f"{use.name}: its connections are lent{to_whom}"
    return f"{use.name}: {use.lent} of {use.limit} connections are lent{to_whom}"


def _lending(wait: TaskWait, sources: SourceLines) -> Lending | None:
    use = wait.use
    if use is None:
        return None
    to = tuple(
        LentTo("task", spot_of(blame.blamed(h.stack), sources), h.count, h.how, wait_of(h.stack))
        for h in wait.holders
    )
    waiting = max(wait.count, wait.in_line or 0)
    return Lending(use.name, use.limit, use.lent, waiting, to, "task")


def loop_thread(worker: WorkerRecord, loop: int) -> int:
    """The thread of a loop; the main thread where that is not known."""
    owners = [e.facts.owner_tid for e in worker.loops.facts if e.loop == loop and e.facts]
    return next((tid for tid in reversed(owners) if tid is not None), worker.worker.pid)
