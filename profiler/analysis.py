"""The pure half in one call: Recording in, Report and activities out; same input, same output."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise

from profiler import blame, classify, episodes, findings, loops, pending_work, timeline
from profiler.episodes import Starvation
from profiler.model import (
    NS,
    Activity,
    Finding,
    PendingSeries,
    Recording,
    Report,
    SourceLines,
    ThreadActivity,
    WaitKind,
    WorkerRecord,
)

_AROUND = 4


@dataclass(frozen=True, slots=True)
class Analysis:
    """What every output is made from."""

    report: Report
    threads: tuple[ThreadActivity, ...] = ()
    pending: tuple[PendingSeries, ...] = ()


def analyse(recording: Recording, min_stall_s: float | None = None) -> Analysis:
    """Judges a recording; ``min_stall_s`` defaults to the one it was recorded with."""
    info = recording.info
    stall_s = info.min_stall_s if min_stall_s is None else min_stall_s
    starved: list[Starvation] = []
    threads: list[ThreadActivity] = []
    pending: list[PendingSeries] = []
    shared = _shared(recording.workers)
    for worker in recording.workers:
        mine, found, waited = _worker(worker, recording, shared, int(stall_s * NS))
        starved.extend(found)
        threads.extend(mine)
        pending.extend(waited)
    judged = findings.judge(starved, recording.sources, info.duration_s)
    return Analysis(
        Report(
            recording=replace(info, min_stall_s=stall_s),
            workers=recording.workers,
            losses=recording.losses,
            findings=judged,
            cost=recording.cost,
            sources=_around(judged, recording.sources),
        ),
        tuple(threads),
        tuple(pending),
    )


def _worker(
    worker: WorkerRecord, recording: Recording, shared: AbstractSet[int], min_stall_ns: int
) -> tuple[list[ThreadActivity], list[Starvation], list[PendingSeries]]:
    info = recording.info
    records = timeline.build(worker, info.end_ns)
    running = {r.tid for r in records if any(blame.shows_loop(i.stack) for i in r.intervals)}
    own_loops = loops.find(worker, info.end_ns, info.arch, running, shared)
    named: dict[int, tuple[Activity, ...]] = {}
    names: dict[int, str] = {}
    for thread in records:
        context = classify.Context(
            arch=info.arch,
            sources=recording.sources,
            epfds=frozenset(loop.epfd for loop in own_loops if loop.tid == thread.tid),
            runtime_span=worker.runtime_span,
        )
        named[thread.tid] = classify.activities(thread, context)
        names[thread.tid] = thread.name
    found = list(episodes.find(worker, named, own_loops, info.end_ns, min_stall_ns, info.gaps))
    threads = [
        ThreadActivity(worker.worker.pid, tid, names[tid], _mark(activities, tid, found))
        for tid, activities in named.items()
    ]
    return threads, found, list(pending_work.of_loops(worker, own_loops, info.end_ns))


def _shared(workers: Sequence[WorkerRecord]) -> set[int]:
    """Epolls of which several processes hold a descriptor: inherited over a fork, or passed."""
    holders: dict[int, set[int]] = {}
    for worker in workers:
        for event in worker.epolls:
            if event.share is not None:
                holders.setdefault(event.share, set()).add(worker.worker.pid)
    return {share for share, pids in holders.items() if len(pids) > 1}


def _mark(
    activities: Sequence[Activity], tid: int, found: Sequence[Starvation]
) -> tuple[Activity, ...]:
    """The activities, cut at the bounds of the episodes that they starved, with both weights."""
    mine = [s for s in found if s.guilty_tid == tid and s.guilty and not s.latent]
    if not mine:
        return tuple(activities)
    waiting = [s.waiting for s in mine]
    bounds = sorted({at for s in mine for at in (s.start_ns, s.end_ns)})
    result = []
    for activity in activities:
        first = bisect_right(bounds, activity.start_ns)
        inner = [at for at in bounds[first:] if at < activity.end_ns]
        edges = [activity.start_ns, *inner, activity.end_ns]
        for start_ns, end_ns in pairwise(edges):
            items = 0
            if activity.wait.kind is not WaitKind.LOOP_POLL:
                items = sum(
                    waiting[n]
                    for n, s in enumerate(mine)
                    if s.start_ns <= start_ns and end_ns <= s.end_ns
                )
            length = end_ns - start_ns
            starved_ns = length if items else 0
            result.append(
                replace(
                    activity,
                    start_ns=start_ns,
                    end_ns=end_ns,
                    starved_ns=starved_ns,
                    victim_ns=length * items,
                )
            )
    return tuple(result)


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
