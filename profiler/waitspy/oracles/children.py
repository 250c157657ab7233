"""The ``children`` oracle: processes below a worker that write into a pipe that it does not read.

A pipe holds so much, by default 64 KiB; then who writes into it waits. If only the worker can read
it, and waits itself for the end or for other output of that very process, or until that reads what
is written to it, neither goes on. All of that the kernel says: who stands in which call, and who
has which end of which pipe. Which task waits for which process stands in the worker's memory, and
so does who else has that process at hand and may read from it later. Of what may be read nothing
is told.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import ClassVar

from waitspy.kernel import pipe_fds, procfs
from waitspy.kernel.pipe_fds import Call
from waitspy.model import syscalls
from waitspy.model.children import Awaited, ChildWait, StandingChild
from waitspy.model.clock import NS
from waitspy.model.oracle_names import CHILDREN
from waitspy.oracles import Watched
from waitspy.oracles.allowance import Allowance
from waitspy.oracles.pipe_ends import PipeEnds, stuck
from waitspy.oracles.reading import TRANSIENT, reader_of
from waitspy.recording.children import ChildrenRow
from waitspy.recording.rows import RowType
from waitspy.remote.children import ChildHolders, ChildLook, ChildTask
from waitspy.remote.memory import Unavailable
from waitspy.remote.reader import Reader
from waitspy.target.kinship import at_or_below

_LOOK_NS = NS // 2
_ASK_NS = 10 * NS  # who has processes at hand: that takes longer than all else
_SHARE = 0.04  # of one core, for looks at one worker while one of its processes stands in a write
_CPU_NS = 15_000_000  # of reading tasks: a longer look would keep the other oracles from theirs
_MANY_THREADS = 128  # then the table of all processes is read sooner than their lists
_MOST_BELOW = 128  # processes of one worker
_MOST_TOLD = 32  # of these
_MOST_WAITS = 16  # of one of them
_LONGEST_NAME = 64  # the kernel's own have 15 bytes
_P_PID = 1  # of waitid(2): include/uapi/linux/wait.h
_PID_MASK = (1 << 32) - 1  # a pid_t in a register
_WRITES, _READS = frozenset({"write", "writev"}), frozenset({"read", "readv"})
_USED = _WRITES | _READS | {"wait4", "waitid"}


@dataclass(frozen=True, slots=True)
class _WaitsForChild:
    """A thread, or a task, of the worker that waits for one of those processes."""

    pids: AbstractSet[int]
    awaits: Awaited
    since_ns: int
    tid: int | None = None
    task: ChildTask | None = None


@dataclass(slots=True)
class _StandsStill:
    """The calls in which all threads of a process stand, and since which look."""

    calls: Mapping[int, Call]
    since_ns: int


@dataclass(slots=True)
class _WatchedChildren:
    """``parents`` are the processes below it, each with its parent, as they were when
    ``last_made`` was the newest one; ``tasks`` are those that wait for one, each since a look.
    ``holders`` are those who have the ``asked`` ones at hand, or as an attribute of what they have.
    """

    reader: Reader
    parents: dict[int, int] = field(default_factory=dict)
    last_made: bytes | None = None
    stands: dict[int, _StandsStill] = field(default_factory=dict)
    tasks: dict[int, tuple[ChildTask, int]] = field(default_factory=dict)
    told: tuple[StandingChild, ...] = ()
    next_ns: int = 0
    next_close_ns: int = 0
    holders: ChildHolders = field(default_factory=ChildHolders)
    asked: tuple[AbstractSet[int], bool] = frozenset(), False
    next_ask_ns: int = 0
    for_close: Allowance = field(default_factory=lambda: Allowance(_SHARE))


class ChildrenOracle:
    """Watches the processes below all workers."""

    name: ClassVar[str] = CHILDREN
    rows: ClassVar[RowType] = ChildrenRow

    def __init__(self) -> None:
        table = syscalls.TABLES.get(platform.machine(), {})
        self._calls = {number: name for number, name in table.items() if name in _USED}
        self._processes: dict[int, _WatchedChildren] = {}

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why this interpreter cannot be read."""
        reader = reader_of(watched)
        if isinstance(reader, str):
            return reader
        self._processes[watched.pid] = _WatchedChildren(reader)
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[ChildrenRow]:
        """A row when others stand so than before, or others wait for them."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        watched.rests_until_ns = watched.idles_until_ns = process.next_ns
        if now_ns < process.next_ns:
            return
        began_ns = time.thread_time_ns()
        _keep(process, watched, now_ns)
        writing = self._writing(process, now_ns)
        spent_ns = time.thread_time_ns() - began_ns
        process.next_ns = now_ns + max(_LOOK_NS, int(spent_ns / watched.routine_share))
        standing = tuple(one for one in process.told if _is_same(one, process, writing))
        if writing and now_ns >= process.next_close_ns:
            began_ns = time.thread_time_ns()
            try:
                standing = self._look(process, watched, writing, now_ns)
            except (*TRANSIENT, OSError, ValueError, Unavailable):
                pass  # it is ending, or changes: what stands on is still so
            spent_ns = time.thread_time_ns() - began_ns
            process.next_close_ns = process.for_close.spend(spent_ns, now_ns)
        elif not writing:
            process.tasks.clear()
        if standing != process.told:
            left = {one.pid for one in standing}
            gone = [one.pid for one in process.told if one.pid not in left]
            process.told = standing
            yield ChildrenRow(now_ns, standing, tuple(pid for pid in gone if _has_ended(pid)))

    def detach(self, watched: Watched) -> None:
        """Forgets that worker."""
        self._processes.pop(watched.pid, None)

    def _writing(self, process: _WatchedChildren, now_ns: int) -> dict[int, set[int]]:
        """The pipes in a write to which processes stand, that did so at the look before."""
        found: dict[int, set[int]] = {}
        for pid, stands in process.stands.items():
            if stands.since_ns >= now_ns:
                continue
            for tid, call in stands.calls.items():
                if self._calls.get(call.number) in _WRITES:
                    try:
                        pipe = pipe_fds.of_fd(pid, call.args[0])
                        full = pipe is not None and pipe_fds.may_be_full(pid, tid)
                    except OSError:
                        continue
                    if pipe is not None and full:
                        found.setdefault(pid, set()).add(pipe)
        return found

    def _look(
        self,
        process: _WatchedChildren,
        watched: Watched,
        writing: Mapping[int, set[int]],
        now_ns: int,
    ) -> tuple[StandingChild, ...]:
        """Those of the processes that only the worker lets go on, and who waits for them."""
        ends = PipeEnds(watched.pid, watched.worker.start_ticks, process.parents)
        collecting: dict[int, set[int]] = {}
        if len(process.parents) < _MOST_BELOW:  # else some may not be known
            collecting = {pid: self._collects(process, pid, now_ns) for pid in process.stands}
        fixed = stuck(ends, writing, collecting)
        roots = [one for one in fixed.items() if one[1] is not None]
        if not roots:
            return ()
        inner = _inner_pids(watched.pid, fixed)
        look = process.reader.child_waits(process.tasks.keys(), _CPU_NS)
        _note(process, look, now_ns)
        waiters = [
            *self._threads(watched, ends, inner, fixed.keys()),
            *_tasks(process, ends, inner, fixed.keys(), now_ns),
        ]
        found = []
        families = {pid: _family(pid, process.parents) for pid, _ in roots[:_MOST_TOLD]}
        awaited = {
            n
            for n, pid in inner.items()
            if any(pid in one and _for(waiters, one) for one in families.values())
        }
        deep = any(one.awaits == "input" for one in waiters)
        _ask(process, look, awaited, now_ns, deep=deep)
        for pid, family in families.items():
            pipe, mine = fixed[pid], _for(waiters, family)
            assert pipe is not None
            numbers = {n for n, outer in inner.items() if outer in family}
            if _is_at_hand(process.holders, numbers, mine):
                continue
            waits = tuple(_told(process.reader, mine, pid, family))[:_MOST_WAITS]
            watched.holders |= {wait.tid for wait in waits if wait.tid is not None}
            since_ns = process.stands[pid].since_ns
            found.append(StandingChild(pid, _name(pid), pipe, ends.own_fd(pipe), since_ns, waits))
        return tuple(found)

    def _collects(self, process: _WatchedChildren, pid: int, now_ns: int) -> set[int]:
        """The processes for whose end a process waits: any of its own, or one."""
        stands = process.stands[pid]
        found: set[int] = set()
        for call in stands.calls.values() if stands.since_ns < now_ns else ():
            wanted = self._collected(call)
            if wanted is not None:
                below = {child for child, parent in process.parents.items() if parent == pid}
                found |= below if wanted <= 0 else below & {wanted}
        return found

    def _collected(self, call: Call) -> int | None:
        """The pid for whose end a call waits, 0 or less for any; None for another call."""
        name = self._calls.get(call.number)
        if name == "wait4":
            pid = call.args[0] & _PID_MASK
            return pid if pid < 1 << 31 else -1
        if name == "waitid":
            return call.args[1] & _PID_MASK if call.args[0] == _P_PID else -1
        return None

    def _threads(
        self,
        watched: Watched,
        ends: PipeEnds,
        inner: Mapping[int, int],
        fixed: AbstractSet[int],
    ) -> Iterator[_WaitsForChild]:
        """Threads of the worker that wait for one of those processes."""
        for tid, (number, _) in watched.blocked.items():
            if number not in self._calls:
                continue
            try:
                call = pipe_fds.call(watched.pid, tid)
            except ProcessLookupError:  # it has ended
                continue
            if call is None or call.number != number or not watched.stood(tid):
                continue
            since_ns = watched.blocked_since_ns.get(tid, 0)
            collected = self._collected(call)
            if collected is not None and collected in inner:
                yield _WaitsForChild({inner[collected]}, "exit", since_ns, tid)
            elif self._calls[number] in _READS:
                writers = ends.writers_of_own(call.args[0])
                if writers and writers <= fixed:
                    yield _WaitsForChild(writers, "output", since_ns, tid)
            elif self._calls[number] in _WRITES:
                pipe = pipe_fds.of_fd(watched.pid, call.args[0])
                readers = set() if pipe is None else ends.readers(pipe)
                if readers and readers <= fixed and pipe_fds.may_be_full(watched.pid, tid):
                    yield _WaitsForChild(readers, "input", since_ns, tid)


def _keep(process: _WatchedChildren, watched: Watched, now_ns: int) -> None:
    """Notes which processes there are below the worker, and since when each has stood."""
    last_made = procfs.last_made()
    if process.parents or last_made is None or last_made != process.last_made:
        process.parents = _below(watched.pid, len(watched.tids))
    process.last_made = last_made
    before, process.stands = process.stands, {}
    for pid in process.parents:
        try:
            calls = pipe_fds.calls(pid)
        except (OSError, ValueError):  # it has ended, or may not be looked into
            continue
        if calls is not None:
            old = before.get(pid)
            same = old is not None and old.calls == calls
            process.stands[pid] = old if old is not None and same else _StandsStill(calls, now_ns)


def _below(worker: int, threads: int) -> dict[int, int]:
    """The processes below one, each with its parent."""
    if threads > _MANY_THREADS:  # each of them has its own list of children
        parents = {pid: stat.ppid for pid, stat in procfs.stats().items()}
        below = at_or_below(worker, parents)[1:]
        return {pid: parents[pid] for pid in below[:_MOST_BELOW]}
    found: dict[int, int] = {}
    left = [worker]
    while left and len(found) < _MOST_BELOW:
        parent = left.pop(0)
        for pid in procfs.children(parent):
            if pid not in found and pid != worker:
                found[pid] = parent
                left.append(pid)
    return found


def _is_same(
    one: StandingChild, process: _WatchedChildren, writing: Mapping[int, set[int]]
) -> bool:
    """Whether it has stood in the same write since it was told."""
    stands = process.stands.get(one.pid)
    return (
        stands is not None
        and stands.since_ns == one.since_ns
        and one.pipe in writing.get(one.pid, ())
    )


def _has_ended(pid: int) -> bool:
    stat = procfs.stats([pid]).get(pid)
    return stat is None or stat.zombie


def _name(pid: int) -> str:
    return procfs.shown(procfs.read_stat(pid).name)[:_LONGEST_NAME]


def _family(pid: int, parents: Mapping[int, int]) -> set[int]:
    """A process and those above it, below the worker."""
    found = {pid}
    while (pid := parents[pid]) in parents:
        found.add(pid)
    return found


def _inner_pids(worker: int, pids: Iterable[int]) -> dict[int, int]:
    """Those processes by the numbers that they have for the worker, in its pid namespace."""
    depth = len(procfs.read_status(worker).pids)
    found = {}
    for pid in pids:
        numbers = procfs.read_status(pid).pids
        if len(numbers) >= depth:
            found[numbers[depth - 1]] = pid
    return found


def _note(process: _WatchedChildren, look: ChildLook, now_ns: int) -> None:
    """Notes since when tasks have waited, and nobody has read from the streams of their process."""
    before, process.tasks = process.tasks, {}
    for one in look.tasks:
        told, since_ns = before.get(one.task.task, (None, now_ns))
        process.tasks[one.task.task] = one, since_ns if told == one else now_ns


def _tasks(
    process: _WatchedChildren,
    ends: PipeEnds,
    inner: Mapping[int, int],
    fixed: AbstractSet[int],
    now_ns: int,
) -> Iterator[_WaitsForChild]:
    """Tasks that have waited for one of those processes since a look before."""
    for one, since_ns in process.tasks.values():
        if since_ns >= now_ns:
            continue
        if one.fd is None and one.pid in inner:
            yield _WaitsForChild({inner[one.pid]}, "exit", since_ns, task=one)
        elif one.writes and one.fd is not None:
            pipe = pipe_fds.of_fd(ends.worker, one.fd)  # None: asyncio's own way is a socket
            if one.pid in inner and (pipe is None or ends.readers(pipe) <= fixed):
                yield _WaitsForChild({inner[one.pid]}, "input", since_ns, task=one)
        elif one.fd is not None:
            writers = ends.writers_of_own(one.fd)
            if writers and writers <= fixed:
                yield _WaitsForChild(writers, "output", since_ns, task=one)


def _for(waiters: Iterable[_WaitsForChild], family: AbstractSet[int]) -> list[_WaitsForChild]:
    return [one for one in waiters if one.pids & family]


def _ask(
    process: _WatchedChildren, look: ChildLook, pids: AbstractSet[int], now_ns: int, *, deep: bool
) -> None:
    """Learns who has those processes at hand: of others at once, of the same now and then.

    Where one thread writes to a process, and another one reads, both may have it as an attribute of
    the same object: then it is asked for these, too (``deep``).
    """
    if (pids, deep) != process.asked or now_ns >= process.next_ask_ns:
        ask = process.reader.child_holders
        process.holders = ask(look, pids, deep) if pids else ChildHolders()
        process.asked, process.next_ask_ns = (pids, deep), now_ns + _ASK_NS


def _is_at_hand(
    holders: ChildHolders, pids: AbstractSet[int], waiters: Sequence[_WaitsForChild]
) -> bool:
    """Whether somebody who does not wait for these processes has one at hand, and may read."""
    tids = {one.tid for one in waiters}
    tasks = {one.task.task.task for one in waiters if one.task is not None}
    return any(pid in pids and tid not in tids for tid, pid in holders.threads) or any(
        pid in pids and task not in tasks for task, pid in holders.tasks
    )


def _told(
    reader: Reader, waiters: Sequence[_WaitsForChild], root: int, family: AbstractSet[int]
) -> Iterator[ChildWait]:
    """The waiters, tasks that stand at the same lines together."""
    groups: dict[tuple[object, ...], list[_WaitsForChild]] = {}
    for one in waiters:
        pid = root if root in one.pids else min(one.pids & family)
        place = None if one.task is None else (one.task.loop, one.task.task.place)
        groups.setdefault((one.awaits, pid, one.tid, place), []).append(one)
    for group in groups.values():
        first = group[0]
        pid = root if root in first.pids else min(first.pids & family)
        since_ns = min(one.since_ns for one in group)
        if first.task is None:
            yield ChildWait(first.awaits, pid, _name(pid), since_ns, first.tid)
            continue
        stack, _ = reader.where(first.task.task)
        yield ChildWait(
            first.awaits, pid, _name(pid), since_ns, None, first.task.loop, stack, count=len(group)
        )
