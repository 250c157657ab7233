"""The ``pools`` oracle: work that waits for a thread or process of an executor, for one of the
threads that take from one queue, for a token of AnyIO's, or for a thread of libuv's in Node.js.

At every tick in which the process ran, each queue is read: the addresses of its items tell how
many came and how many were taken since the last look. Names are read only when the head of a
queue has not moved for a while. For AnyIO's limiter the items are the tasks that wait for a token.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from msgspec import structs

from waitspy.model.clock import NS
from waitspy.model.code_origin import Origin
from waitspy.model.oracle_names import POOLS
from waitspy.model.pools import PoolInfo, PoolWaits
from waitspy.oracles import NEVER_NS, Watched
from waitspy.oracles.allowance import Allowance
from waitspy.oracles.reading import TRANSIENT, own_frame, reader_of, task_name, task_place
from waitspy.recording.pools import PoolFound, PoolGone, PoolQueue, PoolRow, PoolStuck
from waitspy.recording.rows import RowType
from waitspy.remote.libuv_pool import NodePool
from waitspy.remote.memory import Unavailable, Unreadable
from waitspy.remote.pool_reader import PoolReader
from waitspy.remote.queues import QueueMark
from waitspy.remote.values import (
    Callback,
    GroupFacts,
    LimiterFacts,
    PoolFacts,
    ProcessPoolFacts,
    TaskFacts,
)

_LOOK_NS = 200_000_000
_RESCAN_NS = NS // 2
_SELDOM_NS = 2 * NS  # when nothing was new: what brings a pool are threads, as a rule
_AT_ONCE_NS = 10_000_000  # for threads that are new: of thousands the others come next
_SHARE_AT_FIRST = 0.25  # of one core, until all threads have been read once
_SHARE = 0.01  # of one core at the most, for looks, each queue, and rescans for new threads


_Facts = PoolFacts | GroupFacts | ProcessPoolFacts | LimiterFacts


@dataclass(slots=True)
class _Queue:
    """One pool, group or limiter, the items last seen in its queue, and how many were taken so far.

    ``mark`` is what would be another one if its queue had changed since then, ``stood_ns`` since
    when each of its threads stood that did so then. ``spare`` items were seen to be taken by
    threads that have not been seen to stand again.
    """

    facts: _Facts
    told: PoolInfo
    items: tuple[int, ...] = ()
    taken: int = 0
    stood_ns: dict[int, int] = field(default_factory=dict)
    spare: int = 0
    mark: QueueMark | None = None
    head_since_ns: int = 0
    next_look_ns: int = 0
    for_looks: Allowance = field(default_factory=lambda: Allowance(_SHARE))
    looked: bool = False


@dataclass(slots=True)
class _WatchedPools:
    """``unseen`` and ``unread`` say that the process has run since its pools were searched for, and
    since their queues were read.
    """

    watched: Watched
    reader: PoolReader | NodePool
    queues: dict[int, _Queue] = field(default_factory=dict)
    tids: frozenset[int] = frozenset()
    next_scan_ns: int = 0
    soonest_scan_ns: int = 0
    rescan_ns: int = _RESCAN_NS
    next_read_ns: int = 0
    for_reads: Allowance = field(default_factory=lambda: Allowance(_SHARE))
    unseen: bool = True
    unread: bool = True


class PoolsOracle:
    """Watches the pools of all workers; a head of queue that has not moved for
    ``onset_ns`` is looked at.
    """

    name: ClassVar[str] = POOLS
    rows: ClassVar[RowType] = PoolRow

    def __init__(self, onset_ns: int) -> None:
        self._onset_ns = onset_ns
        self._processes: dict[int, _WatchedPools] = {}

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why this process cannot be read."""
        reader = _node_pool(watched.pid) if watched.worker.node is not None else reader_of(watched)
        if isinstance(reader, str):
            return reader
        pools = reader if isinstance(reader, NodePool) else reader.pools
        self._processes[watched.pid] = _WatchedPools(watched, pools)
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[PoolRow]:
        """Rows for pools that appeared, items that came or were taken, and what waits."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        process.unseen |= watched.ran
        process.unread |= watched.ran
        try:
            if not isinstance(process.reader, NodePool) and process.reader.unread:
                if now_ns >= process.next_scan_ns:
                    _go_on(process, process.reader, now_ns)
            elif process.unseen and now_ns >= _scan_due_ns(process, watched):
                yield from _rescan(process, watched, now_ns)
                process.unseen = _unread(process.reader)
            if process.unread and process.queues and now_ns >= process.next_read_ns:
                yield from _read_all(process, now_ns)
            for key, queue in process.queues.items():
                if queue.items and now_ns >= self._look_due_ns(queue):
                    watched.onset = watched.onset or not queue.looked
                    if isinstance(queue.facts, PoolFacts | GroupFacts):
                        watched.suspects |= set(queue.facts.tids)
                    elif isinstance(queue.facts, ProcessPoolFacts):
                        self._suspect(queue.facts)
                    yield from _look(process.reader, key, queue, now_ns)
            watched.rests_until_ns = self._rests_until_ns(process, watched)
            if not process.queues and process.unseen:
                watched.idles_until_ns = watched.rests_until_ns
        except TRANSIENT:
            process.next_scan_ns = 0  # what was known may be gone
            process.unseen = watched.ran  # what stands still is not worth a second try
        except (OSError, Unavailable):  # the process is ending
            process.queues.clear()
            process.next_scan_ns = process.soonest_scan_ns = now_ns + NS

    def _suspect(self, pool: ProcessPoolFacts) -> None:
        """Has the stacks read of the processes that a wait in this one is about."""
        for pid in pool.pids:
            if pid in self._processes:
                self._processes[pid].watched.holders.add(pid)

    def detach(self, watched: Watched) -> None:
        """Forgets that worker."""
        self._processes.pop(watched.pid, None)

    def _look_due_ns(self, queue: _Queue) -> int:
        """When its head will not have moved for so long that it is looked at, or again."""
        return max(queue.head_since_ns + self._onset_ns, queue.next_look_ns)

    def _rests_until_ns(self, process: _WatchedPools, watched: Watched) -> int:
        until_ns = _scan_due_ns(process, watched) if process.unseen else NEVER_NS
        if process.unread and process.queues:
            until_ns = min(until_ns, process.next_read_ns)
        full = (queue for queue in process.queues.values() if queue.items)
        return min(until_ns, *map(self._look_due_ns, full), NEVER_NS)


def _node_pool(pid: int) -> NodePool | str:
    """The reader of a Node.js, or why it cannot be read."""
    try:
        return NodePool(pid)
    except Unavailable as error:
        return error.why
    except ProcessLookupError:
        return "the process is gone"
    except Unreadable:
        return "its memory is not laid out as known"
    except OSError as error:
        return f"process_vm_readv: {error.strerror}"


def _scan_due_ns(process: _WatchedPools, watched: Watched) -> int:
    """When to search for pools: one makes threads when work comes, a reason to do so at once."""
    if watched.tids != process.tids or _has_news(process.reader):
        return min(process.next_scan_ns, process.soonest_scan_ns)
    return process.next_scan_ns


def _rescan(process: _WatchedPools, watched: Watched, now_ns: int) -> Iterator[PoolRow]:
    began_ns = time.thread_time_ns()
    found = _found(process.reader, began_ns + _AT_ONCE_NS)
    spent_ns = time.thread_time_ns() - began_ns
    process.tids = frozenset(watched.tids)
    process.soonest_scan_ns = now_ns + int(spent_ns / _SHARE)
    told = {key: _told(facts) for key, facts in found.items()}
    same = told == {key: queue.told for key, queue in process.queues.items()}
    process.rescan_ns = min(2 * process.rescan_ns, _SELDOM_NS) if same else _RESCAN_NS
    process.next_scan_ns = now_ns + max(process.rescan_ns, int(spent_ns / watched.routine_share))
    if _unread(process.reader):
        process.next_scan_ns = now_ns
    for key in process.queues.keys() - found.keys():
        del process.queues[key]
        yield PoolGone(now_ns, key)
    for key, facts in found.items():
        queue = process.queues.get(key)
        if queue is None or queue.told != told[key]:
            yield PoolFound(now_ns, key, told[key])
        if queue is None:
            process.queues[key] = _Queue(facts, told[key])
            process.unread = True
        else:
            queue.facts, queue.told = facts, told[key]


def _unread(reader: PoolReader | NodePool) -> bool:
    return not isinstance(reader, NodePool) and reader.unread


def _has_news(reader: PoolReader | NodePool) -> bool:
    return not isinstance(reader, NodePool) and reader.has_news


def _go_on(process: _WatchedPools, reader: PoolReader, now_ns: int) -> None:
    """Reads more of many new threads; once all are read, it is time for another search."""
    began_ns = time.thread_time_ns()
    reader.go_on(began_ns + _AT_ONCE_NS)
    spent_ns = time.thread_time_ns() - began_ns
    process.next_scan_ns = now_ns + int(spent_ns / _SHARE_AT_FIRST)


def _found(reader: PoolReader | NodePool, until_ns: int) -> dict[int, _Facts]:
    """What there is, by what identifies it."""
    if isinstance(reader, NodePool):
        return {group.queue: group for group in reader.groups()}
    pools = reader.executors()
    groups = reader.groups(pools, until_ns)
    found: dict[int, _Facts] = {group.queue: group for group in groups}
    found.update({pool.queue: pool for pool in pools})
    found.update({pool.pending: pool for pool in reader.processes()})
    found.update({limiter.address: limiter for limiter in _limiters(reader)})
    return found


def _limiters(reader: PoolReader) -> tuple[LimiterFacts, ...]:
    try:
        return reader.limiters()
    except Unavailable:  # asyncio cannot be read: executors still can
        return ()


def _told(facts: _Facts) -> PoolInfo:
    if isinstance(facts, LimiterFacts):
        return PoolInfo("limiter", None, None, facts.total, ())
    if isinstance(facts, ProcessPoolFacts):
        return PoolInfo("processes", None, None, facts.size, facts.pids)
    if isinstance(facts, GroupFacts):
        return PoolInfo("group", facts.name, facts.role, facts.limit, facts.tids, facts.signals)
    return PoolInfo("executor", facts.prefix, facts.role, facts.max_workers, facts.tids)


def _read_all(process: _WatchedPools, now_ns: int) -> Iterator[PoolRow]:
    """What has changed in the queues since they were read; the others cost next to nothing."""
    began_ns = time.thread_time_ns()
    facts = [queue.facts for queue in process.queues.values()]
    own = [one for one in facts if isinstance(one, PoolFacts | GroupFacts)]
    marks = {} if isinstance(process.reader, NodePool) else process.reader.marks(own)
    for key, queue in process.queues.items():
        mark = marks.get(key)
        if mark is None or mark != queue.mark:
            empty = mark is not None and mark.size == 0
            items = () if empty else _items(process.reader, queue)
            if items is not None:
                yield from _note(key, queue, items, mark, process.watched, now_ns)
            queue.mark = mark
    process.unread = False
    process.next_read_ns = process.for_reads.spend(time.thread_time_ns() - began_ns, now_ns)


def _items(reader: PoolReader | NodePool, queue: _Queue) -> tuple[int, ...] | None:
    if isinstance(reader, NodePool):
        assert isinstance(queue.facts, GroupFacts)
        return reader.queued(queue.facts)
    if isinstance(queue.facts, LimiterFacts):
        return reader.waiting(queue.facts)
    return reader.queued(queue.facts)


def _hidden(queue: _Queue, watched: Watched, seen: int) -> bool:
    """Whether one of its threads may have taken an item that has the address of another one now:
    it has run, and stands again, beside those for which items were seen to be taken.
    """
    facts = queue.facts
    if not isinstance(facts, GroupFacts) or not facts.any_order:
        return False
    if facts.limit is not None:
        return seen == 0 and not _still_full(queue, facts, watched)
    before, since_ns = queue.stood_ns, watched.blocked_since_ns
    queue.stood_ns = before | {
        tid: since_ns[tid] for tid in facts.tids if tid in watched.blocked and tid in since_ns
    }
    runs = sum(before.get(tid, at_ns) != at_ns for tid, at_ns in queue.stood_ns.items())
    spare = min(queue.spare + seen, len(facts.tids))
    queue.spare = max(0, spare - runs)
    return runs > spare


def _still_full(queue: _Queue, facts: GroupFacts, watched: Watched) -> bool:
    """Whether as many of its threads as may work at a time have stood in one call since before."""
    before, since_ns = queue.stood_ns, watched.blocked_since_ns
    at_work = {
        tid
        for tid in facts.tids
        if tid in watched.blocked and watched.blocked[tid][1] not in facts.signals
    }
    queue.stood_ns = {tid: since_ns[tid] for tid in at_work if tid in since_ns}
    stood = sum(before.get(tid) == at_ns for tid, at_ns in queue.stood_ns.items())
    return stood >= (facts.limit or 0)


def _note(
    key: int,
    queue: _Queue,
    items: tuple[int, ...],
    mark: QueueMark | None,
    watched: Watched,
    now_ns: int,
) -> Iterator[PoolRow]:
    facts = queue.facts
    any_order = (
        facts.any_order if isinstance(facts, GroupFacts) else isinstance(facts, LimiterFacts)
    )
    taken = _taken(queue.items, items, any_order=any_order)
    if mark is not None and queue.mark is not None:
        taken = mark.taken_since(queue.mark, taken)
    if _hidden(queue, watched, taken) and queue.items:
        taken += 1
    if items == queue.items and not (items and taken):
        return
    if taken or items[:1] != queue.items[:1]:
        queue.head_since_ns = now_ns
        queue.looked = False
        queue.next_look_ns = 0
    queue.taken += taken
    queue.items = items
    yield PoolQueue(now_ns, key, len(items), queue.taken)


def _taken(before: Sequence[int], now: Sequence[int], *, any_order: bool) -> int:
    """How many items were taken from the front; those given up in between count as taken.

    An address can be used again: then the order has changed, and that item is another one.
    """
    if any_order:
        return (Counter(before) - Counter(now)).total()
    if not now or now[0] not in before:
        return len(before)
    first = before.index(now[0])
    kept = len(before) - first
    return first if tuple(before[first:]) == tuple(now[:kept]) else len(before)


def _look(reader: PoolReader | NodePool, key: int, queue: _Queue, now_ns: int) -> Iterator[PoolRow]:
    began_ns = time.thread_time_ns()
    queue.looked = True
    waits: PoolWaits | None = None
    if isinstance(reader, NodePool):
        waits = PoolWaits(tuple(map(_named, reader.first(queue.items))), ())
    else:
        found = _find(reader, key, queue.facts)
        if found is not None and found.head == queue.items[0]:
            waits = _waits(reader, found)
    spent_ns = time.thread_time_ns() - began_ns
    queue.next_look_ns = max(now_ns + _LOOK_NS, queue.for_looks.spend(spent_ns, now_ns))
    if waits is not None:
        yield PoolStuck(now_ns, key, waits)


def _find(reader: PoolReader, key: int, facts: _Facts) -> _Facts | None:
    if isinstance(facts, LimiterFacts):
        return next((one for one in reader.limiters() if one.address == key), None)
    if isinstance(facts, ProcessPoolFacts):
        return reader.process_pool(facts)
    if isinstance(facts, GroupFacts):
        return reader.group(facts)
    return next((one for one in reader.executors() if one.queue == key), None)


def _waits(reader: PoolReader, facts: _Facts) -> PoolWaits:
    first = tuple(_named(one) for one in facts.first)
    if isinstance(facts, PoolFacts):
        stuck = tuple(sorted(reader.waiting_on_itself(facts)))
        of_clients = reader.is_of_clients(facts)
        return PoolWaits(first, stuck, _awaited(reader, facts), of_clients=of_clients)
    if isinstance(facts, LimiterFacts):
        return PoolWaits(first, (), _awaited(reader, facts))
    awaiting = _awaiting(reader, facts)
    waits = PoolWaits(
        first,
        (),
        awaiting=len(awaiting),
        of_requests=any(
            task.stack and task.stack[0].origin is not Origin.USER for task in awaiting
        ),
    )
    if isinstance(facts, GroupFacts):
        waits = structs.replace(
            waits,
            awaited=_awaited(reader, facts),
            promises=tuple(sorted(facts.promises)),
            of_clients=facts.of_clients,
        )
    return waits


def _awaiting(reader: PoolReader, pool: GroupFacts | ProcessPoolFacts) -> tuple[TaskFacts, ...]:
    try:
        return reader.awaiting_items(pool)
    except TRANSIENT:
        return ()


def _awaited(
    reader: PoolReader, facts: PoolFacts | GroupFacts | LimiterFacts
) -> tuple[tuple[str, str | None], ...]:
    try:
        tasks = reader.awaiting(facts)
    except TRANSIENT:
        return ()  # what waits is known all the same
    own = filter(None, map(own_frame, tasks))
    return tuple((frame.function, f"{frame.file}:{frame.line}") for frame in own)


def _named(one: Callback | TaskFacts) -> tuple[str, str | None]:
    if isinstance(one, Callback):
        return one.name, one.where
    return task_name(one, "a task"), task_place(one)
