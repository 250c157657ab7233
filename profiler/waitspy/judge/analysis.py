"""The pure half in one call: Recording in, Report and activities out; same input, same output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from waitspy.judge import (
    blame,
    children,
    classify,
    connection_pools,
    datagrams,
    findings,
    held_locks,
    kept_takers,
    listeners,
    loop_episodes,
    loops,
    merge,
    messages,
    node_loops,
    object_servers,
    overloaded_listeners,
    pending_work,
    places,
    pool_episodes,
    pools,
    requests,
    stopped_takers,
    task_waits,
    timeline,
    wait_for,
    weights,
    worker_time,
)
from waitspy.judge.episode import Starvation
from waitspy.judge.loops import Loop
from waitspy.model import garbage
from waitspy.model.activities import Activities, ThreadActivity, by_process
from waitspy.model.clock import NS, to_the_second
from waitspy.model.judged import (
    Analysis,
    Coverage,
    Finding,
    PendingSeries,
    Profile,
    Report,
    WhatWaits,
)
from waitspy.model.loops import LoopInfo
from waitspy.model.oracle_names import ASYNCIO, EPOLL
from waitspy.model.pools import PoolKind
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import Loss, Recording, SourceLines, WorkerRecord
from waitspy.model.threads import ThreadRecord

_AROUND = 4


@garbage.not_collected()
def analyse(recording: Recording, min_stall_s: float | None = None) -> Analysis:
    """Judges a recording; ``min_stall_s`` defaults to the one it was recorded with."""
    info = recording.info
    stall_s = info.min_stall_s if min_stall_s is None else min_stall_s
    min_stall_ns = int(stall_s * NS)
    starved: list[Starvation] = []
    pending: list[PendingSeries] = []
    done: dict[ThreadKey, Activities] = {}
    names: dict[ThreadKey, str] = {}
    shared = _shared(recording.workers)
    shared_listeners = listeners.shared(recording.workers)
    watched: set[int] = set()
    known = classify.Names()
    loops_seen = 0
    shows_loop = cache(lambda stack: blame.shows_loop(recording.stacks[stack]))
    for worker in recording.workers:
        one = _worker(worker, recording, min_stall_ns, known, shared, shared_listeners, shows_loop)
        done.update((worker.thread(tid), activities) for tid, activities in one.activities.items())
        names.update((worker.thread(tid), name) for tid, name in one.names.items())
        loops_seen += one.loops_seen
        starved += one.starved
        watched |= one.watched
        pending += one.pending
    of_threads = by_process(done)
    processes = pools.main_threads(recording.workers, done)
    for worker in recording.workers:
        mine = {key.tid: did for key, did in of_threads.get(worker.thread(0), {}).items()}
        own_pools = pools.find(
            worker, mine, info.end_ns, min_stall_ns, recording.sources, processes
        )
        for pool in own_pools:
            starved += pool_episodes.find(pool, worker, mine, min_stall_ns)
        pending += pending_work.of_pools(own_pools)
    pending += pending_work.of_listeners(recording.workers)
    accepted_from = listeners.find(recording.workers, info.arch, watched)
    unaccepting = [
        starvation
        for listener in accepted_from
        for starvation in listeners.starvations(
            listener, recording.workers, done, info.end_ns, min_stall_ns
        )
    ]
    untaken = [
        *unaccepting,
        *overloaded_listeners.find(
            accepted_from, recording.workers, done, unaccepting, info.end_ns, min_stall_ns
        ),
    ]
    datagram_queues = datagrams.find(recording.workers, info.arch, info.end_ns)
    for queue in datagram_queues:
        untaken += datagrams.starvations(queue, recording.workers, done, info.end_ns, min_stall_ns)
        starved += stopped_takers.of_datagrams(queue, recording.workers, info.end_ns, min_stall_ns)
    for listener in accepted_from:
        starved += stopped_takers.of_listener(
            listener, recording.workers, info.end_ns, min_stall_ns
        )
    starved += (kept_takers.of_gil(one, recording.workers, done) for one in untaken)
    not_looked = [s for s in starved if not s.looked]
    chains = wait_for.Chains(recording.workers, done, names, recording.sources)
    starved = list(held_locks.rings((s for s in starved if s.looked), chains))
    of_children = list(
        children.find(recording.workers, done, names, recording.sources, info.end_ns, min_stall_ns)
    )
    starved = list(children.of_loops_and_pools(starved, of_children))
    for worker in recording.workers:
        judge = connection_pools.Judge(worker, done, chains, recording.sources, min_stall_ns)
        starved = judge.explain(starved, info.end_ns)
    for worker in recording.workers:
        starved += held_locks.find(worker, done, chains, starved, info.end_ns, min_stall_ns)
        starved += task_waits.find(worker, chains, info.end_ns, min_stall_ns)
    weighed = weights.weigh(done, starved, chains, names)
    threads = [
        ThreadActivity(key.pid, key.tid, names[key], activities)
        for key, activities in weighed.activities.items()
    ]
    judged = findings.judge(starved, recording.sources, info.duration_s, chains)
    told = tuple(_told(one, of_threads.get(one.thread(0), {})) for one in recording.workers)
    analysed = Analysis(
        Report(
            recording=replace(info, min_stall_s=stall_s),
            workers=told,
            losses=(*recording.losses, *_not_looked(not_looked)),
            findings=judged,
            cost=recording.cost,
            sources=_around(judged, recording.sources),
            watched=_watched(told, loops_seen),
            waiting=replace(
                _waiting(recording, done, same_stall=stall_s == info.min_stall_s),
                unread=datagrams.unread(datagram_queues),
                messages=messages.unread(recording.workers, done, recording.sources, info.end_ns),
            ),
        ),
        tuple(threads),
        tuple(pending),
        roots=weighed.roots,
    )
    return replace(analysed, profile=profile(analysed))


class _Judged(NamedTuple):
    """What is known of one worker by itself; how its loops are, but not these, which are large."""

    activities: dict[int, Activities]
    names: dict[int, str]
    loops_seen: int
    starved: list[Starvation]
    watched: set[int]
    pending: list[PendingSeries]


def _worker(
    worker: WorkerRecord,
    recording: Recording,
    min_stall_ns: int,
    known: classify.Names,
    shared: AbstractSet[int],
    shared_listeners: AbstractSet[int],
    shows_loop: Callable[[int], bool],
) -> _Judged:
    """A worker's threads, and its loops."""
    info = recording.info
    records = timeline.build(worker, recording.stacks, info.end_ns)
    running = {
        r.tid for r in records if any(map(shows_loop, np.unique(r.intervals.stack).tolist()))
    }
    own_loops = loops.find(worker, info.end_ns, info.arch, running, shared)
    if worker.worker.node is not None:
        own_loops = node_loops.own(own_loops, worker)
        records = tuple(
            node_loops.with_lines_of_waits(node_loops.from_the_start(one)) for one in records
        )
    proven = {
        loop.tid for loop in own_loops if worker.worker.node or loop_episodes.has_object(loop)
    }
    proven |= node_loops.pool_threads(worker)
    more = timeline.without_stacks(worker, records, proven, recording.stacks, info.end_ns)
    records = (*records, *more)
    mine = _activities(worker, records, own_loops, recording, known)
    names = {record.tid: record.name for record in records}
    del records  # as large as what they have become
    return _Judged(
        activities=mine,
        names=names,
        loops_seen=sum(loop_episodes.is_watched(loop, worker, mine) for loop in own_loops),
        starved=list(
            loop_episodes.find(worker, mine, own_loops, info.end_ns, min_stall_ns, shared_listeners)
        ),
        watched=loop_episodes.watched(worker, mine, own_loops, shared_listeners),
        pending=list(pending_work.of_loops(worker, own_loops, info.end_ns)),
    )


