"""The ``wait_for`` oracle: what threads that have stood for long wait for, and who holds it.

A thread that stands in a futex waits for a lock, for a signal, or for work. Which of these, its
memory tells; it is looked at once it has stood there for ``onset_ns``. One that waits for a lock
is looked at again as long as it stands, since the holders change; so is one that waits for what
others may let go of, once anything of its process has run. Of the others one look is enough.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from msgspec import structs

from waitspy.kernel import procfs
from waitspy.kernel.nettable import Ends
from waitspy.model import syscalls
from waitspy.model.clock import NS
from waitspy.model.oracle_names import WAIT_FOR
from waitspy.model.wait_for import Held, Holder, LentPool, TaskEdge, WaitEdge
from waitspy.oracles import NEVER_NS, Watched, pool_jobs
from waitspy.oracles.allowance import Allowance
from waitspy.oracles.file_locks import FileLocks
from waitspy.oracles.other_ends import OtherEnds, Readable
from waitspy.oracles.peers import Peers
from waitspy.oracles.reading import TRANSIENT, reader_of
from waitspy.oracles.shared_locks import SharedLocks
from waitspy.recording.rows import RowType
from waitspy.recording.wait_for import WaitForRow
from waitspy.remote import mutexes
from waitspy.remote.lost_thread_waits import LOST_KINDS
from waitspy.remote.memory import Unavailable
from waitspy.remote.pool_jobs import PoolJob, PoolWork
from waitspy.remote.process_locks import HeldBetween
from waitspy.remote.reader import Reader
from waitspy.remote.wait_for import MOST_WAITING, WaitLook

_AGAIN_NS = NS // 5  # looks at those who still wait for what somebody holds; one that failed
_SHARE = 0.01  # of one core, for the looks at one worker
_POOLS_SHARE = 0.04  # where threads wait for connections of a pool: all may have one
_HELD_MORE = 4  # times the routine share, where they wait for what others hold
_SOON_NS = NS // 50  # who has stood almost as long as others is looked at with them
_CPU_NS = 10_000_000  # of one look: a longer one would keep the other oracles from theirs
_MOST = 64  # threads of one look
_MOST_TOLD = 8  # of those who wait for one pool: whose stacks are read
_LATER_NS = NS  # after the last of many looks, and after the first at one who may only idle
_HELD = frozenset({"lock", "semaphore", "connections", "future"})
"""What may get a holder, or another one, as long as somebody waits for it."""
_FOUND: dict[Held, Held] = {lost: kind for kind, lost in LOST_KINDS.items()}
_MAY_BE_LOST = frozenset({"event", "full-queue"})
"""What others may let go of, as long as somebody waits for it."""


@dataclass(slots=True)
class _Stands:
    """A thread that stands in a futex: when to look at it, and how long after that again.

    ``after`` says that there is something to see only once its process has run, and how often it
    had done so at the last look.
    """

    next_ns: int
    again_ns: int = _AGAIN_NS
    after: int | None = None


@dataclass(slots=True)
class _WatchedWaits:
    """``soonest_ns`` is when one of those that stand is to be looked at; ``next_ns`` from when on
    there is time for it, ``urgent_ns`` for those that a wait is about, which are ``wanted``. Until
    ``held_until_ns`` it is of use to look more often: some have just waited for what others hold.
    ``messages`` are what those of them wait for that wait for a message, None where that is not
    known.
    """

    watched: Watched
    reader: Reader
    peers: Peers
    runs: int = 0
    stands: dict[int, _Stands] = field(default_factory=dict)
    messages: dict[int, WaitEdge | None] = field(default_factory=dict)
    told: dict[int, WaitEdge] = field(default_factory=dict)
    told_pools: dict[int, LentPool] = field(default_factory=dict)
    told_tasks: tuple[TaskEdge, ...] = ()
    waits_for_pools: bool = False
    held_until_ns: int = 0
    soonest_ns: int = 0
    next_ns: int = 0
    urgent_ns: int = 0
    wanted: set[int] = field(default_factory=set)
    for_routine: Allowance = field(default_factory=lambda: Allowance(_SHARE))
    for_urgent: Allowance = field(default_factory=lambda: Allowance(_SHARE))
    for_pools: Allowance = field(default_factory=lambda: Allowance(_POOLS_SHARE))

    def due(self, now_ns: int, among: Container[int] | None) -> list[int]:
        """Whom to look at now; where it is time for one, also who came there soon after it."""
        soon = [
            (stands.next_ns, tid)
            for tid, stands in self.stands.items()
            if now_ns + _SOON_NS >= stands.next_ns and (among is None or tid in among)
        ]
        soon.sort()
        due = [tid for _, tid in soon] if soon and now_ns >= soon[0][0] else []
        return [tid for tid in due if self._may_be_new(self.stands[tid], now_ns)]

    def _may_be_new(self, stands: _Stands, now_ns: int) -> bool:
        """Whether to look at it now; else that is put off."""
        if stands.after != self.runs:
            return True
        stands.next_ns = now_ns + stands.again_ns
        stands.again_ns *= 2
        return False


class WaitForOracle:
    """Watches the threads of all workers that stand in a futex for ``onset_ns``."""

    name: ClassVar[str] = WAIT_FOR
    rows: ClassVar[RowType] = WaitForRow

    def __init__(self, onset_ns: int) -> None:
        self._onset_ns = onset_ns
        self._futexes = syscalls.futexes()
        self._processes: dict[int, _WatchedWaits] = {}
        self._shared = SharedLocks()
        self._ends = OtherEnds()
        self._file_locks = FileLocks()
        self._turn = 0

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why this interpreter cannot be read."""
        reader = reader_of(watched)
        if isinstance(reader, str):
            return reader
        self._processes[watched.pid] = _WatchedWaits(watched, reader, Peers(watched.pid))
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[WaitForRow]:
        """A row when threads were looked at and wait for something new, or for another holder."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        process.runs += watched.ran
        several = len(self._processes) > 1
        waits = self._futexes | self._file_locks.calls
        waits |= self._ends.calls if several else frozenset()
        _keep(process, watched, waits, self._onset_ns)
        if watched.onset:  # their stacks come first, at the end of this tick
            process.wanted |= watched.suspects
            return
        watched.rests_until_ns = _rests_until_ns(process)
        if watched.ran:  # who comes to stand from now on is looked at that much later
            watched.idles_until_ns = min(watched.rests_until_ns, now_ns + self._onset_ns)
        urgent = bool(process.wanted) and now_ns >= process.urgent_ns
        if now_ns < process.soonest_ns or (not urgent and now_ns < process.next_ns):
            return
        due = process.due(now_ns, process.wanted if urgent else None)
        if urgent:
            process.wanted.clear()
        if not due:
            if not urgent:
                every = (stands.next_ns for stands in process.stands.values())
                process.soonest_ns = min(every, default=NEVER_NS)
            return
        watched.idles_until_ns = 0  # whether it runs after this look counts
        began_ns = time.thread_time_ns()
        yield from self._look(process, watched, due[:_MOST])
        spent_ns, at_ns = time.thread_time_ns() - began_ns, time.monotonic_ns()
        if process.waits_for_pools:
            process.next_ns = process.urgent_ns = process.for_pools.spend(spent_ns, at_ns)
        elif urgent:
            process.urgent_ns = process.for_urgent.spend(spent_ns, at_ns)
        else:
            more = _HELD_MORE if at_ns < process.held_until_ns else 1
            share = more * watched.routine_share
            process.next_ns = process.for_routine.spend(spent_ns, at_ns, share)

    def _look(
        self, process: _WatchedWaits, watched: Watched, tids: list[int]
    ) -> Iterator[WaitForRow]:
        blocked = watched.blocked  # who is woken, but has not run yet, is not in it
        addresses = {
            tid: blocked[tid][1]
            for tid in process.stands
            if tid in blocked and blocked[tid][0] in self._futexes
        }
        still_ns = {tid: at for tid, at in watched.blocked_since_ns.items() if tid in blocked}
        found: WaitLook | None = None
        with suppress(*TRANSIENT, OSError, Unavailable):  # it is ending, or changes: later
            asked = [tid for tid in tids if tid in addresses]
            look = process.reader.wait_for
            found = look(asked, addresses, still_ns, _CPU_NS) if asked else WaitLook(())
        at_ns = time.monotonic_ns()
        edges = () if found is None else self._with_processes(found, watched)
        if found is not None:
            edges += tuple(self._by_descriptor(process, tids, (*edges, *found.tasks), at_ns))
        stood = (_checked(one, watched) for one in edges if watched.stood(one.tid))
        seen = {one.tid: one for one in stood if one is not None}
        pools = {} if found is None else {pool.subject: pool for pool in found.pools}
        for tid in tids:
            stands, one = process.stands[tid], seen.get(tid)
            stands.after = None
            if one is not None and one.subject in pools and not pools[one.subject].whole:
                stands.next_ns = at_ns
            elif found is not None and _stands_in(tid, watched, self._ends.calls):
                known = tid in process.messages
                stands.next_ns = NEVER_NS if known else max(at_ns, process.peers.next_ns)
            elif (
                found is None
                or (one is None and len(found.waiting) >= MOST_WAITING)  # it was not asked
                or (one is not None and (one.holders or one.kind in _HELD or tid in found.jobs))
            ):
                stands.next_ns = at_ns + stands.again_ns
                stands.again_ns = min(2 * stands.again_ns, _LATER_NS)
            elif one is not None and one.kind in _MAY_BE_LOST:
                stands.again_ns = max(_LATER_NS, stands.again_ns)
                stands.next_ns = at_ns + stands.again_ns
                stands.again_ns *= 2  # threads that idle wait like this, for hours
                stands.after = process.runs
            else:
                stands.next_ns = NEVER_NS
        for one in seen.values():
            if one.holders or one.kind in {"lost-job", *_FOUND}:
                self._note(one, watched)
        tasks = () if found is None else tuple(self._with_streams(process, found, at_ns))
        for task in tasks:
            self._note(task, watched)
        for pool in pools.values():
            waiters = [one.tid for one in seen.values() if one.subject == pool.subject]
            watched.holders |= {*waiters[:_MOST_TOLD], *(holder.tid for holder in pool.holders)}
        if any(one.holders and one.kind in _HELD for one in seen.values()):
            process.held_until_ns = at_ns + _LATER_NS
        process.waits_for_pools = bool(pools)
        new = any(process.told.get(tid) != one for tid, one in seen.items())
        new |= bool(tasks) and tasks != process.told_tasks
        if new or any(process.told_pools.get(at) != pool for at, pool in pools.items()):
            yield WaitForRow(at_ns, tuple(seen.values()), tuple(pools.values()), tasks)
        process.told.update(seen)
        process.told_pools = pools
        process.told_tasks = tasks

    def _by_descriptor(
        self,
        process: _WatchedWaits,
        tids: Iterable[int],
        seen: Iterable[WaitEdge | TaskEdge],
        now_ns: int,
    ) -> Iterator[WaitEdge]:
        """What those threads wait for, and those that hold what was seen, if that is a lock on a
        file, or a message.
        """
        watched = process.watched
        holders = (one.tid for edge in seen for one in edge.holders if one.pid is None)
        asked = dict.fromkeys((*tids, *holders))
        locked = [tid for tid in asked if _stands_in(tid, watched, self._file_locks.calls)]
        with suppress(OSError):  # it is ending, or the kernel does not tell of locks
            if locked:
                every = self._every()
                yield from self._file_locks.of(every[watched.pid], locked, every)
        wanted = [tid for tid in asked if _stands_in(tid, watched, self._ends.calls)]
        new = [tid for tid in wanted if tid not in process.messages]
        if new and now_ns >= process.peers.next_ns:
            process.messages.update(dict.fromkeys(new))
            every = self._every()
            with suppress(OSError):  # it is ending
                mine = every[watched.pid]
                some = self._ends.of(mine, process.peers, new, every, now_ns)
                for one in some if len(every) > 1 else ():
                    process.messages[one.tid] = one
        for tid in wanted:
            edge = process.messages.get(tid)
            if edge is not None:
                yield edge

    def _with_streams(
        self, process: _WatchedWaits, look: WaitLook, now_ns: int
    ) -> Iterator[TaskEdge]:
        """The tasks of a look, with what they wait to get rid of, or from whom to hear."""
        for task in look.tasks:
            stream = look.streams.get(task.task)
            if isinstance(stream, Ends):
                yield structs.replace(task, unsent=process.peers.unsent([stream]))
                continue
            told = task
            may_ask = len(self._processes) > 1 and now_ns >= process.peers.next_ns
            if stream is not None and task.kind is None and may_ask:
                with suppress(OSError):  # it is ending
                    mine = process.watched.pid, stream, process.peers
                    holders = self._ends.of_fd(*mine, self._every(), now_ns)
                    told = structs.replace(task, kind="message", holders=holders)
            yield told if told.holders else task

    def _every(self) -> dict[int, Readable]:
        """All processes that are watched."""
        return {pid: Readable(one.watched, one.reader) for pid, one in self._processes.items()}

    def _with_processes(self, found: WaitLook, watched: Watched) -> tuple[WaitEdge, ...]:
        """The same edges with the processes that have what threads wait for: jobs of pools, locks
        that they share.
        """
        taken = self._taken() if found.shared else []
        every = {pid: other.watched for pid, other in self._processes.items()}
        self._shared.note(watched, found.shared, taken, every)
        readers = {pid: other.reader for pid, other in self._processes.items()}
        work: dict[tuple[int, ...], dict[int, PoolWork]] = {}
        for pids in {job.pids for job in found.jobs.values()}:
            work[pids] = pool_jobs.ask(pids, readers, self._turn, _CPU_NS)
            self._turn += len(work[pids])
        edges = []
        for one in found.waiting:
            job, shared = found.jobs.get(one.tid), found.shared.get(one.tid)
            if job is not None:
                edges.append(self._with_workers(one, job, work[job.pids], watched))
            elif shared is not None:
                edges.append(self._shared.told(one, shared.place, taken, watched, every))
            else:
                edges.append(one)
        return tuple(edges)

    def _with_workers(
        self, one: WaitEdge, job: PoolJob, does: Mapping[int, PoolWork], watched: Watched
    ) -> WaitEdge:
        has = (
            Holder(pid, "work-item", pid=pid)
            for pid, work in does.items()
            if work.task is not None and work.task.job == job.job
        )
        others = {pid: other.watched for pid, other in self._processes.items()}
        lost = pool_jobs.is_lost(job, does, watched, one.tid, others)
        kind = "lost-job" if lost else one.kind
        return structs.replace(one, kind=kind, holders=tuple(has))

    def _taken(self) -> list[tuple[int, HeldBetween]]:
        """The locks between processes that threads have, with the process of each; where there are
        many processes, another part of them is asked each time.
        """
        found: list[tuple[int, HeldBetween]] = []
        until_ns = time.thread_time_ns() + _CPU_NS
        for pid in list(self._processes):
            process = self._processes.pop(pid)
            self._processes[pid] = process  # it is the last one of the next time
            with suppress(*TRANSIENT, OSError, Unavailable):  # it is ending, or changes
                found += [(pid, held) for held in process.reader.held_between()]
            if time.thread_time_ns() >= until_ns:
                break
        return found

    def _note(self, one: WaitEdge | TaskEdge, watched: Watched) -> None:
        """Has the stacks read of one that waits, and of whoever holds that."""
        watched.holders |= {one.tid, *(h.tid for h in one.holders if h.pid is None)} - {0}
        for holder in one.holders:
            if holder.pid in self._processes:
                self._processes[holder.pid].watched.holders.add(holder.tid)

    def detach(self, watched: Watched) -> None:
        """Forgets that worker."""
        self._ends.forget(watched.pid)
        process = self._processes.pop(watched.pid, None)
        if process is not None:
            process.peers.close()


def _rests_until_ns(process: _WatchedWaits) -> int:
    """When somebody is to be looked at, and there is time for it."""
    if process.wanted:
        return max(process.soonest_ns, min(process.next_ns, process.urgent_ns))
    return max(process.soonest_ns, process.next_ns)


def _stands_in(tid: int, watched: Watched, calls: Container[int]) -> bool:
    number, _ = watched.blocked.get(tid, (-1, 0))
    return number in calls


def _checked(one: WaitEdge, watched: Watched) -> WaitEdge | None:
    """The same; a lock is abandoned, and something lost, only where the kernel says that, too.

    A fork has inherited the lock from a process in which another thread held it, and has no thread
    but the one that waits. Elsewhere something may give it up: a handler of signals, in a program
    that parks its only thread so. Neither has a timeout. What looks like a mutex is one if the
    owner that it names is there, and it is waited for as one is; else nothing is known (None).
    """
    kind = _FOUND.get(one.kind, "lock")
    if any(holder.how == "mutex" for holder in one.holders):
        return one if _is_mutex(one, watched) else None
    if one.kind != "abandoned-lock" and one.kind not in _FOUND:
        return one
    sure = False
    with suppress(OSError, ValueError):  # it has ended
        alone = len(watched.tids) == 1 and procfs.is_fork(watched.pid)
        sure = (alone or kind != "lock") and not procfs.futex_timeout(watched.pid, one.tid)
    return one if sure else structs.replace(one, kind=kind)


def _is_mutex(one: WaitEdge, watched: Watched) -> bool:
    with suppress(OSError, ValueError):  # it has ended
        waits_for = procfs.futex_value(watched.pid, one.tid)
        alive = all(holder.tid in watched.tids for holder in one.holders)
        return alive and waits_for == mutexes.CONTENDED
    return False


def _keep(process: _WatchedWaits, watched: Watched, waits: frozenset[int], onset_ns: int) -> None:
    """Notes who has come to stand in one of those calls, and forgets who has moved."""
    for tid in watched.moved:
        process.stands.pop(tid, None)
        process.messages.pop(tid, None)
        told = process.told.get(tid)
        if told is not None and (told.kind != "queue" or tid not in watched.tids):
            del process.told[tid]  # an idle thread comes back to its queue: that is told once
        number, _ = watched.blocked.get(tid, (-1, 0))
        if number in waits:
            next_ns = watched.blocked_since_ns.get(tid, 0) + onset_ns
            process.stands[tid] = _Stands(next_ns)
            process.soonest_ns = min(process.soonest_ns, next_ns)
    watched.moved.clear()
