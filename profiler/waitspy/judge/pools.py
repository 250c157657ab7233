"""The pools of a worker: who waited in the queue of each for long, and who does its work."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from waitspy.judge import fifo, pool_threads, thread_groups
from waitspy.judge.fifo import Waiting
from waitspy.judge.spans import Span
from waitspy.model.activities import NO_ACTIVITIES, Activities
from waitspy.model.pools import PoolEvent, PoolInfo, PoolKind, PoolWaits
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.threads import KernelStates

Names = Mapping[int, tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Members:
    """Who does the work of a pool, by its ids of threads or processes: threads of the pool's own
    process, or the main threads of others.
    """

    keys: Mapping[int, ThreadKey]
    states: Mapping[int, KernelStates]
    done: Mapping[int, Activities]

    def did(self, member: int) -> Activities:
        """What a member did."""
        return self.done.get(member, NO_ACTIVITIES)


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool of a worker: who waited in its queue for long, and when items were taken.

    ``names`` are by the item's number in the queue's history, ``looks`` say what was waiting, by
    their time. ``idle`` is where its threads wait for work, if it is no executor. ``teams`` are the
    ids of its members at the times from which on they were these, ``fills`` the times from which on
    its queue was not empty any more.
    """

    pid: int
    info: PoolInfo
    tids: tuple[int, ...]
    members: Members
    counts: tuple[tuple[int, int, int], ...]
    late: tuple[Waiting, ...]
    served: tuple[int, ...] = ()
    names: Names = field(default_factory=dict)
    looks: tuple[tuple[int, PoolWaits], ...] = ()
    idle: pool_threads.Idle = frozenset()
    teams: tuple[tuple[int, frozenset[int]], ...] = ()
    fills: tuple[int, ...] = ()

    def team(self, span: Span) -> tuple[int, ...]:
        """Those who were members for a whole span: processes end, and others take their places."""
        first = max(0, bisect_right(self.teams, span[0], key=lambda team: team[0]) - 1)
        there = [tids for at_ns, tids in self.teams[first:] if at_ns < span[1]]
        return tuple(sorted(frozenset.intersection(*there))) if there else ()

    @property
    def kind(self) -> PoolKind:
        """Whose work goes through it."""
        return self.info.pool_kind

    @property
    def title(self) -> str:
        """What it is, in words."""
        if self.kind is PoolKind.EXECUTOR:
            return f"thread pool {self.info.name}" if self.info.name else "a thread pool"
        if self.kind is PoolKind.GROUP:
            return f"the queue of {self.info.name}" if self.info.name else "a queue of threads"
        return f"the {self.kind}" if self.kind is PoolKind.DEFAULT_EXECUTOR else self.kind.value

    @property
    def is_shared(self) -> bool:
        """Whether all sorts of requests go through it, rather than what one caller gives it."""
        return self.kind not in {PoolKind.EXECUTOR, PoolKind.GROUP, PoolKind.PROCESSES}

    def named(self, one: Waiting) -> list[int]:
        """The numbers of its items whose names are known; a queue may hold far more without one."""
        end = one.first + one.count
        if one.count < len(self.names):
            return [n for n in range(one.first, end) if n in self.names]
        return sorted(n for n in self.names if one.first <= n < end)


