"""Episodes of connection pools: threads that wait for a connection while all are lent.

What is lent, and to whom, is told by looks at threads that stood still. A pool is a limit on
purpose: who waits for it in a batch of its own is served in time. So those count only whose threads
serve requests, or while clients are owed an answer. Where the threads of a pool wait for
connections, that they are all blocked follows from it: both are told as one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from waitspy.judge import blame, pool_threads, requests
from waitspy.judge.episode import Starvation
from waitspy.judge.held_locks import thread_item
from waitspy.judge.loop_service import longest_gap_ns
from waitspy.judge.spans import Span, common, grouped, union
from waitspy.judge.spots import spot_of
from waitspy.judge.task_stacks import wait_of
from waitspy.judge.thread_time import cut, trim
from waitspy.judge.wait_for import Chains, standstill
from waitspy.model.activities import NO_ACTIVITIES, Activities, Activity
from waitspy.model.clock import NS
from waitspy.model.code_origin import Origin
from waitspy.model.judged import Lending, LentTo
from waitspy.model.kinds import (
    ACCEPT_BACKLOG,
    BLOCKED_LOOP,
    DEADLOCK,
    EXHAUSTED_CONNECTIONS,
    EXHAUSTED_POOL,
    OVERLOADED_POOL,
    Verdict,
)
from waitspy.model.oracle_names import REQUESTS, THREADS, WAIT_FOR
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import How, LentPool, LentToTasks
from waitspy.model.waits import Wait, WaitKind

_HALF = 0.5
_OWED_NS = NS // 2
_FOLLOW = frozenset({EXHAUSTED_POOL, OVERLOADED_POOL, ACCEPT_BACKLOG, DEADLOCK})
"""What may follow from that threads wait for connections."""


@dataclass(frozen=True, slots=True)
class _Standstill:
    """A thread that stood still in a wait for a connection."""

    tid: int
    span: Span

    @property
    def start_ns(self) -> int:
        """Since when it stood there."""
        return self.span[0]

    @property
    def end_ns(self) -> int:
        """Until when."""
        return self.span[1]


class Judge:
    """Finds the episodes of the connection pools of one worker, given what its threads did."""

    def __init__(
        self,
        worker: WorkerRecord,
        done: Mapping[ThreadKey, Activities],
        chains: Chains,
        sources: SourceLines,
        min_stall_ns: int,
    ) -> None:
        self._min_stall_ns = min_stall_ns
        self._worker = worker
        self._done = done
        self._chains = chains
        self._sources = sources
        self._looks: dict[int, list[tuple[int, LentPool]]] = {}
        for event in worker.wait_for:
            for pool in event.pools:
                self._looks.setdefault(pool.subject, []).append((event.at_ns, pool))

    def explain(self, told: Sequence[Starvation], end_ns: int) -> list[Starvation]:
        """The episodes that were ``told`` and those of connection pools, without those of the first
        that follow from one of the second, and the other way round.
        """
        worker = self._worker
        stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
        left = list(told)
        found: list[Starvation] = []
        for pool, wait in self._waiters(stop_ns).items():
            left = [self._with_lending(one, pool, wait) for one in left]
            left, following = self._following(left, wait)
            waiters = self._untold(wait, left)
            spans = union(waiter.span for waiter in waiters)
            with_it: set[int] = set()
            for span, some, behind in zip(
                spans, grouped(waiters, spans), grouped(following, spans), strict=True
            ):
                one = self._episode(pool, some, span)
                if one is not None:
                    new = [f for f in behind if id(f) not in with_it]
                    items = (*one.items, *(item for f in new for item in f.items))
                    found.append(replace(one, items=items))
                    with_it.update(map(id, new))
            left += [f for f in following if id(f) not in with_it]
        return [*left, *found]

    # --- who waits ------------------------------------------------------------------------

    def _waiters(self, stop_ns: int) -> dict[int, list[_Standstill]]:
        """Every long standstill in which a thread was seen to wait for a connection, by pool."""
        found: dict[int, set[_Standstill]] = {}
        for event in self._worker.wait_for:
            for one in event.waiting:
                if one.kind != "connections":
                    continue
                span = standstill(self._worker, one.tid, event.at_ns, stop_ns)
                if span is not None and span[1] - span[0] >= self._min_stall_ns:
                    found.setdefault(one.subject, set()).add(_Standstill(one.tid, span))
        return {
            pool: sorted(waiters, key=lambda w: (w.span, w.tid)) for pool, waiters in found.items()
        }

    def _following(
        self, told: Sequence[Starvation], waiters: Sequence[_Standstill]
    ) -> tuple[list[Starvation], list[Starvation]]:
        """Those told apart whose threads waited for a connection for most of the time."""
        spans = self._spans(waiters)
        rest: list[Starvation] = []
        following: list[Starvation] = []
        for one in told:
            follows = one.kind in _FOLLOW and self._waited(one, spans)
            (following if follows else rest).append(one)
        return rest, following

    def _waited(self, one: Starvation, spans: Mapping[int, list[Span]]) -> bool:
        """Whether its threads waited for a connection for most of the time."""
        whole_ns = (one.end_ns - one.start_ns) * len(one.held_by)
        waited_ns = sum(
            until_ns - from_ns
            for key in one.held_by
            if self._is_mine(key)
            for from_ns, until_ns in common(spans.get(key.tid, []), [(one.start_ns, one.end_ns)])
        )
        return waited_ns > 0 and waited_ns >= whole_ns * _HALF

    def _with_lending(
        self, one: Starvation, pool: int, waiters: Sequence[_Standstill]
    ) -> Starvation:
        """A loop that is held up by a wait for a connection, with who has them: tasks of its own
        cannot give one back meanwhile.
        """
        if one.kind is not BLOCKED_LOOP or not self._waited(one, self._spans(waiters)):
            return one
        full = self._full_looks(pool, (one.start_ns, one.end_ns))
        if not full:
            return one
        lending = self._told(full, waiters)
        return replace(one, lending=lending, detail=_detail(lending)) if lending.to else one

    def _untold(
        self, waiters: Sequence[_Standstill], told: Iterable[Starvation]
    ) -> list[_Standstill]:
        """Those who wait while nothing is told of their threads: else its chain tells it."""
        taken: dict[int, list[Span]] = {}
        for one in told:
            for key in one.held_by:
                if self._is_mine(key):
                    taken.setdefault(key.tid, []).append((one.start_ns, one.end_ns))
        return [w for w in waiters if not common(union(taken.get(w.tid, ())), [w.span])]

    def _is_mine(self, key: ThreadKey) -> bool:
        return key._replace(tid=0) == self._worker.thread(0)

    @staticmethod
    def _spans(waiters: Sequence[_Standstill]) -> dict[int, list[Span]]:
        found: dict[int, list[Span]] = {}
        for waiter in waiters:
            found.setdefault(waiter.tid, []).append(waiter.span)
        return {tid: union(spans) for tid, spans in found.items()}

    # --- one episode ----------------------------------------------------------------------

    def _episode(self, pool: int, waiters: Sequence[_Standstill], span: Span) -> Starvation | None:
        full = self._full_looks(pool, span)
        owed = requests.is_owed(self._worker, span, _OWED_NS)
        if not full or not (owed or self._are_served(waiters)):
            return None
        longest = max(waiters, key=lambda w: w.span[1] - w.span[0])
        chain = self._chains.of(self._worker.thread(longest.tid), *longest.span)
        ring = chain is not None and chain.ring
        kind = DEADLOCK if ring else EXHAUSTED_CONNECTIONS
        verdict: Verdict = "late" if self._goes_round(waiters, span) and not ring else "starving"
        lending = self._told(full, waiters)
        held_by = self._held_by(full, span)
        if not held_by:
            held_by = {self._worker.thread(w.tid): self._did(w.tid, w.span) for w in waiters}
        return Starvation(
            kind=kind,
            verdict=verdict,
            pid=self._worker.worker.pid,
            tid=longest.tid,
            process=self._worker.process,
            place="connections",
            start_ns=span[0],
            end_ns=span[1],
            held_by=held_by,
            base=None,
            evidence=(WAIT_FOR, THREADS, REQUESTS) if owed else (WAIT_FOR, THREADS),
            items=tuple(thread_item(self._did(w.tid, w.span), w.span) for w in waiters),
            detail=_detail(lending),
            lending=lending,
        )

    def _full_looks(self, pool: int, span: Span) -> list[tuple[int, LentPool]]:
        """The looks of a span at which all connections were lent; none if they were at few."""
        looks = self._looks.get(pool, [])
        looks = looks[
            bisect_left(looks, span[0], key=_at_ns) : bisect_right(looks, span[1], key=_at_ns)
        ]
        full = [look for look in looks if _is_full(look[1])]
        return full if len(full) >= len(looks) * _HALF else []

    def _told(
        self, looks: Sequence[tuple[int, LentPool]], waiters: Sequence[_Standstill]
    ) -> Lending:
        """The look of which the most is known, and at which the most waited."""
        at_ns, pool = max(
            looks, key=lambda look: (-look[1].unknown, self._waiting(waiters, look[0]))
        )
        return self._lending(at_ns, pool, self._waiting(waiters, at_ns))

    def _goes_round(self, waiters: Sequence[_Standstill], span: Span) -> bool:
        """Whether one after the other got a connection: until the first one did, nobody may have
        been there who had waited for long.
        """
        served = sorted(waiter.span[1] for waiter in waiters)
        return (
            longest_gap_ns(served, *span) < (span[1] - span[0]) * _HALF
            and longest_gap_ns(served, served[0], span[1]) < self._min_stall_ns
        )

    def _are_served(self, waiters: Sequence[_Standstill]) -> bool:
        """Whether a server has given them their work."""
        did = (activity for waiter in waiters for activity in self._did(waiter.tid, waiter.span))
        return any(pool_threads.is_begun_by_server(activity.stack) for activity in did)

    @staticmethod
    def _waiting(waiters: Sequence[_Standstill], at_ns: int) -> int:
        return sum(w.span[0] <= at_ns < w.span[1] for w in waiters)

    # --- who has them ---------------------------------------------------------------------

    def _held_by(
        self, looks: Sequence[tuple[int, LentPool]], span: Span
    ) -> dict[ThreadKey, tuple[Activity, ...]]:
        """What those who had connections did when they were seen to have them."""
        found: dict[int, dict[int, Activity]] = {}
        for at_ns, pool in looks:
            for holder in pool.holders:
                for activity in trim(self._at(holder.tid, at_ns), *span):
                    found.setdefault(holder.tid, {})[activity.start_ns] = activity
        return {
            self._worker.thread(tid): tuple(mine[at_ns] for at_ns in sorted(mine))
            for tid, mine in sorted(found.items())
        }

    def _lending(self, at_ns: int, pool: LentPool, waiting: int) -> Lending:
        groups: Counter[tuple[Frame | None, bool]] = Counter()
        waits: dict[tuple[Frame | None, bool], Wait] = {}
        hows: dict[tuple[Frame | None, bool], How] = {}
        for holder in pool.holders:
            did = self._at(holder.tid, at_ns)
            frame = blame.blamed(did[0].stack) if did else None
            key = frame, holder.how == "reach"
            groups[key] += 1
            waits.setdefault(key, did[0].wait if did else Wait(WaitKind.UNKNOWN))
            hows.setdefault(key, holder.how)
        assert pool.use is not None
        to = [
            LentTo(
                "thread",
                spot_of(key[0], self._sources),
                count,
                hows[key],
                waits[key],
            )
            for key, count in groups.most_common()
        ]
        to += map(self._to_tasks, pool.tasks)
        to.sort(key=lambda one: -one.count)
        return Lending(pool.use.name, pool.use.limit, pool.use.lent, waiting, tuple(to))

    def _to_tasks(self, lent: LentToTasks) -> LentTo:
        """Tasks by their own line; where only a framework's are seen, by where it was taken."""
        frame = blame.blamed(lent.stack)
        if frame is None or frame.origin is not Origin.USER:
            frame = lent.at or frame
        at = spot_of(frame, self._sources)
        return LentTo("task", at, lent.count, lent.how, wait_of(lent.stack))

    def _at(self, tid: int, at_ns: int) -> Sequence[Activity]:
        """What a thread did at that time, in a list; empty: that is not known."""
        mine = self._done.get(self._worker.thread(tid), NO_ACTIVITIES)
        return [*mine[mine.overlapping(at_ns, at_ns + 1)]][:1]

    def _did(self, tid: int, span: Span) -> tuple[Activity, ...]:
        return cut(self._done.get(self._worker.thread(tid), NO_ACTIVITIES), *span)


def _is_full(pool: LentPool) -> bool:
    """Whether all connections of a pool are lent for sure."""
    use = pool.use
    return use is not None and None not in {use.limit, use.lent} and use.exhausted


def _detail(lending: Lending) -> str:
    to_whom = "" if lending.to else ", to whom is not known"
    return f"{lending.pool}: {lending.lent} of {lending.limit} connections are lent{to_whom}"


def _at_ns(look: tuple[int, LentPool]) -> int:
    return look[0]