def _waiting(
    recording: Recording, done: Mapping[ThreadKey, Activities], *, same_stall: bool
) -> WhatWaits:
    """What waits at the end, blamed or not."""
    workers, end_ns, sources = recording.workers, recording.info.end_ns, recording.sources
    return WhatWaits(
        requests.owed(workers, end_ns, same_stall=same_stall),
        places.find(workers, done, sources, end_ns),
        places.looked(workers, end_ns),
        tuple(worker_time.of_workers(workers, done, end_ns)),
        listeners.unaccepted(workers, end_ns),
        requests.unseen(workers, end_ns),
    )


def _watched(workers: Sequence[WorkerRecord], loops_seen: int) -> Coverage:
    """What there was to starve; pools and listeners count once, whoever shares them."""
    pools_seen = {
        (w.thread(0), e.pool)
        for w in workers
        for e in w.pools
        if e.info is not None and e.info.pool_kind is not PoolKind.LOOKUPS  # a part of libuv's pool
    }
    listeners_seen = {e.inode for w in workers for e in w.listeners if e.name is not None}
    unseen = {
        (worker.thread(0), event.loop)
        for worker in workers
        if worker.oracles.get(EPOLL) != "ok"
        for event in worker.loops.facts
        if event.facts is not None and not event.facts.closed
    }
    return Coverage(
        loops_seen, len(pools_seen), len(listeners_seen), len(unseen), datagrams.seen(workers)
    )


