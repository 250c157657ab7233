"""The ``places`` oracle: where the tasks of every loop wait, and for how long they were seen there.

No victims: a task may wait for good reasons. A few looks in a recording tell which of them stay
where they are: the same task in the same coroutines, at the same instructions, waiting for a
future at the same address. One that goes round quickly can look so, too, unless its loop has run
nothing in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar

from msgspec import structs

from waitspy.model.clock import NS
from waitspy.model.oracle_names import PLACES
from waitspy.model.places import TaskGroup
from waitspy.model.stacks import Frame, Stack
from waitspy.model.task_waits import TaskHolder, TaskWait
from waitspy.model.unsent import Unsent, drains
from waitspy.model.wait_for import Holder, How
from waitspy.oracles import Watched
from waitspy.oracles.allowance import Allowance
from waitspy.oracles.other_ends import OtherEnds, Readable
from waitspy.oracles.peers import Peers
from waitspy.oracles.reading import TRANSIENT, reader_of
from waitspy.recording.places import PlacesRow, TasksHeld, TasksSame, TasksSeen
from waitspy.recording.rows import RowType
from waitspy.remote.lost_waits import may_be_lost
from waitspy.remote.memory import Unavailable
from waitspy.remote.reader import Reader
from waitspy.remote.task_waits import may_be_held
from waitspy.remote.values import HeldByTasks, Service, StandingTask, TasksLook

_FIRST_NS = NS // 5  # what every recording begins with is done by then
_LOOK_NS = NS // 2
_LATER = 20  # the looks of a long recording are this part of it apart
_LONGEST_NS = 10 * NS
_AGAIN_NS = NS // 4
_SHARE = 0.01  # of one core at the most, for the looks at one worker
_WAITING_SHARE = 0.04  # where tasks wait for what others hold
_ALL_SHARE = 0.05  # and for those at all workers together
_APART_NS = 20_000_000  # so that looks at many workers do not add up to a gap for other oracles
_CPU_NS = 15_000_000  # of one look: a longer one would keep the other oracles from theirs
_HELD_CPU_NS = 20_000_000  # of reading who holds what they wait for
_LOST_CPU_NS = 5_000_000  # of counting who refers to what they wait for
_HELD_SHARE = 0.02  # of one core, for that in one worker, where tasks wait for what others hold
_MOST_GROUPS = 32
_MOST_WAITS = 16  # things that tasks wait for, those that most of them do
_MOST_HOLDERS = 8  # places at which one thing is held
_MOST_DRAINS = 16  # tasks of one place of whose connections the kernel is asked
_SEVERAL = 2
_MOST_WORKERS = 2  # tasks of a look of which it is asked anew which thread works for them
_NO_WORK = tuple(f"/asyncio/{name}.py" for name in ("tasks", "streams", "locks", "queues"))
"""Where tasks wait for what no thread works on."""

_HolderPlace = tuple[tuple[int, ...], Frame, How, int | None]
"""Where tasks hold something, where they took it, how that is known, and what they wait for."""


@dataclass(slots=True)
class _LoopTasks:
    """What was last seen of one loop: which of its tasks wait, since which look each, and when it
    was last seen to have run something. ``names`` are those of the places that were told. ``asks``
    says that tasks wait for what others may hold, and are to be seen again soon. ``stays`` and
    ``keeps`` tell since when a task is known to wait for something without a break, and to hold
    it; both have the thing first. ``asked_ns`` is when that was last looked at.
    """

    waits: dict[int, tuple[StandingTask, int]] = field(default_factory=dict)
    service: Service | None = None
    ran_ns: int = 0
    told: TasksSeen | None = None
    held: tuple[TaskWait, ...] = ()
    asks: bool = False
    asked_ns: int = 0
    stays: dict[tuple[int, int], int] = field(default_factory=dict)
    keeps: dict[tuple[int, int], int] = field(default_factory=dict)
    names: dict[tuple[int, ...], tuple[Stack, str | None]] = field(default_factory=dict)


@dataclass(slots=True)
class _WatchedTasks:
    """``workers`` are the threads at work on what tasks wait for, of so many more of whom that can
    be asked in this look; ``senders`` are those of other processes from which they wait to hear.
    ``every`` are all processes.
    """

    watched: Watched
    reader: Reader
    peers: Peers
    ends: OtherEnds
    every: Mapping[int, _WatchedTasks]
    loops: dict[int, _LoopTasks] = field(default_factory=dict)
    began_ns: int = 0
    next_ns: int = 0
    unseen: bool = True
    next_held_ns: int = 0
    for_held: Allowance = field(default_factory=lambda: Allowance(_HELD_SHARE))
    spent_held_ns: int = 0
    workers: dict[StandingTask, int] = field(default_factory=dict)
    senders: dict[StandingTask, Holder | None] = field(default_factory=dict)
    asks_left: int = 0

    def worker_of(self, task: StandingTask, stack: Stack) -> int | None:
        """The thread at work on what a task with these awaits waits for, as far as it is known; its
        stack is read.
        """
        if not stack or stack[-1].rooted.endswith(_NO_WORK):
            return None
        known = self.workers.get(task)
        if known is None and not self.asks_left:
            return None
        self.asks_left -= known is None
        found = self.reader.worker_of(task, known)
        if found is not None:
            self.workers[task] = found
            self.watched.holders.add(found)
        return found

    def sender_to(self, task: StandingTask, now_ns: int) -> Holder | None:
        """The thread of another process that has to send what a task waits to read, if it is known
        and the only one; its stack is read.
        """
        if task in self.senders or not self.asks_left or len(self.every) < _SEVERAL:
            return self.senders.get(task)
        fd = self.reader.streams.empty(task)
        if fd is None or now_ns < self.peers.next_ns:
            return None
        self.asks_left -= 1
        every = {pid: Readable(one.watched, one.reader) for pid, one in self.every.items()}
        found: tuple[Holder, ...] = ()
        with suppress(OSError):  # it was closed meanwhile: other tasks are there all the same
            found = self.ends.of_fd(self.watched.pid, fd, self.peers, every, now_ns)
        one = self.senders[task] = found[0] if len(found) == 1 else None
        if one is not None and one.pid in every:
            every[one.pid].watched.holders.add(one.tid)
        return one

    def again_ns(self, now_ns: int, spent_ns: int) -> int:
        """When to look again after such a look."""
        pause_ns = min(_LONGEST_NS, max(_LOOK_NS, (now_ns - self.began_ns) // _LATER))
        share = _SHARE
        if any(loop.asks or loop.held for loop in self.loops.values()):
            pause_ns, share = _AGAIN_NS, _WAITING_SHARE
        return now_ns + max(pause_ns, int(spent_ns / share))


class PlacesOracle:
    """Lists where tasks wait, now and then, in every worker whose asyncio can be read."""

    name: ClassVar[str] = PLACES
    rows: ClassVar[RowType] = PlacesRow

    def __init__(self) -> None:
        self._processes: dict[int, _WatchedTasks] = {}
        self._ends = OtherEnds()
        self._for_all = Allowance(_ALL_SHARE)
        self._next_ns = 0

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why this interpreter cannot be read."""
        reader = reader_of(watched)
        if isinstance(reader, str):
            return reader
        try:
            reader.imports_asyncio()
        except Unavailable as error:
            return str(error)
        except TRANSIENT:
            pass  # that it changes is no reason not to look later
        except OSError as error:
            return f"process_vm_readv: {error.strerror}"
        self._processes[watched.pid] = _WatchedTasks(
            watched, reader, Peers(watched.pid), self._ends, self._processes
        )
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[PlacesRow]:
        """A row for each loop, when it is time for a look."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        if not process.began_ns:
            process.began_ns, process.next_ns = now_ns, now_ns + _FIRST_NS
        process.unseen |= watched.ran
        watched.rests_until_ns = process.next_ns
        if process.unseen and now_ns < process.next_ns:
            watched.idles_until_ns = process.next_ns
        if now_ns < process.next_ns:
            return
        if process.unseen and now_ns < self._next_ns:
            watched.rests_until_ns = watched.idles_until_ns = self._next_ns
            return  # it is another worker's turn
        began_ns = time.thread_time_ns()
        try:
            if process.unseen:
                yield from _look(process, now_ns)
                process.unseen = False
            else:  # nothing ran, so that all are where they were
                for address, loop in process.loops.items():
                    yield TasksSame(now_ns, address)
                    yield from _tell_held(process, address, loop, now_ns)
        except TRANSIENT:
            spent_ns = self._spend(process, began_ns, now_ns)
            process.next_ns = now_ns + max(_AGAIN_NS, int(spent_ns / _SHARE))
        except (OSError, Unavailable):  # the process is ending, or has imported an unknown asyncio
            process.loops.clear()
            process.next_ns = now_ns + NS
        else:
            process.next_ns = process.again_ns(now_ns, self._spend(process, began_ns, now_ns))

    def _spend(self, process: _WatchedTasks, began_ns: int, now_ns: int) -> int:
        spent_ns = time.thread_time_ns() - began_ns - process.spent_held_ns
        process.spent_held_ns = 0
        self._next_ns = max(now_ns + _APART_NS, self._for_all.spend(spent_ns, now_ns))
        return spent_ns

    def detach(self, watched: Watched) -> None:
        """Forgets that worker."""
        self._ends.forget(watched.pid)
        process = self._processes.pop(watched.pid, None)
        if process is not None:
            process.peers.close()


def _look(process: _WatchedTasks, now_ns: int) -> Iterator[PlacesRow]:
    known = {task for loop in process.loops.values() for task in loop.waits}
    looks = {look.loop: look for look in process.reader.tasks_looks(known, _CPU_NS)}
    for gone in process.loops.keys() - looks.keys():
        del process.loops[gone]
    for address, look in looks.items():
        loop = process.loops.setdefault(address, _LoopTasks())
        before = loop.waits
        _note(loop, look, now_ns)
        groups = tuple(_groups(process, loop, now_ns))
        row = TasksSeen(now_ns, address, look.pending, look.looked, groups)
        same = before == loop.waits and loop.told is not None and _says(loop.told, row)
        loop.told = row
        yield TasksSame(now_ns, address) if same else row
        yield from _tell_held(process, address, loop, now_ns)


def _note(loop: _LoopTasks, look: TasksLook, now_ns: int) -> None:
    if look.service is None or look.service != loop.service:
        loop.ran_ns = now_ns
    loop.service = look.service
    before, loop.waits = loop.waits, {}
    for task in look.tasks:
        told, since_ns = before.get(task.task, (None, now_ns))
        loop.waits[task.task] = task, since_ns if told == task else now_ns


def _says(told: TasksSeen, row: TasksSeen) -> bool:
    """Whether a row says nothing new."""
    return (told.pending, told.looked, told.groups) == (row.pending, row.looked, row.groups)


def _groups(process: _WatchedTasks, loop: _LoopTasks, now_ns: int) -> Iterator[TaskGroup]:
    """The tasks that wait at the same place: the groups that have waited the most, together."""
    found: dict[tuple[int, ...], list[tuple[StandingTask, int]]] = {}
    for task, since_ns in loop.waits.values():
        found.setdefault(task.place, []).append((task, since_ns))
    before, loop.names = loop.names, {}
    for group in sorted(found.values(), key=lambda group: _waited(group, now_ns))[-_MOST_GROUPS:]:
        task, since_ns = min(group, key=lambda one: one[1])
        seen_ns = since_ns if since_ns < now_ns else None
        # A task that has stayed has kept its code: no other one can have come to its address.
        known = before.get(task.place) if seen_ns is not None else None
        loop.names[task.place] = stack, future = known or process.reader.where(task)
        unsent = _unsent(process, stack, [task for task, _ in group])
        yield TaskGroup(stack, future, len(group), seen_ns, since_ns >= loop.ran_ns, unsent)


def _unsent(process: _WatchedTasks, stack: Stack, tasks: Iterable[StandingTask]) -> Unsent | None:
    """What tasks that stand there wait to get rid of; of very many, the first ones tell."""
    if not drains(stack):
        return None
    ends = (process.reader.streams.full(task) for task in islice(tasks, _MOST_DRAINS))
    return process.peers.unsent(one for one in ends if one is not None)


def _tell_held(
    process: _WatchedTasks, address: int, loop: _LoopTasks, now_ns: int
) -> Iterator[TasksHeld]:
    """What tasks have waited for since the look before, and who holds it, where that is new."""
    may_be = {place for place, (stack, _) in loop.names.items() if may_be_held(stack)}
    waiting = [since_ns for task, since_ns in loop.waits.values() if task.place in may_be]
    loop.asks = any(since_ns >= now_ns for since_ns in waiting)
    held: tuple[TaskWait, ...] | None = ()
    if waiting or any(may_be_lost(stack) for stack, _ in loop.names.values()):
        if now_ns < process.next_held_ns:
            return
        began_ns = time.thread_time_ns()
        held = _held(process, address, loop, now_ns, may_be_held=bool(waiting))
        spent_ns = time.thread_time_ns() - began_ns
        process.next_held_ns = process.for_held.spend(spent_ns, now_ns)
        process.spent_held_ns += spent_ns
        loop.asks |= held is None
    if held is not None and held != loop.held:
        loop.held = held
        yield TasksHeld(now_ns, address, held)


def _held(
    process: _WatchedTasks, address: int, loop: _LoopTasks, now_ns: int, *, may_be_held: bool
) -> tuple[TaskWait, ...] | None:
    waited = {task for task, (_, since_ns) in loop.waits.items() if since_ns < now_ns}
    tasks = [task for task, _ in loop.waits.values()]
    found: tuple[HeldByTasks, ...] | None = ()
    if may_be_held:
        found = process.reader.held_by_tasks(address, tasks, waited, _HELD_CPU_NS)
    if found is None:
        return None
    loop.asks |= bool(found)
    lost = process.reader.lost_by_tasks(address, tasks, waited, _LOST_CPU_NS)
    subjects = {one.subject for one in lost}
    found = (*(one for one in found if one.subject not in subjects), *lost)
    loop.stays = {(one.subject, task): at for one in found for task, at in _stays(loop, one)}
    loop.keeps = {
        (one.subject, task): at
        for one in found
        for task, at in _keeps(loop, one, now_ns)
        if at < now_ns
    }
    loop.asked_ns = now_ns
    process.asks_left = _MOST_WORKERS
    standing = {task for other in process.loops.values() for task, _ in other.waits.values()}
    process.workers = {task: tid for task, tid in process.workers.items() if task in standing}
    process.senders = {task: one for task, one in process.senders.items() if task in standing}
    some = [one for one in found if any((one.subject, task) in loop.stays for task in one.waiters)]
    most = sorted(some, key=lambda one: (-len(one.waiters), one.subject))[:_MOST_WAITS]
    waits = {task: one.subject for one in most for task in one.waiters}
    return tuple(_task_wait(process, loop, one, waits, now_ns) for one in most)


def _stays(loop: _LoopTasks, found: HeldByTasks) -> Iterator[tuple[int, int]]:
    """The tasks that have waited for something since an earlier look, each with when that was."""
    for task in found.waiters:
        if found.stayed is None:
            yield task, loop.waits[task][1]
        elif task in found.stayed:
            yield task, loop.stays.get((found.subject, task), loop.asked_ns)


def _keeps(loop: _LoopTasks, found: HeldByTasks, now_ns: int) -> Iterator[tuple[int, int]]:
    """The tasks that hold something, each with since when; of those that hold it at one place, as
    many count anew as may have come to have it since the look before, the oldest ones.
    """
    by_place: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for holder, *_ in found.holders:
        task, since_ns = loop.waits[holder]
        if found.stayed is not None:
            known_ns = loop.keeps.get((found.subject, holder), loop.asked_ns)
            since_ns = max(since_ns, known_ns)
        by_place.setdefault(task.place, []).append((since_ns, holder))
    for group in by_place.values():
        for n, (since_ns, holder) in enumerate(sorted(group)):
            yield holder, now_ns if n < found.left else since_ns


def _task_wait(
    process: _WatchedTasks,
    loop: _LoopTasks,
    found: HeldByTasks,
    waits: Mapping[int, int],
    now_ns: int,
) -> TaskWait:
    """What was found of one thing; ``waits`` has what each task waits for."""
    stays = {task: loop.stays.get((found.subject, task), now_ns) for task in found.waiters}
    oldest, since_ns = min(stays.items(), key=lambda one: one[1])
    first, _ = loop.waits[oldest]
    # most places have just been named for their groups
    stack, _ = loop.names.get(first.place) or process.reader.where(first)
    by_place: dict[_HolderPlace, list[tuple[StandingTask, int]]] = {}
    for holder, at, how in found.holders:
        task, keeps_ns = loop.waits[holder][0], loop.keeps.get((found.subject, holder), now_ns)
        by_place.setdefault((task.place, at, how, waits.get(holder)), []).append((task, keeps_ns))
    groups = sorted(by_place.items(), key=lambda item: -len(item[1]))[:_MOST_HOLDERS]
    holders = (
        structs.replace(_holder(process, at, how, some, now_ns), waits=subject)
        for (_, at, how, subject), some in groups
    )
    return TaskWait(
        found.kind,
        found.subject,
        len(found.waiters),
        stack,
        since_ns,
        (*holders, *(TaskHolder((at,), at, 1, None, None, how="ended") for at in found.ended)),
        found.use,
        found.serves,
        found.in_line,
    )


def _holder(
    process: _WatchedTasks,
    at: Frame,
    how: How,
    some: list[tuple[StandingTask, int]],
    now_ns: int,
) -> TaskHolder:
    task, since_ns = min(some, key=lambda one: one[1])
    last, stack, future = process.reader.where_at_last(task)
    tasks = [task for task, _ in some] if last == task else [last]
    unsent = _unsent(process, stack, tasks)
    seen_ns = since_ns if since_ns < now_ns else None
    thread = process.worker_of(last, stack)
    sender = process.sender_to(last, now_ns)
    return TaskHolder(stack, at, len(some), seen_ns, future, unsent, how, None, thread, sender)


def _waited(group: Iterable[tuple[StandingTask, int]], now_ns: int) -> tuple[int, int]:
    ages_ns = [now_ns - since_ns for _, since_ns in group]
    return sum(ages_ns), len(ages_ns)
