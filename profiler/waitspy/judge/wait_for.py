"""Chains of waits: from a thread that waits for what another one holds, to the one that ends it.

A look of the ``wait_for`` oracle has the edges of one moment, all of threads that stood still. A
chain that comes back to one of its threads is a ring: nothing but a timeout ends that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from waitspy.judge import blame
from waitspy.judge.classify import source_line
from waitspy.model.activities import Activities, Activity
from waitspy.model.clock import NS
from waitspy.model.judged import Link, Spot
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import Held, Holder, WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind


@dataclass(frozen=True, slots=True)
class Chain:
    """The links from whoever waits to the root; of a ``ring``, each of its threads once."""

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
            edges = {one.tid: one for one in event.waiting}
            mine = edges.get(thread.tid)
            if mine is not None and mine.holders:
                return self._follow(thread, edges, event.at_ns)
        return None

    def _follow(self, thread: ThreadKey, edges: Mapping[int, WaitEdge], at_ns: int) -> Chain:
        links: list[Link] = []
        order: list[int] = []
        holder: Holder | None = None
        tid = thread.tid
        while tid not in order:
            waiting = edges.get(tid)
            held = waiting is not None and bool(waiting.holders)
            kind = waiting.kind if waiting is not None and held else None
            links.append(self._link(thread._replace(tid=tid), at_ns, holder, kind))
            order.append(tid)
            if waiting is None or not held:
                return Chain(tuple(links))
            # one that is known already closes the ring; else one of which a stack was seen
            known = [one for one in waiting.holders if one.tid in order]
            seen = [one for one in waiting.holders if self._at(thread._replace(tid=one.tid), at_ns)]
            holder = (known or seen or waiting.holders)[0]
            tid = holder.tid
        ring = links[order.index(tid) :]
        assert holder is not None
        ring[0] = replace(ring[0], how=holder.how, taken=self._taken(holder))
        return Chain(tuple(ring), ring=True)

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


def spot(frame: Frame, sources: SourceLines) -> Spot:
    """A frame's line, with its text where it was read."""
    line = source_line(frame, sources)
    source = None if line is None else line.strip()
    return Spot(frame.function, frame.file or None, frame.line, source)


def _at_ns(event: WaitForEvent) -> int:
    return event.at_ns
