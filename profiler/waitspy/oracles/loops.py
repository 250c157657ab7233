"""The ``asyncio`` oracle: what each event loop has to do, read from the target's own memory.

A cheap read of the ready queue's counter, at every tick in which the process ran, tells how many
callbacks a loop has run. Only when a loop has served nothing for a while, outside of its own poll,
is it looked at whole: ready callbacks and overdue timers with their names. Such a snapshot counts
only if nothing of the loop has changed while it was taken; whether its thread runs or stands still
does not matter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from waitspy.model.clock import NS
from waitspy.model.loops import LateTimer, LoopInfo, LoopWork
from waitspy.model.oracle_names import ASYNCIO
from waitspy.oracles import LATE_NS, NEVER_NS, Watched
from waitspy.oracles.allowance import Allowance
from waitspy.oracles.reading import TRANSIENT, reader_of, task_name, task_place
from waitspy.recording.loops import (
    LoopCollecting,
    LoopFound,
    LoopRow,
    LoopServed,
    LoopWaiting,
)
from waitspy.recording.rows import RowType
from waitspy.remote.memory import Unavailable
from waitspy.remote.reader import Reader
from waitspy.remote.values import Callback, LoopFacts, LoopSnapshot, Service, Timer

_LOOK_NS = 200_000_000
_BEGINNING_NS = NS // 2  # so long the threads behind a wait are looked at again and again
_RESCAN_NS = NS // 2
_SLEEPS = "_set_result_unless_cancelled"  # asyncio.futures of 3.8 to 3.15: what sleep waits for
_TRIES = 3  # a look at a loop whose thread runs may be torn
_SHARE = 0.01  # of one core, for looks at and names of a loop, and rescans for new threads


@dataclass(slots=True)
class _Loop:
    """One loop and what was last seen of it.

    It has served nothing since ``quiet_since_ns``; ``late_since_ns`` is the same if it was seen
    that something waits. ``polls`` says whether its thread stood in its own poll.
    """

    facts: LoopFacts
    service: Service | None = None
    quiet_since_ns: int = 0
    late_since_ns: int = -1
    next_look_ns: int = 0
    next_names_ns: int = 0
    for_looks: Allowance = field(default_factory=lambda: Allowance(_SHARE))
    for_names: Allowance = field(default_factory=lambda: Allowance(_SHARE))
    told: LoopInfo | None = None
    collecting: bool = False
    polls: bool = False


@dataclass(slots=True)
class _WatchedLoops:
    reader: Reader
    loops: dict[int, _Loop] = field(default_factory=dict)
    tids: frozenset[int] = frozenset()
    next_scan_ns: int = 0
    soonest_scan_ns: int = 0
    unseen: bool = True
    unread: bool = False


class LoopsOracle:
    """Watches the event loops of all workers; one that served nothing for ``onset_ns`` is looked
    at.
    """

    name: ClassVar[str] = ASYNCIO
    rows: ClassVar[RowType] = LoopRow

    def __init__(self, onset_ns: int) -> None:
        self._onset_ns = onset_ns
        self._processes: dict[int, _WatchedLoops] = {}

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why this interpreter cannot be read."""
        reader = reader_of(watched)
        if isinstance(reader, str):
            return reader
        self._processes[watched.pid] = _WatchedLoops(reader)
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[LoopRow]:
        """Rows for loops that appeared, changed hands, ran callbacks or have work overdue."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        process.unseen |= watched.ran
        try:
            if process.unseen and now_ns >= _scan_due_ns(process, watched):
                yield from self._rescan(process, watched, now_ns)
                process.unseen = False
            for loop in process.loops.values():
                if loop.polls:  # so it did at each tick until now, whether it was asked or not
                    loop.quiet_since_ns = max(loop.quiet_since_ns, watched.before_ns)
                if watched.ran or process.unread or loop.service is None:
                    yield from _serve(process.reader, loop, now_ns)
                loop.polls = _polls(loop.facts, watched)
                if loop.polls:
                    loop.quiet_since_ns = now_ns
                    yield from _collects(loop, now_ns, collecting=False)
                    continue
                quiet = now_ns >= loop.quiet_since_ns + self._onset_ns
                if quiet and watched.ran and not loop.facts.closed:
                    collecting = process.reader.collecting(loop.facts)
                    yield from _collects(loop, now_ns, collecting=collecting)
                if quiet and now_ns >= loop.next_look_ns:
                    for row in _look(process.reader, loop, now_ns, self._onset_ns):
                        if row.work.ready or row.work.overdue:
                            watched.onset |= loop.late_since_ns != loop.quiet_since_ns
                            watched.suspects |= {loop.facts.owner_tid or watched.pid}
                            loop.late_since_ns = loop.quiet_since_ns
                        yield row
                watched.due |= (
                    loop.late_since_ns == loop.quiet_since_ns
                    and now_ns < loop.quiet_since_ns + _BEGINNING_NS
                )
            watched.rests_until_ns = self._rests_until_ns(process, watched)
            if not process.loops and process.unseen:
                watched.idles_until_ns = watched.rests_until_ns
            process.unread = False
        except TRANSIENT:
            process.unread |= watched.ran  # what it served is told at the next tick, not later
            process.next_scan_ns = process.soonest_scan_ns  # what was known may be gone
            process.unseen = watched.ran  # what stands still is not worth a second try
        except (OSError, Unavailable):  # the process is ending, or asyncio cannot be read
            process.loops.clear()
            process.next_scan_ns = process.soonest_scan_ns = now_ns + NS

    def detach(self, watched: Watched) -> None:
        """Forgets that worker."""
        self._processes.pop(watched.pid, None)

    def _rests_until_ns(self, process: _WatchedLoops, watched: Watched) -> int:
        """When the first loop will have been quiet for so long that it is looked at, or when it
        is time to search for others.
        """
        until_ns = _scan_due_ns(process, watched) if process.unseen else NEVER_NS
        for loop in process.loops.values():
            if not loop.polls and not loop.facts.closed:
                quiet_ns = loop.quiet_since_ns + self._onset_ns
                until_ns = min(until_ns, max(quiet_ns, loop.next_look_ns))
        return until_ns

    def _rescan(self, process: _WatchedLoops, watched: Watched, now_ns: int) -> Iterator[LoopRow]:
        began_ns = time.thread_time_ns()
        found = {facts.address: facts for facts in process.reader.loops()}
        spent_ns = time.thread_time_ns() - began_ns
        process.tids = frozenset(watched.tids)
        process.soonest_scan_ns = now_ns + int(spent_ns / _SHARE)
        process.next_scan_ns = now_ns + max(_RESCAN_NS, int(spent_ns / watched.routine_share))
        for address in process.loops.keys() - found.keys():
            del process.loops[address]
        for address, facts in found.items():
            loop = process.loops.get(address)
            if loop is None:
                loop = process.loops[address] = _Loop(facts, quiet_since_ns=now_ns)
            loop.facts = facts
            told = LoopInfo(
                facts.kind, facts.epfd, facts.owner_tid, facts.owner_how, facts.closed,
                facts.interpreter,
            )  # fmt: skip
            if told != loop.told:
                loop.told = told
                yield LoopFound(now_ns, address, told)


def _scan_due_ns(process: _WatchedLoops, watched: Watched) -> int:
    """When to search for loops: a new thread may run a new one, a reason to do so at once."""
    if watched.tids != process.tids:
        return min(process.next_scan_ns, process.soonest_scan_ns)
    return process.next_scan_ns


def _polls(facts: LoopFacts, watched: Watched) -> bool:
    return facts.epfd is not None and facts.epfd in watched.polling.values()


def _serve(reader: Reader, loop: _Loop, now_ns: int) -> Iterator[LoopRow]:
    if loop.facts.ready is None or loop.facts.closed:
        return
    service = reader.service(loop.facts)
    read_ns = time.monotonic_ns()
    if read_ns > now_ns + LATE_NS:  # we had no CPU within this look: it may have served meanwhile
        now_ns = read_ns
    before = loop.service
    if service != before:
        loop.service = service
        if before is None or service.served_since(before) != 0:
            loop.quiet_since_ns = now_ns
        yield LoopServed(now_ns, loop.facts.address, service.ready, service.state)


def _collects(loop: _Loop, now_ns: int, *, collecting: bool) -> Iterator[LoopCollecting]:
    if collecting != loop.collecting:
        loop.collecting = collecting
        yield LoopCollecting(now_ns, loop.facts.address, collecting)


def _look(reader: Reader, loop: _Loop, now_ns: int, onset_ns: int) -> Iterator[LoopWaiting]:
    """What waits on it; also when that is nothing, which is worth to know.

    First comes what is cheap at any number of tasks; whose sleep a late timer ends is looked up
    as often as the allowance lets it.
    """
    if loop.facts.closed or loop.facts.ready is None:
        return
    began_ns = time.thread_time_ns()
    snapshot = reader.whole_snapshot(loop.facts, tries=_TRIES, tasks=False)
    spent_ns = time.thread_time_ns() - began_ns
    soonest_ns = loop.for_looks.spend(spent_ns, now_ns)
    if snapshot is None:  # it changed each time: try again soon
        loop.next_look_ns = soonest_ns
        return
    loop.next_look_ns = max(now_ns + _LOOK_NS, soonest_ns)
    timers = snapshot.timers
    if timers is not None and not timers.overdue and timers.next_due_s is not None:
        # Nothing is due yet: look again when something will have been for a while.
        due_ns = int(timers.next_due_s * NS) + onset_ns
        loop.next_look_ns = max(loop.next_look_ns, min(due_ns, now_ns + NS))
    yield LoopWaiting(snapshot.at_ns, loop.facts.address, _work(snapshot, named=False))
    if timers is not None and timers.overdue and now_ns >= loop.next_names_ns:
        began_ns = time.thread_time_ns()
        named = reader.whole_snapshot(loop.facts, tries=1)
        spent_ns = time.thread_time_ns() - began_ns
        loop.next_names_ns = max(now_ns + _LOOK_NS, loop.for_names.spend(spent_ns, now_ns))
        if named is not None and named.timers is not None and named.timers.overdue:
            yield LoopWaiting(named.at_ns, loop.facts.address, _work(named, named=True))


def _work(snapshot: LoopSnapshot, *, named: bool) -> LoopWork:
    first = tuple((*_named(one), one.task is not None) for one in snapshot.first)
    timers = snapshot.timers
    if timers is None:
        return LoopWork(snapshot.ready, first, None, ())
    late = tuple(_late(timer) for timer in timers.late)
    return LoopWork(snapshot.ready, first, timers.overdue, late, named)


def _late(timer: Timer) -> LateTimer:
    name, where = _named(timer.callback)
    if name.endswith(_SLEEPS):
        name, where = "asyncio.sleep", None
    if timer.task is not None:
        name, where = task_name(timer.task, name), task_place(timer.task) or where
    return LateTimer(round(timer.due_s * NS), name, where, timer.guards)


def _named(callback: Callback) -> tuple[str, str | None]:
    task = callback.task
    if task is None:
        return callback.name, callback.where
    return task_name(task, callback.name), task_place(task) or callback.where