def find(
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    end_ns: int,
    min_stall_ns: int,
    sources: SourceLines | None = None,
    processes: Members | None = None,
) -> list[Pool]:
    """The pools of a worker that have been given work; ``processes`` are all of the recording."""
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    by_address: dict[int, list[PoolEvent]] = {}
    for event in worker.pools:
        by_address.setdefault(event.pool, []).append(event)
    has_limiter = any(e.info is not None and e.info.kind == "limiter" for e in worker.pools)
    anyio_idle = pool_threads.anyio_idle(activities.values() if has_limiter else (), sources or {})
    keys = {tid: worker.thread(tid) for tid in activities}
    threads = Members(keys, worker.states, activities)
    found = []
    for events in by_address.values():
        infos = [event.info for event in events if event.info is not None]
        counts = tuple((e.at_ns, *e.queue) for e in events if e.queue is not None)
        if not infos or not counts:
            continue
        gone_ns = next((e.at_ns for e in events if e.gone), stop_ns)
        if infos[-1].kind == "limiter":
            tids = [tid for tid, mine in activities.items() if pool_threads.in_anyio(mine)]
        else:
            tids = sorted({tid for info in infos for tid in info.tids})
        info = infos[-1]
        if info.pool_kind is PoolKind.EXECUTOR and any(
            pool_threads.serves(activities.get(tid, NO_ACTIVITIES)) for tid in tids
        ):
            info = structs.replace(info, role=PoolKind.SERVER)
        found.append(
            Pool(
                worker.worker.pid,
                info,
                tuple(tids),
                processes if info.kind == "processes" and processes else threads,
                counts,
                tuple(_late(events, min_stall_ns, min(gone_ns, stop_ns))),
                _served(counts),
                _names(events, counts),
                tuple((e.at_ns, e.waits) for e in events if e.waits is not None),
                _idle(worker, activities, info, anyio_idle, sources or {}),
                tuple((e.at_ns, frozenset(e.info.tids)) for e in events if e.info is not None),
                _fills(events),
            )
        )
    return found


def _idle(
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    info: PoolInfo,
    anyio_idle: pool_threads.Idle,
    sources: SourceLines,
) -> pool_threads.Idle:
    """Where its threads wait for work; those of concurrent.futures are known by their wait."""
    if info.kind == "group":
        return thread_groups.idle(worker, activities, info)
    if info.kind == "limiter":
        return anyio_idle
    done = (activities[tid] for tid in info.tids if tid in activities)
    return pool_threads.multiprocessing_idle(done, sources)


def main_threads(workers: Iterable[WorkerRecord], done: Mapping[ThreadKey, Activities]) -> Members:
    """The main threads of all processes, by pid; of several with one pid, the last one."""
    keys = {worker.worker.pid: worker.thread(worker.worker.pid) for worker in workers}
    states = {worker.worker.pid: worker.states.get(worker.worker.pid) for worker in workers}
    return Members(
        keys,
        {pid: mine for pid, mine in states.items() if mine is not None},
        {pid: done[key] for pid, key in keys.items() if key in done},
    )


# --- its queue -------------------------------------------------------------------------------


def _late(events: Sequence[PoolEvent], least_ns: int, stop_ns: int) -> Iterator[Waiting]:
    """Who waited for long; what happened while nobody looked is not known, and ends a wait."""
    rows: list[tuple[int, int, int]] = []
    for event in events:
        if event.unseen:
            yield from fifo.late(rows, least_ns, min(event.at_ns, stop_ns))
            rows = []
        elif event.queue is not None:
            rows.append((event.at_ns, *event.queue))
    yield from fifo.late(rows, least_ns, stop_ns)


def _names(
    events: Sequence[PoolEvent], counts: Sequence[tuple[int, int, int]]
) -> dict[int, tuple[str, str | None]]:
    found: dict[int, tuple[str, str | None]] = {}
    for event in events:
        if event.waits is None:
            continue
        n = bisect_right(counts, event.at_ns, key=lambda count: count[0]) - 1
        first = counts[n][2] if n >= 0 else 0
        found.update({first + k: named for k, named in enumerate(event.waits.first)})
    return found


def _served(counts: Sequence[tuple[int, int, int]]) -> tuple[int, ...]:
    """When items were taken."""
    times = []
    before = 0
    for at_ns, _, taken in counts:
        if taken > before:
            times.append(at_ns)
            before = taken
    return tuple(times)


def _fills(events: Iterable[PoolEvent]) -> tuple[int, ...]:
    """When there was something in its queue again; what it had while nobody looked is not known."""
    times = []
    empty = True
    for event in events:
        if event.queue is not None:
            if event.queue[0] and empty:
                times.append(event.at_ns)
            empty = not event.queue[0]
        empty |= event.unseen
    return tuple(times)