def _not_looked(calls: Sequence[Starvation]) -> Iterator[Loss]:
    """What is not known of blocking calls, by process: whether they kept anything waiting."""
    by_pid: dict[int, list[int]] = {}
    for call in calls:
        by_pid.setdefault(call.pid, []).append(call.end_ns - call.start_ns)
    for pid, lengths_ns in sorted(by_pid.items()):
        longest_s = max(lengths_ns) / NS
        many = f"{len(lengths_ns)} blocking calls" if len(lengths_ns) > 1 else "a blocking call"
        yield Loss(
            f"whether work was due on the loop during {many} of up to {longest_s:.2g} s",
            "its memory could not be looked at in that time",
            "record again; with many workers or little CPU, record fewer of them at a time",
            pid,
        )


def _told(worker: WorkerRecord, own: Mapping[ThreadKey, Activities]) -> WorkerRecord:
    """The worker with its part in it all, and with what cannot be seen of it: loops of another
    library, and those that wait in ``select`` or ``poll``.
    """
    worker = object_servers.told(worker, own.get(worker.thread(worker.worker.pid)))
    if worker.oracles.get(ASYNCIO) != "ok":
        return worker
    if any(event.facts is not None and _selects(event.facts) for event in worker.loops.facts):
        why = "its loop waits with select or poll: of it neither I/O nor tasks and timers are seen"
        blind = (EPOLL, ASYNCIO) if _has_no_epoll(worker) else (ASYNCIO,)
        return replace(worker, oracles={**worker.oracles, **dict.fromkeys(blind, why)})
    if worker.loops.facts:
        return worker
    stacks = (mine.stacks[n] for mine in own.values() for n in np.unique(mine.stack).tolist())
    library = next((found for stack in stacks if (found := blame.foreign_loop(stack))), None)
    if library is None:
        return worker
    if _has_no_epoll(worker):
        why = f"its loop is {library}'s, and does not wait with epoll: nothing of it is seen"
        return replace(worker, oracles={**worker.oracles, EPOLL: why, ASYNCIO: why})
    why = f"its loop is {library}'s: of it only I/O is seen, not tasks, timers and timeouts"
    return replace(worker, oracles={**worker.oracles, ASYNCIO: why})


def _has_no_epoll(worker: WorkerRecord) -> bool:
    return worker.oracles.get(EPOLL) == "ok" and not len(worker.epolls.epfd)


def _selects(loop: LoopInfo) -> bool:
    """Whether a loop of asyncio was seen to run that has no epoll."""
    return (loop.kind, loop.epfd, loop.how) == ("asyncio", None, "running") and not loop.closed


def profile(judged: Analysis, *, lines: bool = False, pid: int | None = None) -> Profile:
    """What was judged as one profile of all workers, or of worker ``pid`` alone.

    ``lines`` keeps the lines of a function apart in the merged stacks.
    """
    info = judged.report.recording
    merged = merge.merge(
        judged.threads,
        judged.roots,
        title=f"{info.target} on {info.host}, {to_the_second(info.started_at)}"
        + ", redacted" * info.redacted,
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
    names: classify.Names,
) -> dict[int, Activities]:
    """What each thread of a worker did, by thread id."""
    found = {}
    own = frozenset(
        event.facts.epfd
        for event in worker.loops.facts
        if event.facts and event.facts.epfd is not None
    )
    idle = node_loops.idle(worker)
    for thread in records:
        context = classify.Context(
            arch=recording.info.arch,
            sources=recording.sources,
            epfds=frozenset(loop.epfd for loop in own_loops if loop.tid == thread.tid),
            own_epfds=own,
            runtime_span=worker.runtime_span,
            idle=idle,
            names=names,
        )
        found[thread.tid] = classify.activities(thread, context)
    return found


def _shared(workers: Sequence[WorkerRecord]) -> set[int]:
    """Epolls of which several processes hold a descriptor: inherited over a fork, or passed."""
    holders: dict[int, set[int]] = {}
    for worker in workers:
        for _, share in worker.epolls.shares:
            holders.setdefault(share, set()).add(worker.worker.pid)
    return {share for share, pids in holders.items() if len(pids) > 1}


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
