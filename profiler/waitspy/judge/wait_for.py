"""Chains of waits: from a thread that waits for what another one holds, to the one that ends it.

A look of the ``wait_for`` oracle has the edges of one moment, all of threads and tasks of a process
that stood still. A chain that comes back to one of them is a ring: nothing but a timeout ends that.
Of what several hold (places of a semaphore, connections of a pool), all of them must be in the
ring. A task needs two things to go on: what it awaits, and the thread that runs its loop; so it is
in a ring as soon as one of both is.

Where a thread of another process holds it, the chain goes on with a look at that one. Of a ring
through several processes, each has to wait for what one only can give: no look has all of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from waitspy.judge import blame, task_stacks
from waitspy.judge.classify import polls_by_frames
from waitspy.judge.needs import FROM_OUTSIDE, HeldBy, Need, Party, stuck
from waitspy.judge.spans import Span
from waitspy.judge.spots import spot_of
from waitspy.model.activities import Activities, Activity
from waitspy.model.clock import NS
from waitspy.model.code_origin import Origin
from waitspy.model.judged import Link, Spot
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.stacks import Frame
from waitspy.model.threads import FOREVER_NS, NO_STATES, KernelStates
from waitspy.model.wait_for import Held, Holder, Lost, TaskEdge, WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind

LOST: frozenset[Held] = frozenset(get_args(Lost))
"""What nobody else can reach."""

FOR_NOBODY = LOST | {"abandoned-lock", "orphaned-lock", "lost-job"}
"""What nobody will give up, or do."""

_MOST_SAMPLES = 64
_FOR_WORK = ("accept", "select", "poll")
"""Calls that wait for work to arrive, by the last part of their names."""

_IDLE = frozenset({WaitKind.LOOP_POLL, WaitKind.POOL_IDLE, WaitKind.UNKNOWN})

_HALF = 0.5  # of a wait, in which a loop's thread has to do one thing to be what it waits for


@dataclass(frozen=True, slots=True)
class Chain:
    """The links from whoever waits to the root; of a ``ring``, each of its threads and tasks once.
    One that ends at what nobody will give up or do is a ring, too: nobody can go on.

    ``parties`` are those that the links tell of. ``did`` is what each of them was seen to do, None
    where that is not known; of a task, its awaits at the time of the look.
    """

    links: tuple[Link, ...]
    parties: tuple[Party, ...]
    did: tuple[Activity | None, ...]
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
        self._workers = {worker.thread(0): worker for worker in workers}
        self._done = done
        self.names = names
        self.sources = sources

    def of(self, thread: ThreadKey, start_ns: int, end_ns: int) -> Chain | None:
        """The chain of a thread in a span, by the last look that knew a holder; None without."""
        party = Party(thread)
        worker = self._workers.get(party.process)
        events = () if worker is None else worker.wait_for
        first = bisect_left(events, start_ns, key=_at_ns)
        for event in reversed(events[first : bisect_right(events, end_ns, key=_at_ns)]):
            mine = next((one for one in event.waiting if one.tid == thread.tid), None)
            if mine is not None and (mine.kind in FOR_NOBODY or _holders(mine, event)):
                return _Walk(self, party, event, (start_ns, end_ns)).chain(party)
        return None

    def party(self, process: ThreadKey, holder: Holder, at_ns: int) -> Party:
        """Who holds what a thread of that process waits for; it may be of another one."""
        own = process._replace(tid=holder.tid)
        if holder.pid is None or holder.pid == process.pid:
            return Party(own, holder.task)
        keys = [key._replace(tid=holder.tid) for key in self._workers if key.pid == holder.pid]
        seen = [key for key in keys if self.did(key, at_ns) is not None]
        unknown = ThreadKey(holder.pid, holder.tid)
        return Party((seen or keys or [unknown])[-1], holder.task)

    def from_worker(self, thread: ThreadKey, span: Span) -> Chain | None:
        """The chain from a thread on that does work for a task; None: it shows no own code."""
        did = self.did(thread, span[1] - 1)
        at = None if did is None else blame.blamed(did.stack)
        if did is None or at is None or at.origin is not Origin.USER:
            return None
        chain = self.of(thread, min(span[0], did.start_ns), span[1])
        if chain is not None:
            return None if chain.ring else chain
        who = thread.pid, thread.tid, self.names.get(thread, "")
        link = Link(*who, spot_of(at, self.sources), did.wait, did.start_ns / NS)
        return Chain((link,), (Party(thread),), (did,))

    def from_sender(self, process: ThreadKey, sender: Holder, span: Span) -> Chain | None:
        """The chain from a thread that has to send what a task of that process waits to read; None:
        it has nothing to do, or shows no own code.
        """
        at_ns = span[1] - 1
        thread = self.party(process, sender, at_ns).thread
        did = self.did(thread, at_ns)
        return self.from_worker(thread, span) if did is not None and is_at_work(did.wait) else None

    def did(self, thread: ThreadKey, at_ns: int, until_ns: int = 0) -> Activity | None:
        """What a thread did at a time; of one that runs on what it does the longest while it is
        waited for, until then: samples come late.
        """
        mine = self._done.get(thread)
        if mine is None:
            return None
        n = int(np.searchsorted(mine.start_ns, at_ns, "right")) - 1
        return _longest(mine, n, until_ns) if n >= 0 and mine.end_ns[n] > at_ns else None

    def states(self, thread: ThreadKey) -> KernelStates:
        """What the kernel told of a thread."""
        worker = self._workers.get(thread._replace(tid=0))
        return NO_STATES if worker is None else worker.states.get(thread.tid, NO_STATES)

    def seen_at(self, thread: ThreadKey, at_ns: int) -> WaitForEvent:
        """The look at its process that tells what a thread waited for at that time."""
        worker = self._workers.get(thread._replace(tid=0))
        still = None if worker is None else standstill(worker, thread.tid, at_ns, FOREVER_NS)
        if worker is not None and still is not None:
            looks = worker.wait_for
            first, end = (bisect_left(looks, when_ns, key=_at_ns) for when_ns in still)
            for event in reversed(looks[first:end]):
                if any(one.tid == thread.tid for one in event.waiting):
                    return event
        return WaitForEvent(at_ns, ())


class _Look:
    """What was seen of one process at one look: who needs what, and who can never go on."""

    def __init__(
        self, process: ThreadKey, event: WaitForEvent, party: Callable[[Holder], Party]
    ) -> None:
        self.process = process
        self.tasks: dict[Party, TaskEdge] = {}
        self.needs: dict[Party, list[Need]] = {}
        self._party = party
        for edge in event.waiting:
            need = Need(edge.kind, edge.subject, self._all(_holders(edge, event)))
            self.needs[Party(process._replace(tid=edge.tid))] = [need]
        for task in event.tasks:
            runs = process._replace(tid=task.tid)
            self.tasks[Party(runs, task.task)] = task
            mine = self.needs[Party(runs, task.task)] = []
            if task.kind is not None:
                mine.append(Need(task.kind, 0, self._all(task.holders)))
            if task.tid:
                mine.append(Need("loop", 0, (HeldBy(Party(runs), "loop", None),)))
        self.stuck = stuck(self.needs, event)

    def _all(self, holders: Iterable[Holder]) -> tuple[HeldBy, ...]:
        return tuple(HeldBy(self._party(one), one.how, one.at) for one in holders)

    def waiting(self, pool: int) -> int:
        """How many wait for a connection of that pool."""
        every = (need for needs in self.needs.values() for need in needs)
        return sum(need.kind == "connections" and need.subject == pool for need in every)


class _Walk:
    """The way along one chain, at the time of the look at which it begins; ``span`` is that for
    which its first one waits.
    """

    def __init__(self, chains: Chains, party: Party, event: WaitForEvent, span: Span) -> None:
        self._chains = chains
        self._span = span
        self._at_ns = event.at_ns
        self._look = self._look_at(party, event)
        self._order: list[Party] = []
        self._of_one: list[Party] = []
        """The last ones in that order, as far as each waits for what one only can give."""

    def _look_at(self, party: Party, event: WaitForEvent) -> _Look:
        process = party.process
        return _Look(process, event, lambda one: self._chains.party(process, one, self._at_ns))

    def chain(self, party: Party) -> Chain:
        """The one that begins there."""
        order = self._order
        links: list[Link] = []
        did: list[Activity | None] = []
        has: HeldBy | None = None
        while True:
            order.append(party)
            need, following = self._next(party)
            did.append(self._did(party))
            links.append(self._link(party, has, need))
            if need is not None and need.kind in FOR_NOBODY:
                return Chain(tuple(links), tuple(order), tuple(did), ring=True)
            if need is None or following is None:
                return Chain(tuple(links), tuple(order), tuple(did))
            self._of_one = [*self._of_one, party] if need.of_one else []
            has, party = following, following.party
            if party in order:
                break
            if party.process != self._look.process:
                event = self._chains.seen_at(party.thread, self._at_ns)
                self._look = self._look_at(party, event)
        first = order.index(party)
        ring = links[first:]
        ring[0] = replace(ring[0], how=has.how, taken=self._taken(has))
        return Chain(tuple(ring), tuple(order[first:]), tuple(did[first:]), ring=True)

    def _next(self, party: Party) -> tuple[Need | None, HeldBy | None]:
        """What one waits for, and the holder with whom the chain goes on; of one that can never go
        on, what keeps it from that.
        """
        needs: Sequence[Need] = self._look.needs.get(party, ())
        stuck = self._look.stuck
        if party in stuck:
            needs = sorted(
                (need for need in needs if all(one.party in stuck for one in need.holders)),
                key=lambda need: not any(one.party in self._order for one in need.holders),
            )
        for need in needs:
            if need.kind == "loop" and party not in stuck and not self._keeps(party.thread):
                continue
            following = self._holder(party, need)
            if following is not None or need.kind in FOR_NOBODY:
                return need, following
        return None, None

    def _keeps(self, thread: ThreadKey) -> bool:
        """Whether a loop's thread does one thing, outside of the loop's own poll, for so long that
        nothing of that loop could go on.
        """
        did, span = self._did(Party(thread)), self._span
        if did is None or did.wait.kind is WaitKind.UNKNOWN:
            return False
        polls = polls_by_frames(did.stack)
        if not blame.holds_up(did.stack, Wait(WaitKind.LOOP_POLL) if polls else did.wait):
            return False
        shared_ns = min(did.end_ns, span[1]) - max(did.start_ns, span[0])
        return shared_ns >= (span[1] - span[0]) * _HALF

    def _holder(self, party: Party, need: Need) -> HeldBy | None:
        """The holder with whom a chain goes on: one that is in it already closes the ring; else one
        of which a stack was seen. None: those in it are all that are known, but not all there are.
        """
        holders: Sequence[HeldBy] = need.holders
        stuck = self._look.stuck
        closes = (
            need.of_one and need.kind not in FROM_OUTSIDE
        )  # two who listen may hear from others
        if closes and holders[0].party in (*self._of_one, party):
            return holders[0]
        known = [one for one in holders if one.party in self._order] if party in stuck else []
        if party not in stuck:
            holders = [one for one in holders if one.party not in self._order]
            holders = [one for one in holders if one.party not in stuck] or holders
            holders = [one for one in holders if not self._leads_back(one)] or holders
        seen = [one for one in holders if self._did(one.party)]
        if need.kind in FROM_OUTSIDE:  # of one who has nothing to do, it tells nothing
            seen = [one for one in seen if (did := self._did(one.party)) and is_at_work(did.wait)]
            holders = seen
        return next(iter(known or self._alike(seen) or holders), None)

    def _leads_back(self, holder: HeldBy) -> bool:
        """Whether one waits for those alone who are in the chain."""
        return any(
            bool(need.holders) and all(one.party in self._order for one in need.holders)
            for need in self._look.needs.get(holder.party, ())
        )

    def _alike(self, holders: Sequence[HeldBy]) -> list[HeldBy]:
        """Those who are at the line at which the most of them are, known ones before others."""
        sure = [one for one in holders if one.how != "reach"] or holders
        at = Counter(self._spot(one.party) for one in sure)
        if not at:
            return []
        most = at.most_common(1)[0][0]
        return [one for one in sure if self._spot(one.party) == most]

    def _spot(self, party: Party) -> Frame | None:
        did = self._did(party)
        return None if did is None else blame.blamed(did.stack)

    def _link(self, party: Party, has: HeldBy | None, need: Need | None) -> Link:
        did, of_task = self._did(party), party.task is not None
        link = Link(
            pid=party.home.pid,
            tid=party.home.tid,
            thread="" if of_task else self._chains.names.get(party.thread, ""),
            at=spot_of(self._spot(party), self._chains.sources),
            wait=Wait(WaitKind.UNKNOWN) if did is None else did.wait,
            since_s=None if did is None or of_task else did.start_ns / NS,
            how=None if has is None else has.how,
            taken=None if has is None else self._taken(has),
            waits_for=None if need is None else need.kind,
            task=task_stacks.name_of(did.stack if did else ()) if of_task else None,
        )
        edge = self._look.tasks.get(party)
        if edge is not None and need is None:
            return replace(link, unsent=edge.unsent)
        if need is not None and need.kind == "connections":
            return replace(link, count=self._look.waiting(need.subject))
        return link

    def _taken(self, has: HeldBy) -> Spot | None:
        return spot_of(has.at, self._chains.sources)

    def _did(self, party: Party) -> Activity | None:
        if party.task is None:
            return self._chains.did(party.thread, self._at_ns, self._span[1])
        task = self._look.tasks.get(party)
        if task is None:
            return None
        wait = task_stacks.wait_of(task.stack)
        return Activity(self._at_ns, self._at_ns, task.stack, wait)


def _longest(mine: Activities, n: int, until_ns: int) -> Activity:
    """Of a thread that runs on, what it does the longest from there until then; else what it does
    there.
    """
    best = before = mine[n]
    for k in range(n + 1, min(n + _MOST_SAMPLES, len(mine))):
        one = mine[k]
        runs = before.wait.kind is one.wait.kind is WaitKind.ON_CPU
        if not runs or one.start_ns > before.end_ns or one.start_ns >= until_ns:
            break
        best = max(best, one, key=lambda each: each.end_ns - each.start_ns)
        before = one
    return best


def _holders(edge: WaitEdge, event: WaitForEvent) -> tuple[Holder, ...]:
    """Who holds what a thread waits for; who has connections is told of their pool."""
    if edge.kind != "connections":
        return edge.holders
    pools = (pool.holders for pool in event.pools if pool.subject == edge.subject)
    return next(pools, edge.holders)


def waits_for_work(wait: Wait) -> bool:
    """Whether one waits for something to do: a connection, or a message by any of several."""
    call = (wait.call or "").rpartition(".")[2]
    return call in _FOR_WORK or (wait.syscall or "").startswith("accept")


def is_at_work(wait: Wait) -> bool:
    """Whether one that waits so is known to be in the middle of something."""
    return wait.kind not in _IDLE and not waits_for_work(wait)


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


def _at_ns(event: WaitForEvent) -> int:
    return event.at_ns
