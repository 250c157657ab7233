"""Episodes of pools: when queued work stood still, and what held the threads or processes.

That items wait is no starvation by itself: a batch of work waits in its queue by design. A pool is
judged when those who wait are not the ones who filled it: its items differ from what holds its
threads, or they came at different times and nobody waits for the batch as a whole, or several
requests of a server have handed them in. When they came is not known of those that were there
before the recording: if nobody waits for them, and not one is taken for very long, the pool hangs.
A pool that an event loop, a framework or a server runs all sorts of requests in is judged in any
case when it stands still.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from waitspy.judge import blame, pool_threads, thread_groups
from waitspy.judge.episode import UNNAMED, Item, ItemKind, Starvation
from waitspy.judge.fifo import Waiting
from waitspy.judge.loop_service import longest_gap
from waitspy.judge.pools import Pool
from waitspy.judge.spans import Span, grouped, union
from waitspy.judge.thread_groups import WhoWaits
from waitspy.judge.thread_time import Composition, compose, cut, trim
from waitspy.model.activities import Activities, Activity
from waitspy.model.code_origin import Origin, base_name
from waitspy.model.kinds import DEADLOCK, EXHAUSTED_POOL, NO_CPU, OVERLOADED_POOL, Kind
from waitspy.model.oracle_names import POOLS, THREADS
from waitspy.model.pools import PoolKind
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Frame
from waitspy.model.threads import NO_STATES
from waitspy.model.waits import WaitKind

_HALF = 0.5
_LITTLE = 0.2
_HANGS = 20  # times the least stall: longer than the jobs of a batch that nobody waits for
_SOON = 0.35  # of the time that a batch takes: it is handed in within that


def find(
    pool: Pool,
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """The episodes of one pool."""
    found = []
    spans = union((w.start_ns, w.end_ns) for w in pool.late)
    for span, waited in zip(spans, grouped(pool.late, spans), strict=True):
        one = _judge(pool, worker, activities, span, waited, min_stall_ns)
        if one is not None:
            found.append(one)
    yield from _drained(found, pool, min_stall_ns)


def _drained(
    found: Sequence[Starvation],
    pool: Pool,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """The same episodes: what waits while an exhausted pool fills or drains is no other fault.

    Its threads still sit in blocking calls then, but end one after the other. It has recovered
    once it has had a thread to spare.
    """
    runs: list[list[Starvation]] = []
    for one in found:
        between = (runs[-1][-1].end_ns, one.start_ns) if runs else (0, 0)
        if runs and _idle_ns(pool, between) < min_stall_ns:
            runs[-1].append(one)
        else:
            runs.append([one])
    for run in runs:
        exhausted = any(one.kind is EXHAUSTED_POOL for one in run)
        for one in run:
            same = exhausted and one.kind is OVERLOADED_POOL and _all_in_calls(one)
            yield replace(one, kind=EXHAUSTED_POOL, verdict=EXHAUSTED_POOL.verdict) if same else one


def _all_in_calls(one: Starvation) -> bool:
    """Whether each thread was in blocking calls for most of what is known of that episode."""
    return all(
        sum(map(_in_call_ns, mine)) >= sum(a.end_ns - a.start_ns for a in mine) * _HALF
        for mine in one.held_by.values()
    )


# --- one episode -----------------------------------------------------------------------------


def _judge(
    pool: Pool,
    worker: WorkerRecord,
    activities: Mapping[int, Activities],
    span: Span,
    waited: Sequence[Waiting],
    min_stall_ns: int,
) -> Starvation | None:
    start_ns, end_ns = span
    gap = longest_gap(pool.served, start_ns, end_ns)
    if pool.kind is PoolKind.PROCESSES:
        pool = replace(pool, tids=pool.team(gap))
        if len(pool.tids) < (pool.info.size or 0) or not pool.members.done.keys() >= set(pool.tids):
            return None  # a process that has begun meanwhile, or is not recorded, may be idle
    if pool.kind is PoolKind.LOOKUPS:
        pool = replace(pool, tids=_at_work(pool, gap))
        if len(pool.tids) < (pool.info.size or 0):
            return None  # fewer than those that do such work: not all of them are known
    guilty = {
        pool.members.keys[tid]: busy
        for tid in pool.tids
        if (busy := pool_threads.busy(pool.members.did(tid), *span, pool.idle))
    }
    if not guilty:
        return None  # none of its threads was sampled: nothing is known of what it did
    stuck = _stuck(pool, gap)
    idle_ns = _idle_ns(pool, gap)
    if pool.info.kind != "limiter" and idle_ns > (gap[1] - gap[0]) * _HALF:
        return None  # there was a thread for it: it waited for something else
    spent = [compose(pool.members.states.get(tid, NO_STATES), *gap) for tid in pool.tids]
    stands_still = gap[1] - gap[0] >= min_stall_ns
    kind = DEADLOCK if stuck else _kind(spent, gap, guilty, stands_still=stands_still)
    if kind is OVERLOADED_POOL and not stands_still and _is_cut(pool, span, gap, min_stall_ns):
        return None  # it may have stood still since before it was looked at
    who = _who_waits(pool, worker, span, min_stall_ns)
    judged = stuck or (kind in {EXHAUSTED_POOL, NO_CPU} and who is WhoWaits.REQUESTS)
    unmoved = kind is EXHAUSTED_POOL and gap[1] - gap[0] >= min_stall_ns * _HANGS
    if kind is None:
        return None
    if not judged and _is_batch(pool, worker, waited, guilty, activities, span, unmoved=unmoved):
        return None
    if who is WhoWaits.NOBODY and not unmoved:
        return None  # what hangs is told all the same
    late = who is WhoWaits.NOBODY or (
        # processes have a pool for each kind of work: more of it than they can do is no starvation
        pool.kind is PoolKind.PROCESSES
        and (_is_same_work(pool, waited, guilty) is True or _is_unnamed(pool, span))
    )
    return Starvation(
        kind=kind,
        verdict="late" if late and "late" in kind.verdicts else kind.verdict,
        pid=pool.pid,
        tid=min(key.tid for key in guilty),
        process=worker.process,
        place=pool.title,
        start_ns=start_ns,
        end_ns=end_ns,
        held_by=guilty if kind is not NO_CPU else {},
        base=None,
        evidence=(POOLS, THREADS),
        items=tuple(_items(pool, waited)),
        detail=_detail(pool, len(guilty), stuck=stuck),
        served=_count(pool.counts, start_ns, end_ns),
        pool=pool.kind,
        stand_in=_stand_in(pool, waited, guilty, activities, gap),
    )


def _who_waits(pool: Pool, worker: WorkerRecord, span: Span, min_stall_ns: int) -> WhoWaits:
    if pool.kind is PoolKind.GROUP:
        return thread_groups.who_waits(worker, pool.looks, pool.tids, span, min_stall_ns)
    looks = (waits for at_ns, waits in pool.looks if span[0] <= at_ns <= span[1])
    if pool.is_shared or thread_groups.are_clients(worker, looks, span, min_stall_ns):
        return WhoWaits.REQUESTS
    return WhoWaits.CALLERS


def _kind(
    spent: Sequence[Composition],
    gap: Span,
    guilty: Mapping[ThreadKey, Sequence[Activity]],
    *,
    stands_still: bool,
) -> Kind | None:
    """What keeps the pool, by what its threads did while the queue stood still the longest."""
    length = gap[1] - gap[0]
    kept = sum(one.kept_ns for one in spent)
    known = kept + sum(one.ran_ns + one.blocked_ns for one in spent)
    if kept >= known * _HALF:
        return NO_CPU if known else None
    if kept >= known * _LITTLE:
        return None  # late for another reason than what its threads were given to do
    if not stands_still:
        return OVERLOADED_POOL
    inside = [trim(mine, *gap) for mine in guilty.values()]
    if any(sum(a.end_ns - a.start_ns for a in mine) < length * _HALF for mine in inside):
        return None  # not sampled for long enough to know
    in_calls = [sum(_in_call_ns(a) for a in mine) for mine in inside]
    if all(one.blocked_ns >= length * _HALF for one in spent) and all(
        spent_ns >= length * _HALF for spent_ns in in_calls
    ):
        return EXHAUSTED_POOL
    return OVERLOADED_POOL


def _is_cut(pool: Pool, span: Span, gap: Span, min_stall_ns: int) -> bool:
    """Whether the longest gap began before the first look, and little is known of what followed."""
    return gap[0] == pool.counts[0][0] and span[1] - gap[1] < min_stall_ns


def _idle_ns(pool: Pool, span: Span) -> int:
    """For how long the one of its threads that had the least to do waited for work."""
    return max((_idle_of_ns(pool, tid, span) for tid in pool.tids), default=0)


def _idle_of_ns(pool: Pool, tid: int, span: Span) -> int:
    return sum(
        a.end_ns - a.start_ns
        for a in cut(pool.members.did(tid), *span)
        if pool_threads.is_idle(a, pool.idle)
    )


def _at_work(pool: Pool, gap: Span) -> tuple[int, ...]:
    """Those of its threads that had work for most of a gap; some of it may be of another kind."""
    most_ns = (gap[1] - gap[0]) * _HALF
    return tuple(tid for tid in pool.tids if _idle_of_ns(pool, tid, gap) <= most_ns)


def _in_call_ns(activity: Activity) -> int:
    """Time in a blocking call: to wait for the GIL is to have work on the CPU."""
    computes = activity.wait.kind in {WaitKind.ON_CPU, WaitKind.GIL}
    return 0 if computes else activity.end_ns - activity.start_ns


def _stuck(pool: Pool, gap: Span) -> bool:
    """Whether every thread waits for an item that only this pool can run."""
    for at_ns, waits in pool.looks:
        if gap[0] <= at_ns <= gap[1] and pool.tids and set(waits.on_itself) >= set(pool.tids):
            return all(
                pool_threads.waits_for_future(pool.members.did(tid), at_ns) for tid in pool.tids
            )
    return False


def _is_batch(
    pool: Pool,
    worker: WorkerRecord,
    waited: Sequence[Waiting],
    guilty: Mapping[ThreadKey, Sequence[Activity]],
    activities: Mapping[int, Activities],
    span: Span,
    *,
    unmoved: bool,
) -> bool:
    """Whether what waits is more of the same work, handed in at once: its owner's own batch.

    Of a batch, all comes soon after its queue has begun to fill, also what does not wait for long.
    A queue that has not moved for very long (``unmoved``) is one only if one thread waits for it.
    """
    awaited = pool_threads.awaited_by(activities, span, {key.tid for key in guilty})
    if pool_threads.have_requests(activities, awaited, span):
        return False  # each has handed in its own, and waits behind that of the others
    # threads of a group run one function, whatever they take
    if pool.kind is not PoolKind.GROUP and _is_same_work(pool, waited, guilty) is False:
        return False
    if pool.kind is PoolKind.GROUP and not awaited:
        several = thread_groups.have_several_callers(worker, pool.looks, pool.tids, span)
        if several or _is_other_work(pool, waited, guilty):
            return False
    filled = bisect_right(pool.fills, span[0])
    since_ns = pool.fills[filled - 1] if filled else span[0]
    at_once_ns = since_ns + (span[1] - since_ns) * (_SOON if pool.is_shared else _HALF)
    spread = any(w.start_ns > at_once_ns for w in waited)
    return len(awaited) == 1 if unmoved else bool(awaited) or not spread


def _is_unnamed(pool: Pool, span: Span) -> bool:
    """Whether somebody looked at what waits, and could not know what it is."""
    looks = [waits for at_ns, waits in pool.looks if span[0] <= at_ns <= span[1]]
    return bool(looks) and not any(waits.first for waits in looks)


def _is_same_work(
    pool: Pool, waited: Sequence[Waiting], guilty: Mapping[ThreadKey, Sequence[Activity]]
) -> bool | None:
    """Whether what waits is what is being done; None: one of them is not known by name."""
    names = {base_name(pool.names[n][0]) for w in waited for n in pool.named(w)}
    running = {
        name for mine in guilty.values() for a in mine for name in pool_threads.functions(a.stack)
    }
    return names <= running if names and running else None


def _is_other_work(
    pool: Pool, waited: Sequence[Waiting], guilty: Mapping[ThreadKey, Sequence[Activity]]
) -> bool:
    """Whether the functions that wait in a group's queue are none of those that its threads are in:
    as far as they are the program's own, these would be seen.
    """
    named = [pool.names[n] for w in waited for n in pool.named(w)]
    names = {base_name(name) for name, where in named if where is not None}
    inside = {
        base_name(frame.function) for mine in guilty.values() for a in mine for frame in a.stack
    }
    return bool(names) and all(where is not None for _, where in named) and not names & inside


def _stand_in(
    pool: Pool,
    waited: Sequence[Waiting],
    guilty: Mapping[ThreadKey, Sequence[Activity]],
    activities: Mapping[int, Activities],
    gap: Span,
) -> Frame | None:
    """What to blame where the pool was given a library's function: who waits for it, or itself.

    What its threads have taken is known by name if it had to wait before, else by what waits
    behind it if that is all the same.
    """
    tasks = Counter(
        pool_threads.named(*one)
        for at_ns, waits in pool.looks
        if gap[0] <= at_ns <= gap[1]
        for one in waits.awaited
    )
    owner = pool_threads.owner(activities, gap, {key.tid for key in guilty})
    if owner is not None or tasks:
        return owner or tasks.most_common(1)[0][0]
    n = bisect_right(pool.counts, gap[0], key=lambda count: count[0]) - 1
    taken = pool.counts[n][2] if n >= 0 else 0
    running = [pool.names[k] for k in range(taken - len(pool.tids), taken) if k in pool.names]
    queued = [pool.names[k] for w in waited for k in pool.named(w)]
    names = {base_name(name) for name, _ in queued}
    alike = len(names) == 1 and _may_run(names, guilty)
    known = running or (queued if alike else [])
    found = [pool_threads.named(*one) for one in known]
    stacks = next((mine.stacks for mine in activities.values()), None)
    found = found if stacks is None else [stacks.placed(f) for f in found]
    # A function of the program's own would be seen.
    return next((f for f in found if not f.file or f.origin is not Origin.USER), None)


def _may_run(names: AbstractSet[str], guilty: Mapping[ThreadKey, Sequence[Activity]]) -> bool:
    """Whether its threads may have been given these functions: what they show is no other one."""
    shown = {blame.blamed(a.stack) for mine in guilty.values() for a in mine}
    return any(frame is None or base_name(frame.function) in names for frame in shown)


def _detail(pool: Pool, threads: int, *, stuck: bool) -> str:
    if pool.info.kind == "limiter" and pool.info.size is not None:
        threads = pool.info.size  # its threads are found by their stacks: some may have shown none
    if pool.kind is PoolKind.LOOKUPS:
        return f"{pool.title}: no more than {pool.info.size} at a time"
    one, more = ("process", "processes") if pool.info.kind == "processes" else ("thread", "threads")
    many = f"all {threads} {more}" if threads > 1 else f"its only {one}"
    if stuck:
        return f"deadlock of {pool.title}: {many} wait for work that only this pool can run"
    return f"{pool.title}: {many}"


def _items(pool: Pool, waited: Sequence[Waiting]) -> Iterator[Item]:
    kind: ItemKind = "task" if pool.info.kind == "limiter" else "work-item"
    for one in waited:
        named = pool.named(one)
        for n in named:
            name, where = pool.names[n]
            yield Item(kind, name, where, one.start_ns, one.end_ns)
        rest = one.count - len(named)
        if rest:
            yield Item(kind, UNNAMED, None, one.start_ns, one.end_ns, count=rest)


def _count(counts: Sequence[tuple[int, int, int]], start_ns: int, end_ns: int) -> int:
    """How many items were taken within a span, without those that end it."""
    first = bisect_right(counts, start_ns, key=lambda count: count[0]) - 1
    last = bisect_left(counts, end_ns, key=lambda count: count[0]) - 1
    return max(0, counts[last][2] - counts[max(0, first)][2])
