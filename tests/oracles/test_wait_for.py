"""When the wait_for oracle looks, at whom, and what it tells."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest

from tests.examples.build import process
from waitspy.kernel import procfs
from waitspy.model import syscalls
from waitspy.model.clock import NS
from waitspy.model.connection_pools import PoolUse
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import Held, Holder, LentPool, TaskEdge, WaitEdge
from waitspy.oracles import Watched
from waitspy.oracles.other_ends import OtherEnds, Readable
from waitspy.oracles.wait_for import WaitForOracle
from waitspy.recording.wait_for import WaitForRow
from waitspy.remote.memory import Torn, Unavailable
from waitspy.remote.pool_jobs import PoolJob, PoolTask, PoolWork
from waitspy.remote.process_locks import HeldBetween, SharedPlace, SharedWait
from waitspy.remote.reader import Reader
from waitspy.remote.wait_for import MOST_WAITING, WaitLook

(FUTEX,) = syscalls.futexes()
ONSET_NS = 50_000_000
MS = 1_000_000
POLL = 7


def edge(tid: int, *holders: int, kind: Held = "lock") -> WaitEdge:
    return WaitEdge(tid, kind, 0x10, tuple(Holder(one, "with") for one in holders), whole=True)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the last look."""
    monkeypatch.setattr("time.monotonic_ns", lambda: Looks.now_ns)


class Scripted:
    """A reader that says what it is told to, look by look, and then the last again."""

    def __init__(
        self,
        *said: list[WaitEdge] | Exception,
        pools: Sequence[tuple[LentPool, ...]] = ((),),
        jobs: Mapping[int, PoolJob] | None = None,
        shared: Mapping[int, SharedWait] | None = None,
        held: tuple[HeldBetween, ...] = (),
    ) -> None:
        self.said = list(said)
        self.shared, self.held = shared or {}, held
        self.jobs = jobs or {}
        self.pools = list(pools)
        self.asked: list[tuple[list[int], Mapping[int, int]]] = []
        self.tasks: tuple[TaskEdge, ...] = ()
        self.streams: Mapping[int, int] = {}

    def wait_for(
        self,
        tids: Iterable[int],
        futexes: Mapping[int, int],
        still_ns: Mapping[int, int],
        cpu_ns: int,
    ) -> WaitLook:
        assert cpu_ns > 0
        assert still_ns.keys() >= futexes.keys()
        self.asked.append((sorted(tids), futexes))
        said = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(said, Exception):
            raise said
        pools = self.pools.pop(0) if len(self.pools) > 1 else self.pools[0]
        return WaitLook(tuple(said), pools, self.tasks, self.streams, self.jobs, self.shared)

    def held_between(self) -> tuple[HeldBetween, ...]:
        return self.held

    def pool_work(self) -> PoolWork:
        return PoolWork(PoolTask(7, 0), "slow")

    @property
    def tids(self) -> list[list[int]]:
        return [tids for tids, _ in self.asked]


