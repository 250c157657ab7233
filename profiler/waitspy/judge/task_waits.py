"""Episodes of tasks that wait for what other tasks hold: locks, semaphores, and connections.

Nothing is due on their loop, which may be idle: the oracles of pending work see nothing. Looks are
a few in a second at most, so that only longer waits are told. A semaphore or a pool is a limit on
purpose: who waits for it in a batch of its own is served in time. So those count only where
requests wait, as their tasks were begun by a server, or clients are owed an answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from waitspy.judge import blame, requests
from waitspy.judge.episode import Starvation
from waitspy.judge.spans import Span
from waitspy.judge.task_stacks import is_slow, name_of, shared, task_item, wait_of
from waitspy.judge.wait_for import spot_of
from waitspy.model.clock import NS
from waitspy.model.code_origin import Origin
from waitspy.model.judged import Lending, LentTo, Link
from waitspy.model.kinds import EXHAUSTED_CONNECTIONS, HELD_LOCK, Verdict
from waitspy.model.oracle_names import PLACES, REQUESTS
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.task_waits import TaskWait

_LEAST_NS = NS // 2  # a wait that two looks saw is longer, unless something came in between

_HALF = 0.5  # of an episode, for which one holder kept it


def find(
    worker: WorkerRecord, sources: SourceLines, end_ns: int, min_stall_ns: int
) -> Iterator[Starvation]:
    """The episodes of the tasks of a worker."""
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    judged = {event.pool for event in worker.pools}
    for loop in sorted({event.loop for event in worker.task_waits}):
        looks = sorted(event.at_ns for event in worker.places if event.loop == loop)
        events = [event for event in worker.task_waits if event.loop == loop]
        seen: dict[int, list[tuple[int, int, TaskWait]]] = {}
        for n, event in enumerate(events):
            until_ns = events[n + 1].at_ns if n + 1 < len(events) else stop_ns
            before = bisect_left(looks, until_ns)
            last_ns = looks[before - 1] if before else event.at_ns
            span = event.at_ns, max(event.at_ns, last_ns)
            for one in event.waits:
                if one.subject in judged:
                    continue  # a limiter of threads is told as their pool
                seen.setdefault(one.subject, []).append((*span, one))
        for runs in seen.values():
            for run in _runs(runs):
                found = _episode(
                    worker, loop_thread(worker, loop), run, sources, stop_ns, min_stall_ns
                )
                if found is not None:
                    yield found


def _runs(
    seen: list[tuple[int, int, TaskWait]],
) -> Iterator[list[tuple[int, int, TaskWait]]]:
    """What was seen of one thing, without a break in which nobody waited for it."""
    run: list[tuple[int, int, TaskWait]] = []
    for one in seen:
        if run and one[2].since_ns > run[-1][1]:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _episode(
    worker: WorkerRecord,
    tid: int,
    run: list[tuple[int, int, TaskWait]],
    sources: SourceLines,
    stop_ns: int,
    min_stall_ns: int,
) -> Starvation | None:
    last = run[-1][2]
    span = min(one.since_ns for _, _, one in run), min(stop_ns, run[-1][1])
    if span[1] - span[0] < max(min_stall_ns, _LEAST_NS):
        return None
    most = max((one for _, _, one in run), key=lambda one: one.count)
    if last.kind == "connections":
        if most.use is not None and not most.use.exhausted:
            return None
    elif not most.holders or not all(is_slow(holder.stack) for holder in most.holders):
        return None
    if last.kind != "lock" and not _are_requests(worker, most.stack, span):
        return None
    if last.kind == "semaphore" and not any(holder.since_ns for holder in most.holders):
        return None  # its places go from hand to hand
    kind = EXHAUSTED_CONNECTIONS if last.kind == "connections" else HELD_LOCK
    kept_ns = max(
        (until_ns - h.since_ns for _, until_ns, one in run for h in one.holders if h.since_ns),
        default=0,
    )
    goes_round = bool(most.holders) and kept_ns < (span[1] - span[0]) * _HALF
    verdict: Verdict = "late" if goes_round and last.kind != "semaphore" else "starving"
    shown = [(h.stack, h.count) for h in most.holders] or [(most.stack, most.count)]
    key = worker.thread(tid)
    return Starvation(
        kind=kind,
        verdict=verdict,
        pid=worker.worker.pid,
        tid=tid,
        process=worker.process,
        place="tasks",
        start_ns=span[0],
        end_ns=span[1],
        held_by={key: tuple(shared(shown, span))},
        base=None,
        evidence=(PLACES, REQUESTS) if last.kind != "lock" else (PLACES,),
        items=(task_item(most.stack, span, most.count),),
        detail=_detail(most),
        asyncio=True,
        links=_links(key, most, sources),
        lending=_lending(most, sources),
        of_tasks=True,
    )


def _are_requests(worker: WorkerRecord, stack: Stack, span: Span) -> bool:
    """Whether those that wait were begun by a server, or its clients are owed an answer."""
    if stack and stack[0].origin is not Origin.USER:
        return True
    return requests.is_owed(worker, span, _LEAST_NS)


def _detail(wait: TaskWait) -> str | None:
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
    return Lending(use.name, use.limit, use.lent, wait.count, to, "task")


def _links(key: ThreadKey, wait: TaskWait, sources: SourceLines) -> tuple[Link, ...]:
    if not wait.holders:
        return ()
    holder = wait.holders[0]
    waiter = Link(
        key.pid, key.tid, "", spot_of(blame.blamed(wait.stack), sources), wait_of(wait.stack),
        wait.since_ns / NS, waits_for=wait.kind, task=name_of(wait.stack), count=wait.count,
    )  # fmt: skip
    root = Link(
        key.pid, key.tid, "", spot_of(blame.blamed(holder.stack), sources), wait_of(holder.stack),
        None if holder.since_ns is None else holder.since_ns / NS, holder.how,
        spot_of(holder.at, sources), task=name_of(holder.stack), count=holder.count,
        unsent=holder.unsent,
    )  # fmt: skip
    return waiter, root


def loop_thread(worker: WorkerRecord, loop: int) -> int:
    """The thread of a loop; the main thread where that is not known."""
    owners = [e.facts.owner_tid for e in worker.loops.facts if e.loop == loop and e.facts]
    return next((tid for tid in reversed(owners) if tid is not None), worker.worker.pid)
