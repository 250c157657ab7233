"""Chains of waits: from a thread that waits for what another one holds, to the one that ends it.

A look of the ``wait_for`` oracle has the edges of one moment, all of threads and tasks that stood
still. A chain that comes back to one of them is a ring: nothing but a timeout ends that. Of what
several hold (places of a semaphore, connections of a pool), all of them must be in the ring. A task
needs two things to go on: what it awaits, and the thread that runs its loop; so it is in a ring as
soon as one of both is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from waitspy.judge import blame, task_stacks
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

_MOST_SAMPLES = 64
ABANDONED: Held = "abandoned-lock"

_HALF = 0.5  # of a wait, in which a loop's thread has to do one thing to be what it waits for


@dataclass(frozen=True, slots=True)
class Chain:
    """The links from whoever waits to the root; of a ``ring``, each of its threads and tasks once.
    One that ends at an abandoned lock is a ring, too: nobody can go on.

    ``did`` is what each of them was seen to do, None where that is not known; of a task, its awaits
    at the time of the look.
    """

    links: tuple[Link, ...]
    did: tuple[Activity | None, ...]
    ring: bool = False

    @property
    def root(self) -> Link:
        """Where it ends."""
        return self.links[-1]


class _Node(NamedTuple):
    """A thread; or a task, by its address, and the thread that runs its loop (zero: none)."""

    tid: int
    task: int | None = None


class _Need(NamedTuple):
    """What one of them waits for, and who holds it."""

    kind: Held
    subject: int
    holders: Sequence[Holder]


_Needs = Mapping[_Node, Sequence[_Need]]


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
            mine = next((one for one in event.waiting if one.tid == thread.tid), None)
            if mine is not None and (mine.kind == ABANDONED or _holders(mine, event)):
                look = _Look(thread, event, self._done, self._names, self._sources)
                return look.chain(_Node(thread.tid), (start_ns, end_ns))
        return None


class _Look:
    """The chains of one process at one look."""

    def __init__(
        self,
        process: ThreadKey,
        event: WaitForEvent,
        done: Mapping[ThreadKey, Activities],
        names: Mapping[ThreadKey, str],
        sources: SourceLines,
    ) -> None:
        self._process = process
        self._until_ns = 0
        self._at_ns = event.at_ns
        self._done = done
        self._names = names
        self._sources = sources
        self._tasks = {task.task: task for task in event.tasks}
        self._needs = _needs(event)
        self._stuck = _stuck(self._needs, event)

    def chain(self, node: _Node, span: Span) -> Chain:
        """The one that begins there; ``span`` is the time for which that one waits."""
        self._until_ns = span[1]
        order: list[_Node] = []
        links: list[Link] = []
        did: list[Activity | None] = []
        holder: Holder | None = None
        while True:
            order.append(node)
            need, following = self._next(node, order, span)
            did.append(self._did(node))
            links.append(self._link(node, holder, need if following else None))
            if need is not None and need.kind == ABANDONED:
                links[-1] = replace(links[-1], waits_for=ABANDONED)
                return Chain(tuple(links), tuple(did), ring=True)
            if following is None:
                return Chain(tuple(links), tuple(did))
            holder, node = following, _node(following)
            if node in order:
                break
        first = order.index(node)
        ring = links[first:]
        ring[0] = replace(ring[0], how=holder.how, taken=self._taken(holder))
        return Chain(tuple(ring), tuple(did[first:]), ring=True)

    def _next(
        self, node: _Node, order: Sequence[_Node], span: Span
    ) -> tuple[_Need | None, Holder | None]:
        """What one waits for, and the holder with whom the chain goes on; of one that can never go
        on, what keeps it from that.
        """
        needs = self._needs.get(node, ())
        if node in self._stuck:
            needs = [need for need in needs if self._is_closed(need)]
            needs.sort(key=lambda need: not any(_node(one) in order for one in need.holders))
        for need in needs:
            if need.kind == "loop" and node not in self._stuck and not self._keeps(node.tid, span):
                continue
            following = self._holder(node, need, order)
            if following is not None or need.kind == ABANDONED:
                return need, following
        return None, None

    def _is_closed(self, need: _Need) -> bool:
        """Whether all who hold it can never go on; nobody holds an abandoned lock."""
        return all(_node(one) in self._stuck for one in need.holders)

    def _keeps(self, tid: int, span: Span) -> bool:
        """Whether a loop's thread does one thing, outside of the loop's own poll, for so long that
        nothing of that loop could go on.
        """
        did = self._did(_Node(tid))
        if did is None or did.wait.kind is WaitKind.UNKNOWN:
            return False
        if not blame.holds_up(did.stack, did.wait):
            return False
        shared_ns = min(did.end_ns, span[1]) - max(did.start_ns, span[0])
        return shared_ns >= (span[1] - span[0]) * _HALF

    def _holder(self, node: _Node, need: _Need, order: Sequence[_Node]) -> Holder | None:
        """The holder with whom a chain goes on: one that is in it already closes the ring; else one
        of which a stack was seen. None: those in it are all that are known, but not all there are.
        """
        holders = need.holders
        if node in self._stuck:
            known = [one for one in holders if _node(one) in order]
        else:
            known = []
            holders = [one for one in holders if _node(one) not in order]
            holders = [one for one in holders if _node(one) not in self._stuck] or holders
            holders = [one for one in holders if not self._leads_back(one, order)] or holders
        seen = [one for one in holders if self._did(_node(one))]
        return next(iter(known or self._alike(seen) or holders), None)

    def _leads_back(self, holder: Holder, order: Sequence[_Node]) -> bool:
        """Whether one waits for those alone who are in the chain."""
        needs = self._needs.get(_node(holder), ())
        return any(
            bool(need.holders) and all(_node(one) in order for one in need.holders)
            for need in needs
            if need.kind != "loop"
        )

    def _alike(self, holders: Sequence[Holder]) -> list[Holder]:
        """Those who are at the line at which the most of them are, known ones before others."""
        sure = [one for one in holders if one.how != "reach"] or holders
        at = Counter(self._spot(_node(one)) for one in sure)
        if not at:
            return []
        most = at.most_common(1)[0][0]
        return [one for one in sure if self._spot(_node(one)) == most]

    def _spot(self, node: _Node) -> Frame | None:
        did = self._did(node)
        return None if did is None else blame.blamed(did.stack)

    def _link(self, node: _Node, holder: Holder | None, need: _Need | None) -> Link:
        did, of_task = self._did(node), node.task is not None
        link = Link(
            pid=self._process.pid,
            tid=node.tid or self._process.pid,
            thread="" if of_task else self._names.get(self._key(node.tid), ""),
            at=spot_of(self._spot(node), self._sources),
            wait=Wait(WaitKind.UNKNOWN) if did is None else did.wait,
            since_s=None if did is None or of_task else did.start_ns / NS,
            how=None if holder is None else holder.how,
            taken=None if holder is None else self._taken(holder),
            waits_for=None if need is None else need.kind,
            task=task_stacks.name_of(did.stack if did else ()) if of_task else None,
        )
        edge = None if node.task is None else self._tasks.get(node.task)
        if edge is not None and need is None:
            return replace(link, unsent=edge.unsent)
        if need is not None and need.kind == "connections":
            return replace(link, count=self._waiting(need.subject))
        return link

    def _taken(self, holder: Holder) -> Spot | None:
        return spot_of(holder.at, self._sources)

    def _waiting(self, pool: int) -> int:
        every = (need for needs in self._needs.values() for need in needs)
        return sum(need.kind == "connections" and need.subject == pool for need in every)

    def _did(self, node: _Node) -> Activity | None:
        if node.task is not None:
            task = self._tasks.get(node.task)
            if task is None:
                return None
            wait = task_stacks.wait_of(task.stack)
            return Activity(self._at_ns, self._at_ns, task.stack, wait)
        mine = self._done.get(self._key(node.tid))
        if mine is None:
            return None
        n = int(np.searchsorted(mine.start_ns, self._at_ns, "right")) - 1
        return self._longest(mine, n) if n >= 0 and mine.end_ns[n] > self._at_ns else None

    def _longest(self, mine: Activities, n: int) -> Activity:
        """Of a thread that runs on what it does the longest while it is waited for: samples come
        late; else what it does.
        """
        best = before = mine[n]
        for k in range(n + 1, min(n + _MOST_SAMPLES, len(mine))):
            one = mine[k]
            runs = before.wait.kind is one.wait.kind is WaitKind.ON_CPU
            if not runs or one.start_ns > before.end_ns or one.start_ns >= self._until_ns:
                break
            best = max(best, one, key=lambda each: each.end_ns - each.start_ns)
            before = one
        return best

    def _key(self, tid: int) -> ThreadKey:
        return self._process._replace(tid=tid)


def _node(holder: Holder) -> _Node:
    return _Node(holder.tid, holder.task)


def _holders(edge: WaitEdge, event: WaitForEvent) -> tuple[Holder, ...]:
    """Who holds what a thread waits for; who has connections is told of their pool."""
    if edge.kind != "connections":
        return edge.holders
    pools = (pool.holders for pool in event.pools if pool.subject == edge.subject)
    return next(pools, edge.holders)


def _needs(event: WaitForEvent) -> _Needs:
    """What threads and tasks were seen to wait for in a look, with all who hold it."""
    found: dict[_Node, list[_Need]] = {}
    for edge in event.waiting:
        need = _Need(edge.kind, edge.subject, _holders(edge, event))
        found[_Node(edge.tid)] = [need]
    for task in event.tasks:
        mine = found[_Node(task.tid, task.task)] = []
        if task.kind is not None:
            mine.append(_Need(task.kind, 0, task.holders))
        if task.tid:
            mine.append(_Need("loop", 0, (Holder(task.tid, "loop"),)))
    return found


def _stuck(needs: _Needs, event: WaitForEvent) -> set[_Node]:
    """Those who need something that only such ones hold."""
    open_ = {  # others may have some of their connections
        pool.subject
        for pool in event.pools
        if pool.use is None
        or pool.use.lent is None
        or sum(holder.how != "reach" for holder in pool.holders) < pool.use.lent
    }
    closed: Counter[_Node] = Counter()
    waiters: dict[_Node, list[tuple[_Node, int]]] = {}
    for node, mine in needs.items():
        for n, need in enumerate(mine):
            if need.holders and not (need.kind == "connections" and need.subject in open_):
                closed[node] += 1
                for holder in {_node(one) for one in need.holders}:
                    waiters.setdefault(holder, []).append((node, n))
    stuck = set(closed)
    free = [node for node in waiters if node not in stuck]
    opened: set[tuple[_Node, int]] = set()
    while free:  # who needs nothing but what those hold who can go on, can go on itself
        for node, n in waiters.get(free.pop(), ()):
            if (node, n) not in opened:
                opened.add((node, n))
                closed[node] -= 1
                if not closed[node]:
                    stuck.remove(node)
                    free.append(node)
    return stuck


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


def spot_of(frame: Frame | None, sources: SourceLines) -> Spot | None:
    """The same; None where there is none."""
    return None if frame is None else spot(frame, sources)


def _at_ns(event: WaitForEvent) -> int:
    return event.at_ns
