"""Locks between processes: who has one, and whether that process has ended with it.

The kernel wakes those that wait for such a lock in the order in which they came. So if all who
waited for it when its holder was seen have not run since, nobody has given it up since; and if that
holder's process has ended, nobody ever will: the lock does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import structs

from waitspy.kernel import procfs
from waitspy.model.wait_for import Holder, WaitEdge
from waitspy.oracles import Watched
from waitspy.remote.process_locks import HeldBetween, SharedPlace, SharedWait

_ENDED = frozenset("ZX")  # proc_pid_stat(5), state
_MOST = 256  # locks that are remembered

Taken = Iterable[tuple[int, HeldBetween]]
"""Locks that threads have, each with the process of that thread."""


class _InLine(NamedTuple):
    pid: int
    tid: int
    since_ns: int


@dataclass(frozen=True, slots=True)
class _LastHolder:
    """Who had a lock, and those that were all who waited for it then."""

    pid: int
    start_ticks: int
    held: HeldBetween
    waiters: frozenset[_InLine]


class SharedLocks:
    """What is known of the locks between all the processes that are watched."""

    def __init__(self) -> None:
        self._waiters: dict[SharedPlace, frozenset[_InLine]] = {}
        self._seen: dict[SharedPlace, _LastHolder] = {}

    def note(
        self,
        watched: Watched,
        waits: Mapping[int, SharedWait],
        taken: Taken,
        every: Mapping[int, Watched],
    ) -> None:
        """Takes in a look at a process: its threads that wait, by tid, and who had what after that;
        ``every`` are all processes, by pid.
        """
        if len(self._waiters) > _MOST:  # those for which nobody waits any more
            self._waiters = {
                place: some
                for place, some in self._waiters.items()
                if any(map(_WaitsOn(every), some))
            }
            self._seen = {p: one for p, one in self._seen.items() if p in self._waiters}
        for place in {one.place for one in waits.values()}:
            mine = {
                _InLine(watched.pid, tid, watched.blocked_since_ns.get(tid, 0))
                for tid, one in waits.items()
                if one.place == place
            }
            old = (one for one in self._waiters.get(place, ()) if one.pid != watched.pid)
            known = self._waiters[place] = frozenset(filter(_WaitsOn(every), {*mine, *old}))
            queued = max(one.queued for one in waits.values() if one.place == place)
            holders = [(pid, held) for pid, held in taken if held.place == place]
            if len(holders) == 1 and holders[0][1].alone and queued == len(known):
                pid, held = holders[0]
                stat = procfs.stats([pid]).get(pid)
                if stat is not None:
                    self._seen[place] = _LastHolder(pid, stat.start_ticks, held, known)

    def told(
        self,
        one: WaitEdge,
        place: SharedPlace,
        taken: Taken,
        watched: Watched,
        every: Mapping[int, Watched],
    ) -> WaitEdge:
        """The same edge with those that have the lock, or the one that has ended with it; of a
        semaphore, others may have it as well.
        """
        mine = [(pid, held) for pid, held in taken if held.place == place]
        seen = self._seen.get(place)
        if not mine and seen is not None and self._is_lost(seen, one, watched, every):
            holder = Holder(seen.held.tid, "with", seen.held.at, pid=seen.pid)
            return structs.replace(one, kind="orphaned-lock", holders=(holder,))
        holders = tuple(
            Holder(held.tid, "with", held.at, pid=None if pid == watched.pid else pid)
            for pid, held in mine
        )
        kind = one.kind if all(held.alone for _, held in mine) else "semaphore"
        return structs.replace(one, kind=kind, holders=holders)

    def _is_lost(
        self, seen: _LastHolder, one: WaitEdge, watched: Watched, every: Mapping[int, Watched]
    ) -> bool:
        if not all(map(_WaitsOn(every), seen.waiters)):
            return False
        with suppress(OSError, ValueError):  # who waits is ending itself
            return _has_ended(seen) and not procfs.futex_timeout(watched.pid, one.tid)
        return False


class _WaitsOn:
    """Whether one has waited on, without having run, among those processes."""

    def __init__(self, every: Mapping[int, Watched]) -> None:
        self._every = every

    def __call__(self, one: _InLine) -> bool:
        watched = self._every.get(one.pid)
        return (
            watched is not None
            and watched.blocked_since_ns.get(one.tid) == one.since_ns
            and watched.stood(one.tid)
        )


def _has_ended(seen: _LastHolder) -> bool:
    stat = procfs.stats([seen.pid]).get(seen.pid)
    if stat is None or stat.start_ticks != seen.start_ticks:
        return True
    # a main thread that has ended leaves a process that looks so, too, while others go on
    return stat.state in _ENDED and {*procfs.threads(seen.pid)} <= {seen.pid}