class Looks:
    """An oracle at one worker whose threads stand where they are told to."""

    now_ns = 0

    def __init__(self, reader: Scripted) -> None:
        self.watched = Watched(process(), "/proc/100")
        self.watched.reader = cast("Reader", reader)
        self.watched.stood = lambda _: True
        self.watched.routine_share = 1e9  # what looks cost is none of these tests' business
        self.oracle = WaitForOracle(ONSET_NS)
        assert self.oracle.attach(self.watched) == "ok"

    def stand(self, since_ms: float, *tids: int, number: int = FUTEX) -> None:
        for tid in tids:
            self.watched.blocked[tid] = number, 0x1000 + tid
            self.watched.blocked_since_ns[tid] = int(since_ms * MS)
            self.watched.moved.add(tid)

    def spend_savings(self) -> None:
        """What is saved up allows for no look more than the next one."""
        left = self.oracle._processes[self.watched.pid].for_routine
        left.spend(NS // 50, Looks.now_ns, self.watched.routine_share)

    def at(self, ms: float, *, ran: bool = True, onset: bool = False) -> list[WaitForRow]:
        Looks.now_ns = int(ms * MS)
        self.watched.begin_tick(ran=ran)
        self.watched.onset = onset
        return list(self.oracle.tick(self.watched, int(ms * MS)))


def test_who_has_stood_in_a_futex_for_a_while_is_looked_at() -> None:
    reader = Scripted([edge(12, 14)])
    looks = Looks(reader)
    looks.stand(0, 12, 13)
    looks.stand(0, 14, number=POLL)
    looks.stand(40, 15)
    assert looks.at(0) == []
    assert looks.at(49, ran=False) == []
    assert reader.asked == []
    (row,) = looks.at(50, ran=False)
    assert row.waiting == (edge(12, 14),)
    assert reader.asked == [([12, 13], {12: 0x100C, 13: 0x100D, 15: 0x100F})]
    assert looks.watched.holders == {12, 14}


def test_who_came_a_little_later_is_looked_at_with_the_others() -> None:
    reader = Scripted([edge(12, 14)])
    looks = Looks(reader)
    looks.stand(0, 12)
    looks.stand(15, 13)
    looks.stand(25, 14)
    looks.at(0)
    looks.at(50)
    assert reader.tids == [[12, 13]]


def test_where_threads_wait_for_what_others_hold_there_is_more_time_to_look() -> None:
    pauses = []
    for said in ([edge(12, 14)], [edge(12, kind="queue")]):
        looks = Looks(Scripted(said))
        looks.watched.routine_share = 0.01
        looks.stand(0, 12)
        looks.at(0)
        looks.spend_savings()
        looks.at(60)
        process = looks.oracle._processes[looks.watched.pid]
        process.for_routine.spend(0, Looks.now_ns)  # how much a look costs is not sure
        pauses.append(process.for_routine.spend(NS // 100, Looks.now_ns) - Looks.now_ns)
    assert pauses[0] * 3 < pauses[1]


@pytest.mark.parametrize(("job", "holders"), [(7, (Holder(200, "work-item", pid=200),)), (8, ())])
def test_the_process_that_has_what_a_thread_waits_for(
    job: int, holders: tuple[Holder, ...]
) -> None:
    reader = Scripted([edge(12, kind="future")], jobs={12: PoolJob(job, pids=(200,), size=1)})
    looks = Looks(reader)
    other = Watched(replace(process(), pid=200), "/proc/200", reader=cast("Reader", reader))
    assert looks.oracle.attach(other) == "ok"
    looks.stand(0, 12)
    looks.at(0)
    (row,) = looks.at(60)
    assert row.waiting == (WaitEdge(12, "future", 0x10, holders, whole=True),)
    assert other.holders == {one.tid for one in holders}
    assert looks.watched.holders == ({12} if holders else set())
    looks.at(260)
    assert len(reader.asked) == 2, "who has it may be another one later"


@pytest.mark.parametrize(
    ("offset", "pids", "alone", "kind"),
    [
        (0, [None, 200], True, "lock"),
        (0, [None, 200], False, "semaphore"),
        (32, [], False, "lock"),
    ],
)
def test_the_processes_that_have_a_lock_which_they_share(
    offset: int, pids: list[int | None], alone: bool, kind: Held
) -> None:
    line = Frame("refresh", "/app/cache.py", 40)
    place, mine = (
        SharedPlace("sem.a", 9, 0),
        HeldBetween(14, SharedPlace("sem.a", 9, offset), line, alone),
    )
    reader = Scripted([edge(12)], shared={12: SharedWait(place, 1)}, held=(mine,))
    looks = Looks(reader)
    theirs = Scripted([], held=(mine._replace(tid=201),))
    other = Watched(replace(process(), pid=200), "/proc/200", reader=cast("Reader", theirs))
    assert looks.oracle.attach(other) == "ok"
    looks.stand(0, 12)
    looks.at(0)
    (row,) = looks.at(60)
    (told,) = row.waiting
    assert told.kind == kind
    assert [(one.pid, one.at) for one in told.holders] == [(pid, line) for pid in pids]
    assert other.holders == ({201} if pids else set())


def test_who_waits_for_nothing_that_is_held_is_looked_at_once() -> None:
    reader = Scripted([edge(12, kind="queue")])
    looks = Looks(reader)
    looks.stand(0, 12, 13)
    looks.at(0)
    (row,) = looks.at(60)
    assert row.waiting == (edge(12, kind="queue"),)
    for ms in range(100, 60_000, 100):
        assert looks.at(ms) == []
    assert reader.tids == [[12, 13]]


def test_one_that_has_moved_is_looked_at_again() -> None:
    reader = Scripted([edge(12, kind="queue")])
    looks = Looks(reader)
    looks.stand(0, 12)
    looks.at(0)
    looks.at(60)
    looks.stand(100, 12)
    looks.at(100)
    assert looks.at(149) == []
    assert len(looks.at(150)) == 1
    assert reader.tids == [[12], [12]]


@pytest.mark.parametrize("kind", ["lock", "semaphore", "connections"])
def test_who_waits_for_a_lock_is_looked_at_more_and_more_rarely(kind: Held) -> None:
    reader = Scripted([edge(12, kind=kind)])
    looks = Looks(reader)
    looks.stand(0, 12)
    told, when = [], []
    for ms in range(0, 5_000, 10):
        many = len(reader.asked)
        told += looks.at(ms)
        if len(reader.asked) > many:
            when.append(ms)
    assert when[:5] == [50, 250, 650, 1450, 2450]
    assert len(told) == 1, "nothing new was said"


def test_another_holder_is_told() -> None:
    looks = Looks(Scripted([edge(12, 14)], [edge(12, 15), edge(15, 16)]))
    looks.stand(0, 12)
    told = []
    for ms in range(0, 300, 10):
        told += looks.at(ms)
    assert [row.waiting for row in told] == [(edge(12, 14),), (edge(12, 15), edge(15, 16))]


def test_what_a_thread_said_that_has_run_meanwhile_is_not_believed() -> None:
    looks = Looks(Scripted([edge(12, 14), edge(13, 14)]))
    looks.watched.stood = lambda tid: tid == 13
    looks.stand(0, 12, 13)
    looks.at(0)
    (row,) = looks.at(60)
    assert row.waiting == (edge(13, 14),)


@pytest.mark.parametrize(
    "fault", [Torn("it changes"), OSError(errno.ESRCH, os.strerror(3)), Unavailable("x")]
)
def test_a_look_that_fails_is_made_again_later(fault: Exception) -> None:
    reader = Scripted(fault, [edge(12, 14)])
    looks = Looks(reader)
    looks.stand(0, 12)
    told = []
    for ms in range(0, 300, 10):
        told += looks.at(ms)
    assert len(told) == 1
    assert len(reader.asked) == 2


def test_who_is_woken_but_has_not_run_is_left_out() -> None:
    reader = Scripted([])
    looks = Looks(reader)
    looks.stand(0, 12, 13)
    looks.at(0)
    del looks.watched.blocked[12]
    assert looks.at(60) == []
    assert [sorted(futexes) for _, futexes in reader.asked] == [[13]]


def test_those_that_a_wait_is_about_come_first_and_at_once() -> None:
    reader = Scripted([edge(12, 14)])
    looks = Looks(reader)
    looks.watched.routine_share = 1e-9
    looks.stand(0, 12)
    looks.at(0)
    looks.spend_savings()
    looks.at(60)
    looks.stand(100, 12, 13)
    looks.at(100)
    assert looks.at(200) == [], "nothing is left for routine"
    looks.watched.suspects = {13}
    assert looks.at(210, onset=True) == [], "its stack comes first"
    looks.watched.suspects = set()
    looks.at(220)
    assert reader.tids == [[12], [13]]


def test_who_is_asked_only_when_he_does_not_rest_misses_nothing() -> None:
    """Threads that stand come due while nothing runs."""

    def told(*, rests: bool) -> tuple[list[WaitForRow], list[list[int]]]:
        reader = Scripted([edge(12, 14)], [edge(12, 14), edge(13, 14)], [edge(13, 15)])
        looks = Looks(reader)
        rows: list[WaitForRow] = []
        for ms in range(0, 8_000, 10):
            if moved := {0: (12,), 300: (13,), 305: (14,), 3_000: (12, 13)}.get(ms):
                looks.stand(ms, *moved)
            looks.watched.suspects = {13} if ms == 2_000 else set()
            stirs = bool(moved) or ms == 2_000
            if stirs or not rests or ms * MS >= looks.watched.rests_until_ns:
                looks.watched.rests_until_ns = 0
                rows += looks.at(ms, ran=bool(moved), onset=ms == 2_000)
        return rows, reader.tids

    every, resting = told(rests=False), told(rests=True)
    assert resting == every
    assert len(every[0]) >= 3


def test_who_is_not_asked_while_he_idles_misses_nothing() -> None:
    """Threads come to stand while others run on and on, and until nothing runs any more."""

    def told(*, idles: bool) -> tuple[list[WaitForRow], list[list[int]]]:
        looks = Looks(Scripted([edge(12, 14)], [edge(7, kind="event")], [edge(13, 15)]))
        reader = cast("Scripted", looks.watched.reader)
        rows: list[WaitForRow] = []
        asked = 0
        for ms in range(0, 9_000, 10):
            if moved := {0: (12,), 300: (7,), 1_980: (14,), 2_050: (13,)}.get(ms):
                looks.stand(ms, *moved)
            ran = ms < 2_100 or 2_500 < ms < 4_000
            until_ns = looks.watched.idles_until_ns if ran else looks.watched.rests_until_ns
            if ran and ms * MS < until_ns:
                looks.watched.rests_until_ns = min(looks.watched.rests_until_ns, until_ns)
            if not idles or ms * MS >= until_ns:
                looks.watched.rests_until_ns = looks.watched.idles_until_ns = 0
                rows += looks.at(ms, ran=ran)
                asked += 1
        assert asked < 200 or not idles
        return rows, reader.tids

    every, idling = told(idles=False), told(idles=True)
    assert idling == every
    assert len(every[1]) >= 6


def test_whether_its_process_has_run_since_an_event_was_asked_about_is_not_missed() -> None:
    looks = Looks(Scripted([edge(7, kind="event")]))
    looks.stand(0, 7)
    list(looks.at(100))
    assert not looks.watched.idles_until_ns, "it has just looked: that it runs on is news"


def test_an_unreadable_process_says_why() -> None:
    watched = Watched(process(), "/proc/100")
    watched.reader = "no Python interpreter is mapped"
    assert WaitForOracle(ONSET_NS).attach(watched) == "no Python interpreter is mapped"
    assert list(WaitForOracle(ONSET_NS).tick(watched, NS)) == []


# --- pools of connections ----------------------------------------------------------------------------


def lent(*holders: int, whole: bool = True) -> LentPool:
    found = tuple(Holder(tid, "with") for tid in holders)
    return LentPool(0x10, PoolUse("QueuePool", 2, 2), found, whole)


def test_who_has_connections_is_told_when_that_is_new() -> None:
    edges = [edge(12, kind="connections")]
    looks = Looks(Scripted(edges, pools=[(lent(14),), (lent(14),), (lent(14, 15),)]))
    looks.stand(0, 12)
    told = [row for ms in range(0, 2_000, 10) for row in looks.at(ms)]
    assert [row.pools for row in told] == [(lent(14),), (lent(14, 15),)]
    assert looks.watched.holders == {12, 14, 15}, "their stacks are wanted"


def test_a_look_that_was_too_short_goes_on_at_once() -> None:
    reader = Scripted([edge(12, kind="connections")], pools=[(lent(whole=False),), (lent(14),)])
    looks = Looks(reader)
    looks.stand(0, 12)
    when = []
    for ms in range(0, 200, 10):
        many = len(reader.asked)
        looks.at(ms)
        if len(reader.asked) > many:
            when.append(ms)
    assert when[:2] == [50, 60]
    assert len(when) == 2


@pytest.mark.parametrize(
    ("alive", "value", "told"), [(True, 2, True), (False, 2, False), (True, None, False)]
)
def test_a_mutex_is_one_whose_owner_is_there_and_that_is_waited_for_as_one(
    alive: bool, value: int | None, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "futex_value", lambda pid, tid: value)
    owner = 8 if alive else 99
    mutex = WaitEdge(7, "lock", 0x10, (Holder(owner, "mutex"),), whole=True)
    looks = Looks(Scripted([mutex]))
    looks.stand(0, 7, 8)
    looks.watched.tids = {7, 8}
    rows = [row for at in (1, 200) for row in looks.at(at)]
    assert [row.waiting for row in rows] == ([(mutex,)] if told else [])


@pytest.mark.parametrize(("timeout", "kind"), [(False, "lost-signal"), (True, "event")])
def test_what_is_lost_is_so_without_a_timeout_only(
    timeout: bool, kind: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "futex_timeout", lambda pid, tid: timeout)
    looks = Looks(Scripted([edge(7, kind="lost-signal")]))
    looks.stand(0, 7)
    (row,) = [row for at in (1, 200) for row in looks.at(at)]
    assert [one.kind for one in row.waiting] == [kind]
    assert (7 in looks.watched.holders) == (not timeout), "its stack is read"


def test_an_event_that_somebody_knows_is_asked_about_more_and_more_rarely() -> None:
    reader = Scripted([edge(7, kind="event")])
    looks = Looks(reader)
    looks.stand(0, 7)
    for at in range(0, 10_000, 10):
        list(looks.at(at))
    assert len(reader.asked) == 4


def test_an_event_is_not_asked_about_again_before_its_process_has_run() -> None:
    reader = Scripted([edge(7, kind="event")])
    looks = Looks(reader)
    looks.stand(0, 7)
    for at in range(0, 20_000, 10):
        list(looks.at(at, ran=at == 0))
    assert len(reader.asked) == 1
    list(looks.at(20_000, ran=True))
    for at in range(20_010, 60_000, 10):
        list(looks.at(at, ran=False))
    assert len(reader.asked) == 2
    looks.stand(60_000, 8)  # who comes is asked all the same
    for at in range(60_000, 61_000, 10):
        list(looks.at(at, ran=at == 60_000))
    assert [8] in reader.tids


def test_who_was_not_asked_as_there_were_too_many_is_asked_again() -> None:
    some = [edge(tid, kind="event") for tid in range(10, 10 + MOST_WAITING)]
    reader = Scripted(some, [edge(7, 8)])
    looks = Looks(reader)
    looks.stand(0, 7, *range(10, 10 + MOST_WAITING))
    rows = [row for at in range(0, 400, 10) for row in looks.at(at)]
    assert edge(7, 8) in rows[-1].waiting
    few = Looks(Scripted(some[1:], [edge(7, 8)]))
    few.stand(0, 7, *range(10, 10 + MOST_WAITING))
    assert len([row for at in range(0, 400, 10) for row in few.at(at)]) == 1, "it waits for nothing"


# --- messages --------------------------------------------------------------------------------------

(READ,) = (number for number, name in syscalls.TABLES["x86_64"].items() if name == "recvfrom")


class Ends:
    """Says who has to send what; who asks, and for which threads, is noted."""

    calls = frozenset({READ})

    def __init__(self, *senders: int) -> None:
        self.senders = senders
        self.asked: list[list[int]] = []

    def of(
        self, process: Readable, peers: object, tids: Iterable[int], every: Mapping[int, object],
        now_ns: int,
    ) -> Iterator[WaitEdge]:  # fmt: skip
        assert every.keys() == {100, 200}
        assert process.watched.pid == 100
        self.asked.append(sorted(tids))
        for tid in tids:
            if tid in self.senders:
                yield message(tid)

    def of_fd(
        self, pid: int, fd: int, peers: object, every: Mapping[int, object], now_ns: int
    ) -> tuple[Holder, ...]:
        return (Holder(201, "peer", pid=200),) if fd in self.senders else ()

    def forget(self, pid: int) -> None:
        """Nothing is kept."""


def message(tid: int) -> WaitEdge:
    return WaitEdge(tid, "message", 0x20, (Holder(201, "peer", pid=200),), whole=True)


def two_processes(reader: Scripted, ends: Ends) -> tuple[Looks, Watched]:
    looks = Looks(reader)
    looks.oracle._ends = cast("OtherEnds", ends)
    other = Watched(process(200), "/proc/200", reader=cast("Reader", Scripted([])))
    assert looks.oracle.attach(other) == "ok"
    return looks, other


def test_who_waits_to_read_is_asked_once_from_whom() -> None:
    ends, reader = Ends(7), Scripted([])
    looks, other = two_processes(reader, ends)
    looks.stand(0, 7, 8, number=READ)
    rows = [row for at in range(0, 5_000, 10) for row in looks.at(at)]
    assert [row.waiting for row in rows] == [(message(7),)]
    assert ends.asked == [[7, 8]]
    assert reader.asked == [], "they stand in no futex"
    assert other.holders == {201}, "its stack is read"
    looks.stand(5_000, 7, number=READ)
    (row,) = [row for at in range(5_000, 6_000, 10) for row in looks.at(at)]
    assert row.waiting == (message(7),), "it has run since: another message"
    assert ends.asked == [[7, 8], [7]]


def test_nobody_is_asked_where_no_other_process_is_watched() -> None:
    looks = Looks(Scripted([]))
    ends = Ends(7)
    looks.oracle._ends = cast("OtherEnds", ends)
    looks.stand(0, 7, number=READ)
    assert [row for at in range(0, 1_000, 10) for row in looks.at(at)] == []
    assert ends.asked == []


def test_who_holds_something_and_waits_to_read_is_told_with_those_who_wait_for_that() -> None:
    looks, _ = two_processes(Scripted([edge(7, 8)]), Ends(8))
    looks.stand(0, 7)
    looks.stand(100, 8, number=READ)  # it has not stood there for long
    rows = [row for at in range(0, 130, 10) for row in looks.at(at)]
    assert [row.waiting for row in rows] == [(edge(7, 8), message(8))]


def test_what_a_task_waits_to_read_is_told_with_it() -> None:
    reader = Scripted([edge(7, 8)])
    reader.tasks = (TaskEdge(0xA1, 8, ()), TaskEdge(0xA2, 8, ()), TaskEdge(0xA3, 8, ()))
    reader.streams = {0xA1: 5, 0xA2: 6}
    looks, other = two_processes(reader, Ends(5))
    looks.stand(0, 7)
    (row,) = [row for at in range(0, 130, 10) for row in looks.at(at)]
    reads, of_nobody, does_not = row.tasks
    assert (reads.kind, reads.holders) == ("message", (Holder(201, "peer", pid=200),))
    assert (of_nobody.kind, of_nobody.holders) == (does_not.kind, does_not.holders) == (None, ())
    assert 201 in other.holders


def test_who_comes_while_there_is_no_time_to_ask_is_asked_later() -> None:
    ends = Ends(7)
    looks, _ = two_processes(Scripted([edge(6, 7)]), ends)
    looks.oracle._processes[100].peers.next_ns = 3_000 * MS
    looks.stand(0, 7, number=READ)
    looks.stand(0, 6)
    rows = [row for at in range(0, 3_000, 10) for row in looks.at(at)]
    assert [row.waiting for row in rows] == [(edge(6, 7),)]
    assert ends.asked == []
    rows = [row for at in range(3_000, 6_000, 10) for row in looks.at(at)]
    assert message(7) in {one for row in rows for one in row.waiting}
    assert ends.asked == [[7]]
