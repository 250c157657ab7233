"""The pure half in one call: Recording in, Report and activities out; same input, same output."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from waitspy.judge import (
    blame,
    classify,
    findings,
    listeners,
    loop_episodes,
    loops,
    merge,
    pending_work,
    pools,
    timeline,
)
from waitspy.judge.episode import Starvation, ThreadKey
from waitspy.judge.loops import Loop
from waitspy.model.clock import NS
from waitspy.model.judged import (
    Activity,
    Analysis,
    Finding,
    PendingSeries,
    Profile,
    Report,
    ThreadActivity,
    WaitKind,
)
from waitspy.model.recorded import Recording, SourceLines, WorkerRecord
from waitspy.model.threads import ThreadRecord

_AROUND = 4


def analyse(recording: Recording, min_stall_s: float | None = None) -> Analysis:
    """Judges a recording; ``min_stall_s`` defaults to the one it was recorded with."""
    info = recording.info
    stall_s = info.min_stall_s if min_stall_s is None else min_stall_s
    min_stall_ns = int(stall_s * NS)
    starved: list[Starvation] = []
    pending: list[PendingSeries] = []
    activities: dict[int, dict[int, tuple[Activity, ...]]] = {}
    recorded: list[tuple[ThreadKey, str, tuple[Activity, ...]]] = []
    shared = _shared(recording.workers)
    for worker in recording.workers:
        pid = worker.worker.pid
        records = timeline.build(worker, info.end_ns)
        running = {r.tid for r in records if any(blame.shows_loop(i.stack) for i in r.intervals)}
        own_loops = loops.find(worker, info.end_ns, info.arch, running, shared)
        mine = _activities(worker, records, own_loops, recording)
        starved += loop_episodes.find(worker, mine, own_loops, info.end_ns, min_stall_ns, info.gaps)
        own_pools = pools.find(worker, mine, info.end_ns, min_stall_ns)
        for pool in own_pools:
            starved += pools.starvations(pool, worker, mine, min_stall_ns)
        pending += pending_work.of_loops(worker, own_loops, info.end_ns)
        pending += pending_work.of_pools(own_pools)
        for record in records:
            done = mine[record.tid]
            recorded.append(((pid, record.tid), record.name, done))
            known = activities.setdefault(pid, {})
            known[record.tid] = known.get(record.tid, ()) + done  # it may have called exec
    pending += pending_work.of_listeners(recording.workers)
    for listener in listeners.find(recording.workers, info.arch):
        starved += listeners.starvations(
            listener, recording.workers, activities, info.end_ns, min_stall_ns
        )
    threads = [
        ThreadActivity(*key, name, _mark(done, key, starved)) for key, name, done in recorded
    ]
    judged = findings.judge(starved, recording.sources, info.duration_s)
    analysed = Analysis(
        Report(
            recording=replace(info, min_stall_s=stall_s),
            workers=tuple(_told(worker, activities) for worker in recording.workers),
            losses=recording.losses,
            findings=judged,
            cost=recording.cost,
            sources=_around(judged, recording.sources),
        ),
        tuple(threads),
        tuple(pending),
    )
    return replace(analysed, profile=profile(analysed))


def _told(
    worker: WorkerRecord, activities: Mapping[int, Mapping[int, Sequence[Activity]]]
) -> WorkerRecord:
    """The worker with what the ``asyncio`` oracle cannot see of it: loops of another library."""
    if worker.oracles.get("asyncio") != "ok" or any(event.facts for event in worker.loops):
        return worker
    stacks = (a.stack for mine in activities.get(worker.worker.pid, {}).values() for a in mine)
    library = next((found for stack in stacks if (found := blame.foreign_loop(stack))), None)
    if library is None:
        return worker
    why = f"its loop is {library}'s: of it only I/O is seen, not tasks, timers and timeouts"
    return replace(worker, oracles={**worker.oracles, "asyncio": why})


def profile(judged: Analysis, *, lines: bool = False, pid: int | None = None) -> Profile:
    """What was judged as one profile of all workers, or of worker ``pid`` alone.

    ``lines`` keeps the lines of a function apart in the merged stacks.
    """
    info = judged.report.recording
    merged = merge.merge(
        judged.threads,
        title=f"{info.target} on {info.host}, {info.started_at}",
        start_ns=info.monotonic_start_ns,
        end_ns=info.end_ns,
        lines=lines,
        pid=pid,
    )
    found = judged.report.findings
    if pid is not None:
        found = tuple(
            replace(finding, episodes=tuple(e for e in finding.episodes if e.pid == pid))
            for finding in found
            if any(e.pid == pid for e in finding.episodes)
        )
    return replace(
        merged,
        started_at=info.started_at,
        workers=tuple(r.worker for r in judged.report.workers if pid in {None, r.worker.pid}),
        findings=found,
        pending=tuple(series for series in judged.pending if pid in {None, series.pid}),
    )


def _activities(
    worker: WorkerRecord,
    records: Sequence[ThreadRecord],
    own_loops: Sequence[Loop],
    recording: Recording,
) -> dict[int, tuple[Activity, ...]]:
    """What each thread of a worker did, by thread id."""
    found = {}
    own = frozenset(
        event.facts.epfd for event in worker.loops if event.facts and event.facts.epfd is not None
    )
    for thread in records:
        context = classify.Context(
            arch=recording.info.arch,
            sources=recording.sources,
            epfds=frozenset(loop.epfd for loop in own_loops if loop.tid == thread.tid),
            own_epfds=own,
            runtime_span=worker.runtime_span,
        )
        found[thread.tid] = classify.activities(thread, context)
    return found


def _shared(workers: Sequence[WorkerRecord]) -> set[int]:
    """Epolls of which several processes hold a descriptor: inherited over a fork, or passed."""
    holders: dict[int, set[int]] = {}
    for worker in workers:
        for event in worker.epolls:
            if event.share is not None:
                holders.setdefault(event.share, set()).add(worker.worker.pid)
    return {share for share, pids in holders.items() if len(pids) > 1}


def _mark(
    activities: Sequence[Activity], key: ThreadKey, found: Sequence[Starvation]
) -> tuple[Activity, ...]:
    """The activities, cut at the bounds of the episodes that they starved, with both weights."""
    mine = [s for s in found if key in s.held_by and not s.latent]
    if not mine:
        return tuple(activities)
    # Threads that starve it together share the time: the weights add up to what was starved.
    waiting = [s.waiting for s in mine]
    parts = [len(s.held_by) for s in mine]
    bounds = sorted({at for s in mine for at in (s.start_ns, s.end_ns)})
    result = []
    for activity in activities:
        first = bisect_right(bounds, activity.start_ns)
        inner = [at for at in bounds[first:] if at < activity.end_ns]
        edges = [activity.start_ns, *inner, activity.end_ns]
        for start_ns, end_ns in pairwise(edges):
            length = end_ns - start_ns
            held: list[int] = []
            if _holds(activity):
                held = [
                    n for n, s in enumerate(mine) if s.start_ns <= start_ns and end_ns <= s.end_ns
                ]
            result.append(
                replace(
                    activity,
                    start_ns=start_ns,
                    end_ns=end_ns,
                    starved_ns=max((length // parts[n] for n in held), default=0),
                    victim_ns=sum(length * waiting[n] // parts[n] for n in held),
                )
            )
    return tuple(result)


def _holds(activity: Activity) -> bool:
    """Waiting for work, in a loop's poll or as an idle thread of a pool, holds nobody up."""
    return activity.wait.kind is not WaitKind.POOL_IDLE and blame.holds_up(activity)


def _around(judged: Sequence[Finding], sources: SourceLines) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for finding in judged:
        for one in finding.blames:
            if one.file is None or one.line is None or one.file not in sources:
                continue
            lines = sources[one.file]
            near = range(one.line - _AROUND, one.line + _AROUND + 1)
            found.setdefault(one.file, {}).update({n: lines[n] for n in near if n in lines})
    return found
