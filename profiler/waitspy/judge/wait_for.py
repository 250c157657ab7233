"""Chains of waits: from a thread that waits for what another one holds, to the one that ends it.

A look of the ``wait_for`` oracle has the edges of one moment, all of threads that stood still. A
chain that comes back to one of its threads is a ring: nothing but a timeout ends that. Of what
several hold (places of a semaphore, connections of a pool), all of them must be in the ring.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs

from waitspy.judge import blame
from waitspy.judge.classify import source_line
from waitspy.judge.spans import Span
from waitspy.model.activities import Activities, Activity
from waitspy.model.clock import NS
from waitspy.model.judged import Link, Spot
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import Held, Holder, WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind

ABANDONED: Held = "abandoned-lock"


@dataclass(frozen=True, slots=True)
class Chain:
    """The links from whoever waits to the root; of a ``ring``, each of its threads once. One that
    ends at an abandoned lock is a ring, too: nobody can go on.
    """

    links: tuple[Link, ...]
    ring: bool = False

    @property
    def root(self) -> Link:
        """Where it ends."""
        return self.links[-1]


class Chains:
    """Finds the chains of a recording, given what every thread did and is called."""

    def __init__(
        self,
        workers: Iterable[WorkerRecord],
        done: Mapping[ThreadKey, Activities],
        names: Mapping[ThreadKey, str],
        sources: SourceLines,
    ) -> None:
        self._events: dict[ThreadKey, tuple[WaitForEvent, ...]] = {
            worker.thread(0): worker.wait_for for worker in workers if worker.wait_for
        }
        self._done = done
        self._names = names
        self._sources = sources

    def of(self, thread: ThreadKey, start_ns: int, end_ns: int) -> Chain | None:
        """The chain of a thread in a span, by the last look that knew a holder; None without."""
        events = self._events.get(thread._replace(tid=0), ())
        first = bisect_left(events, start_ns, key=_at_ns)
        for event in reversed(events[first : bisect_right(events, end_ns, key=_at_ns)]):
            edges = edges_of(event)
            mine = edges.get(thread.tid)
            if mine is not None and (mine.holders or mine.kind == ABANDONED):
                return self._follow(thread, edges, event)
        return None

    def _follow(
        self, thread: ThreadKey, edges: Mapping[int, WaitEdge], event: WaitForEvent
    ) -> Chain:
        links: list[Link] = []
        order: list[int] = []
        holder: Holder | None = None
        stuck = _stuck(edges, event)
        tid, at_ns = thread.tid, event.at_ns
        while True:
            waiting = edges.get(tid)
            order.append(tid)
            following = None
            if waiting is not None and waiting.holders:
                following = self._holder(thread, waiting, order, stuck, at_ns)
            kind = None if following is None or waiting is None else waiting.kind
            link = self._link(thread._replace(tid=tid), at_ns, holder, kind)
            if kind == "connections":
                assert waiting is not None
                link = replace(link, count=_waiting(edges, waiting.subject))
            links.append(link)
            if waiting is not None and waiting.kind == ABANDONED:
                links[-1] = replace(link, waits_for=ABANDONED)
                return Chain(tuple(links), ring=True)
            if following is None:
                return Chain(tuple(links))
            holder = following
            tid = holder.tid
            if tid in order:
                break
        ring = links[order.index(tid) :]
        ring[0] = replace(ring[0], how=holder.how, taken=self._taken(holder))
        return Chain(tuple(ring), ring=True)

    def _holder(
        self,
        thread: ThreadKey,
        waiting: WaitEdge,
        order: Sequence[int],
        stuck: AbstractSet[int],
        at_ns: int,
    ) -> Holder | None:
        """The holder with whom a chain goes on: one that is in it already closes the ring; else one
        of which a stack was seen. None: those in it are all that are known, but not all there are.
        """
        holders: Sequence[Holder] = waiting.holders
        if waiting.tid in stuck:
            known = [one for one in holders if one.tid in order]
        else:
            known = []
            holders = [one for one in holders if one.tid not in order]
            holders = [one for one in holders if one.tid not in stuck] or holders
        seen = [one for one in holders if self._at(thread._replace(tid=one.tid), at_ns)]
        return next(iter(known or self._alike(thread, seen, at_ns) or holders), None)

    def _alike(self, thread: ThreadKey, holders: Sequence[Holder], at_ns: int) -> list[Holder]:
        """Those who are at the line at which the most of them are, known ones before others."""
        sure = [one for one in holders if one.how != "reach"] or holders
        at = Counter(self._spot(thread._replace(tid=one.tid), at_ns) for one in sure)
        if not at:
            return []
        most = at.most_common(1)[0][0]
        return [one for one in sure if self._spot(thread._replace(tid=one.tid), at_ns) == most]

    def _spot(self, key: ThreadKey, at_ns: int) -> Frame | None:
        activity = self._at(key, at_ns)
        return None if activity is None else blame.blamed(activity.stack)

    def _link(
        self, key: ThreadKey, at_ns: int, holder: Holder | None, waits_for: Held | None
    ) -> Link:
        activity = self._at(key, at_ns)
        frame = None if activity is None else blame.blamed(activity.stack)
        return Link(
            pid=key.pid,
            tid=key.tid,
            thread=self._names.get(key, ""),
            at=None if frame is None else spot(frame, self._sources),
            wait=Wait(WaitKind.UNKNOWN) if activity is None else activity.wait,
            since_s=None if activity is None else activity.start_ns / NS,
            how=None if holder is None else holder.how,
            taken=None if holder is None else self._taken(holder),
            waits_for=waits_for,
        )

    def _taken(self, holder: Holder) -> Spot | None:
        return None if holder.at is None else spot(holder.at, self._sources)

    def _at(self, key: ThreadKey, at_ns: int) -> Activity | None:
        mine = self._done.get(key)
        if mine is None:
            return None
        n = int(np.searchsorted(mine.start_ns, at_ns, "right")) - 1
        return mine[n] if n >= 0 and mine.end_ns[n] > at_ns else None


def edges_of(event: WaitForEvent) -> dict[int, WaitEdge]:
    """What threads were seen to wait for in a look, with all who hold it."""
    pools = {pool.subject: pool for pool in event.pools}
    found = {}
    for one in event.waiting:
        pool = pools.get(one.subject) if one.kind == "connections" else None
        lent = one if pool is None else structs.replace(one, holders=pool.holders)
        found[one.tid] = lent
    return found


def _stuck(edges: Mapping[int, WaitEdge], event: WaitForEvent) -> set[int]:
    """Threads that wait for what only such threads hold."""
    open_ = {  # others may have some of their connections
        pool.subject
        for pool in event.pools
        if pool.use is None
        or pool.use.lent is None
        or sum(holder.how != "reach" for holder in pool.holders) < pool.use.lent
    }
    held_by = {
        tid: {holder.tid for holder in one.holders}
        for tid, one in edges.items()
        if one.holders and not (one.kind == "connections" and one.subject in open_)
    }
    waiters: dict[int, list[int]] = {}
    for tid, holders in held_by.items():
        for holder in holders:
            waiters.setdefault(holder, []).append(tid)
    stuck = set(held_by)
    free = [tid for tid in waiters if tid not in stuck]
    while free:  # whoever waits for one that can go on, can go on itself
        for tid in waiters.get(free.pop(), ()):
            if tid in stuck:
                stuck.remove(tid)
                free.append(tid)
    return stuck


def _waiting(edges: Mapping[int, WaitEdge], pool: int) -> int:
    return sum(one.kind == "connections" and one.subject == pool for one in edges.values())


def standstill(worker: WorkerRecord, tid: int, at_ns: int, stop_ns: int) -> Span | None:
    """The span in which a thread did not run, around a time and up to ``stop_ns``."""
    states = worker.states.get(tid)
    if states is None:
        return None
    starts, ends = states.still
    n = int(np.searchsorted(starts, at_ns, "right")) - 1
    if n < 0 or ends[n] <= at_ns:
        return None
    return int(starts[n]), int(np.minimum(ends[n], stop_ns))


def spot(frame: Frame, sources: SourceLines) -> Spot:
    """A frame's line, with its text where it was read."""
    line = source_line(frame, sources)
    source = None if line is None else line.strip()
    return Spot(frame.function, frame.file or None, frame.line, source)


def _at_ns(event: WaitForEvent) -> int:
    return event.at_ns
