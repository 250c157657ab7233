"""Episodes of connection pools that threads wait for: what is told, what is not, and of whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.examples.build import SOURCES, activities, activity, at, frame, ms, stack, states, worker
from waitspy.judge import connection_pools, findings
from waitspy.judge.episode import Item, Starvation
from waitspy.judge.wait_for import Chains
from waitspy.model.activities import Activities
from waitspy.model.connection_pools import PoolUse
from waitspy.model.judged import Finding, Lending, LentTo, Spot
from waitspy.model.kinds import (
    BLOCKED_LOOP,
    DEADLOCK,
    EXHAUSTED_CONNECTIONS,
    EXHAUSTED_POOL,
    Kind,
)
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent
from waitspy.model.stacks import Stack
from waitspy.model.wait_for import Holder, How, LentPool, LentToTasks, WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind

POOL, OTHER = 0x1000, 0x2000
END_MS = 3_000
WANTS = Wait(WaitKind.LOCK, "Condition.wait", "futex")
RECEIVES = Wait(WaitKind.SOCKET, "sock.recv", "recvfrom")
SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
LISTS = stack(
    "_bootstrap@lib/threading.py:9 > list_users@/app/users.py:30 > wait@lib/threading.py:3"
)
SERVED = (
    stack("_bootstrap@lib/threading.py:9 > process_request_thread@lib/socketserver.py:5")
    + LISTS[1:]
)
CHAT = stack("_bootstrap@lib/threading.py:9 > chat@/app/chat.py:88")
MAIL = stack("_bootstrap@lib/threading.py:9 > mail@/app/mail.py:12")
TAKEN = frame("chat@/app/chat.py:80")
FULL = PoolUse("QueuePool", 2, 2)


def has(tid: int, how: How = "with") -> Holder:
    return Holder(tid, how, TAKEN if how == "with" else None)


def lent(*holders: Holder, use: PoolUse | None = FULL, subject: int = POOL) -> LentPool:
    return LentPool(subject, use, holders, whole=True)


def look(
    when_ms: float, *pools: LentPool, tids: tuple[int, ...] = (11, 12), subject: int = POOL
) -> WaitForEvent:
    edges = tuple(WaitEdge(tid, "connections", subject, (), whole=True) for tid in tids)
    return WaitForEvent(at(when_ms), edges, pools)


class Case:
    """Threads 11 and 12 want a connection, from 200 and 500 ms on up to 2,000; 13 and 14 do other
    things all the time.
    """

    def __init__(
        self, *looks: WaitForEvent, wants: Stack = SERVED, owed_since_ms: float | None = None
    ) -> None:
        requests: tuple[RequestsEvent, ...] = ()
        if owed_since_ms is not None:
            requests = (RequestsEvent(at(300), 8000, 1, 1, at(owed_since_ms)),)
        self.record: WorkerRecord = replace(
            worker(),
            states={
                11: states((0, "run"), (200, "futex 0x10"), (2_000, "run")),
                12: states((0, "run"), (500, "futex 0x20"), (2_000, "run")),
                13: states((0, "recvfrom 5")),
                14: states((0, "clock_nanosleep 0")),
            },
            wait_for=looks,
            requests=requests,
        )
        did = {
            11: activities(activity(200, 2_000, wants, WANTS)),
            12: activities(activity(500, 2_000, wants, WANTS)),
            13: activities(activity(0, END_MS, CHAT, RECEIVES)),
            14: activities(
                activity(0, 1_000, MAIL, SLEEPS), activity(1_000, END_MS, CHAT, RECEIVES)
            ),
        }
        self.done: dict[ThreadKey, Activities] = {self.record.thread(t): d for t, d in did.items()}
        self.chains = Chains([self.record], self.done, {}, SOURCES)

    def explained(self, *told: Starvation, min_stall_ms: int = 100) -> list[Starvation]:
        judge = connection_pools.Judge(
            self.record, self.done, self.chains, SOURCES, min_stall_ms * 1_000_000
        )
        return judge.explain(told, at(END_MS))

    def finding(self) -> Finding:
        (one,) = findings.judge(self.explained(), SOURCES, 3.0, self.chains)
        return one

    def episode(self, kind: Kind, *tids: int, start_ms: float = 600, items: int = 1) -> Starvation:
        """One that was told of those threads already."""
        return Starvation(
            kind=kind, verdict=kind.verdict, pid=100, tid=tids[0], place="a pool",
            start_ns=at(start_ms), end_ns=at(1_900),
            held_by={
                self.record.thread(tid): tuple(self.done.get(self.record.thread(tid), ()))
                for tid in tids
            },
            base=None, evidence=("pools",),
            items=tuple(Item("work-item", f"n{n}", None, at(700), at(1_900)) for n in range(items)),
        )  # fmt: skip


BOTH = lent(has(13), has(14))


# --- what is told ------------------------------------------------------------------------------------


def test_threads_that_want_a_connection_blame_who_has_them() -> None:
    one = Case(look(800, BOTH), look(1_500, BOTH)).finding()
    assert (one.kind, one.verdict) == (EXHAUSTED_CONNECTIONS, "starving")
    assert one.detail == "QueuePool: 2 of 2 connections are lent"
    assert [(b.function, b.line) for b in one.blames] == [("chat", 88), ("mail", 12)]
    (episode,) = one.episodes
    assert episode.length_s == pytest.approx(1.8)
    assert [(v.kind, v.name, v.where, v.count) for v in one.victims] == [
        ("thread", "list_users", "/app/users.py:30", 2)
    ]


def test_who_has_them_is_told_by_line() -> None:
    early = Case(look(800, BOTH)).finding().lending
    chat = Spot("chat", "/app/chat.py", 88, None)
    assert early == Lending(
        "QueuePool", 2, 2, 2,
        (
            LentTo("thread", chat, 1, "with", RECEIVES),
            LentTo("thread", Spot("mail", "/app/mail.py", 12, None), 1, "with", SLEEPS),
        ),
    )  # fmt: skip
    assert early.unknown == 0
    late = Case(look(1_500, BOTH)).finding().lending
    assert late is not None
    assert late.to == (LentTo("thread", chat, 2, "with", RECEIVES),)


def test_the_chain_goes_from_those_who_wait_to_the_most_of_those_who_have_them() -> None:
    wants, root = Case(look(1_500, lent(has(14), has(13)))).finding().chain
    assert (wants.waits_for, wants.count, wants.how) == ("connections", 2, None)
    assert (root.how, root.waits_for, root.at) == ("with", None, Spot("chat", "/app/chat.py", 88))
    assert root.taken is not None
    assert root.taken.line == 80


@pytest.mark.parametrize(
    ("use", "ring"),
    [
        (PoolUse("QueuePool", 1, 1), True),
        (PoolUse("QueuePool", 2, 2), False),
        (PoolUse("QueuePool", None, None), False),
        (None, False),
    ],
    ids=["all of them", "one of two", "of unknown many", "of an unknown pool"],
)
def test_a_ring_through_a_pool_needs_all_of_its_connections(
    use: PoolUse | None, ring: bool
) -> None:
    """Whoever has another one may give it back."""
    seen = look(1_500, lent(has(13), use=use), tids=(12,))
    lock = WaitEdge(13, "lock", OTHER, (Holder(12, "owner"),), whole=True)
    case = Case(WaitForEvent(seen.at_ns, (*seen.waiting, lock), seen.pools))
    found = case.chains.of(case.record.thread(12), at(500), at(2_000))
    assert found is not None
    assert found.ring == ring


def test_who_waits_for_another_pool_or_another_thing_is_not_counted() -> None:
    first, other = look(1_500, BOTH), look(1_500, tids=(20,), subject=OTHER)
    lock = WaitEdge(21, "lock", POOL, (Holder(14, "owner"),), whole=True)
    case = Case(WaitForEvent(first.at_ns, (*first.waiting, *other.waiting, lock), first.pools))
    found = case.chains.of(case.record.thread(12), at(500), at(2_000))
    assert found is not None
    assert found.links[0].count == 2


def test_a_chain_goes_on_to_what_the_holder_waits_for() -> None:
    seen = look(1_500, BOTH)
    lock = WaitEdge(13, "lock", OTHER, (Holder(14, "owner"),), whole=True)
    case = Case(WaitForEvent(seen.at_ns, (*seen.waiting, lock), seen.pools))
    found = case.chains.of(case.record.thread(12), at(500), at(2_000))
    assert found is not None
    assert [link.tid for link in found.links] == [12, 13, 14]


def test_what_only_seems_to_be_held_is_said_to() -> None:
    one = Case(look(800, lent(has(13), has(14, "reach")))).finding()
    assert {(b.function, b.hint) for b in one.blames} == {("chat", False), ("mail", True)}
    assert one.lending is not None
    assert [to.how for to in one.lending.to] == ["with", "reach"]
    assert [link.how for link in one.chain] == [None, "with"], "known ones before hints"


def test_connections_that_nobody_is_known_to_have_blame_who_wants_one() -> None:
    one = Case(look(800, lent())).finding()
    assert one.detail == "QueuePool: 2 of 2 connections are lent, to whom is not known"
    assert one.blame is not None
    assert (one.blame.function, one.blame.hint, one.chain) == ("list_users", False, ())
    assert one.lending is not None
    assert one.lending.unknown == 2


def test_a_pool_that_serves_all_along_makes_late() -> None:
    case = Case(look(800, BOTH))
    moves = {
        20 + n: states((0, "run"), (700 + n * 80, "futex 0x10"), (900 + n * 80, "run"))
        for n in range(12)
    }
    looks = [look(750 + n * 80, BOTH, tids=(20 + n,)) for n in range(12)]
    case.record = replace(
        case.record, states={**case.record.states, **moves}, wait_for=tuple(looks)
    )
    case.done |= {
        case.record.thread(tid): activities(activity(0, END_MS, SERVED, WANTS)) for tid in moves
    }
    (one,) = case.explained()
    assert (one.verdict, ms(one.start_ns)) == ("late", 700)
    (one,) = case.explained(min_stall_ms=79)
    assert one.verdict == "starving"


# --- what is not -------------------------------------------------------------------------------------


def test_short_waits_are_none() -> None:
    assert Case(look(800, BOTH)).explained(min_stall_ms=1_801) == []
    (one,) = Case(look(800, BOTH)).explained(min_stall_ms=1_501)
    assert len(one.items) == 1


@pytest.mark.parametrize(
    "use", [PoolUse("QueuePool", 2, 1), PoolUse("QueuePool", None, 2), PoolUse("P", 2, None), None]
)
def test_a_pool_that_is_not_full_for_sure_is_nothing(use: PoolUse | None) -> None:
    assert Case(look(800, lent(has(13), use=use))).explained() == []


def test_looks_that_found_it_full_must_be_the_most() -> None:
    some = lent(has(13), use=PoolUse("QueuePool", 2, 1))
    assert Case(look(700, some), look(800, BOTH), look(900, some)).explained() == []
    assert len(Case(look(700, BOTH), look(800, some), look(900, BOTH)).explained()) == 1


def test_a_batch_behind_its_own_limit_is_nothing_but_requests_are() -> None:
    assert Case(look(800, BOTH), wants=LISTS).explained() == []
    assert Case(look(800, BOTH), wants=LISTS, owed_since_ms=1_900).explained() == []
    assert len(Case(look(800, BOTH), wants=LISTS, owed_since_ms=400).explained()) == 1


@pytest.mark.parametrize(
    "begun",
    [
        "handle@site/gunicorn/workers/gthread.py:300",
        "run@site/anyio/_backends/_asyncio.py:967",
        "thread_handler@site/asgiref/sync.py:510",
        "wsgi_app@site/flask/app.py:1511",
    ],
)
def test_what_a_server_begins_are_requests(begun: str) -> None:
    served = LISTS[:1] + stack(begun) + LISTS[1:]
    assert len(Case(look(800, BOTH), wants=served).explained()) == 1


# --- one fault, told once ----------------------------------------------------------------------------


def test_a_pool_whose_threads_want_connections_is_told_with_these() -> None:
    case = Case(look(800, BOTH))
    (one,) = case.explained(case.episode(EXHAUSTED_POOL, 11, 12, items=3))
    assert one.kind is EXHAUSTED_CONNECTIONS
    assert sorted(item.kind for item in one.items) == ["thread"] * 2 + ["work-item"] * 3


def test_a_pool_of_which_few_threads_want_connections_has_the_chain() -> None:
    case = Case(look(800, BOTH))
    told = case.episode(EXHAUSTED_POOL, 11, 12, 13, 14, 15)
    # 11 and 12 wait for two fifths of it
    assert case.explained(told) == [told]
    (finding,) = findings.judge([told], SOURCES, 3.0, case.chains)
    assert [link.waits_for for link in finding.chain] == ["connections", None]


def test_a_loop_that_wants_a_connection_is_told_as_a_loop() -> None:
    case = Case(look(800, BOTH))
    told = case.episode(BLOCKED_LOOP, 12)
    found = case.explained(told)
    assert replace(found[0], lending=None, detail=None) == told
    assert [len(one.items) for one in found[1:]] == [1], "of the other one alone"


def test_a_loop_that_wants_a_connection_which_its_own_tasks_have_says_so() -> None:
    task = stack("serve@/app/web.py:5 > chat@/app/chat.py:88 > StreamReader.readline@lib/x.py:7")
    tasks = (LentToTasks(task, "with", TAKEN, 2),)
    case = Case(look(800, LentPool(POOL, FULL, (), whole=True, tasks=tasks), tids=(12,)))
    (one,) = case.explained(case.episode(BLOCKED_LOOP, 12))
    assert one.detail == "QueuePool: 2 of 2 connections are lent"
    assert one.lending is not None
    assert [(to.what, to.count, to.at and to.at.line) for to in one.lending.to] == [("task", 2, 88)]
    (finding,) = findings.judge([one], SOURCES, 3.0, case.chains)
    assert (finding.kind, finding.lending) == (BLOCKED_LOOP, one.lending)
    assert [blame.function for blame in finding.blames] == ["list_users"]


@pytest.mark.parametrize("use", [None, PoolUse("QueuePool", 2, 1)])
def test_a_loop_that_wants_a_connection_of_a_pool_with_some_left_waits_for_another_reason(
    use: PoolUse | None,
) -> None:
    case = Case(look(800, lent(has(13), use=use), tids=(12,)))
    told = case.episode(BLOCKED_LOOP, 12)
    assert case.explained(told) == [told]


def test_a_pool_that_is_told_although_connections_are_not() -> None:
    case = Case(look(800, lent(use=None)))
    told = case.episode(EXHAUSTED_POOL, 11, 12)
    assert case.explained(told) == [told]


# --- rings -------------------------------------------------------------------------------------------


def test_those_who_have_all_and_want_another_are_a_deadlock() -> None:
    (one,) = Case(look(800, lent(has(11), has(12)))).explained()
    assert (one.kind, one.verdict) == (DEADLOCK, "starving")


@pytest.mark.parametrize(
    "holders",
    [
        (has(11), has(13)),  # one will give its connection back
        (has(11),),  # it is not known who has the other one
        (has(11), has(12, "reach")),  # a hint proves nothing
    ],
)
def test_as_long_as_one_may_be_given_back_it_is_none(holders: tuple[Holder, ...]) -> None:
    (one,) = Case(look(800, lent(*holders))).explained()
    assert one.kind is EXHAUSTED_CONNECTIONS


# --- tasks that have connections ---------------------------------------------------------------------


def test_what_no_thread_has_tasks_may_have() -> None:
    waits = stack(
        "run_asgi@site/uvicorn/protocols/http/h11_impl.py:4 > wait@lib/asyncio/locks.py:9"
    )
    own = waits + stack("stream@/app/stream.py:7 > sleep@lib/asyncio/tasks.py:649")
    taken = frame("get_db@/app/deps.py:12")
    tasks = (LentToTasks(waits, "with", taken, 3), LentToTasks(own, "reach", None, 1))
    pool = replace_use(lent(has(13)), PoolUse("QueuePool", 6, 6), tasks)
    one = Case(look(800, pool)).finding()
    assert one.lending is not None
    assert one.lending.unknown == 1
    assert [(to.what, to.count, to.how, to.at and to.at.function) for to in one.lending.to] == [
        ("task", 3, "with", "get_db"),
        ("thread", 1, "with", "chat"),
        ("task", 1, "reach", "stream"),
    ]
    assert one.lending.to[2].wait.kind is WaitKind.SLEEP


def replace_use(pool: LentPool, use: PoolUse, tasks: tuple[LentToTasks, ...]) -> LentPool:
    return LentPool(pool.subject, use, pool.holders, pool.whole, tasks)


def test_the_look_that_knows_the_most_tells() -> None:
    case = Case(look(800, lent(has(13))), look(900, BOTH), look(1_500, lent()))
    (one,) = case.explained()
    assert one.lending is not None
    assert one.lending.unknown == 0
