"""Episodes of tasks that wait for what other tasks hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from msgspec import structs

from tests.examples.build import SOURCES, at, frame, info, ms, recording, stack, worker
from waitspy.judge import analysis, task_stacks, task_waits
from waitspy.judge.episode import Starvation
from waitspy.judge.wait_for import Chains
from waitspy.model.clock import NS
from waitspy.model.connection_pools import PoolUse
from waitspy.model.judged import Finding, Lending, LentTo, Link, Spot
from waitspy.model.kinds import EXHAUSTED_CONNECTIONS, HELD_LOCK
from waitspy.model.loops import LoopEvent, LoopEvents, LoopInfo
from waitspy.model.places import PlacesEvent
from waitspy.model.pools import PoolEvent
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent
from waitspy.model.stacks import Stack
from waitspy.model.task_waits import TaskHeld, TaskHolder, TaskWait, TaskWaitsEvent
from waitspy.model.waits import Wait, WaitKind

LOOP = 0xA0
END_MS = 10_000
SLEEPS = stack("refresh@/app/cache.py:41 > sleep@lib/asyncio/tasks.py:649")
READS = stack("refresh@/app/cache.py:42 > StreamReader.read@lib/asyncio/streams.py:713")
WANTS = stack("lookup@/app/cache.py:52 > Lock.acquire@lib/asyncio/locks.py:114")
SERVED = stack("run_asgi@site/uvicorn/protocols/http/h11_impl.py:403") + WANTS
TAKEN = frame("refresh@/app/cache.py:40")
CHAINS = Chains((), {}, {}, SOURCES)


def holder(since_ms: float | None = 100, stack_: Stack = SLEEPS, count: int = 1) -> TaskHolder:
    since_ns = None if since_ms is None else at(since_ms)
    return TaskHolder(stack_, TAKEN, count, since_ns, "Future")


def wait(
    *holders: TaskHolder,
    kind: TaskHeld = "lock",
    since_ms: float = 500,
    count: int = 3,
    waits: Stack = WANTS,
    use: PoolUse | None = None,
    subject: int = 0x10,
) -> TaskWait:
    return TaskWait(kind, subject, count, waits, at(since_ms), holders, use)


def record(
    *seen: tuple[float, Sequence[TaskWait]], owed_since_ms: float | None = None
) -> WorkerRecord:
    """Looks are a second apart."""
    requests: tuple[RequestsEvent, ...] = ()
    if owed_since_ms is not None:
        requests = (RequestsEvent(at(600), 8000, 1, 1, at(owed_since_ms)),)
    return replace(
        worker(end_ms=END_MS),
        oracles={"threads": "ok", "epoll": "ok", "places": "ok"},
        loops=LoopEvents.of(
            [LoopEvent(at(0), LOOP, facts=LoopInfo("asyncio", 5, 117, "running", closed=False))]
        ),
        places=tuple(PlacesEvent(at(t), LOOP) for t in range(500, END_MS, 1_000)),
        task_waits=tuple(TaskWaitsEvent(at(t), LOOP, tuple(waits)) for t, waits in seen),
        requests=requests,
    )


def found(
    *seen: tuple[float, Sequence[TaskWait]], owed_since_ms: float | None = None
) -> list[Starvation]:
    told = record(*seen, owed_since_ms=owed_since_ms)
    return list(task_waits.find(told, CHAINS, at(END_MS), 100_000_000))


def judged(*seen: tuple[float, Sequence[TaskWait]]) -> tuple[Finding, ...]:
    done = analysis.analyse(recording(record(*seen), end_ms=END_MS))
    assert done.report.recording.end_ns == info(END_MS).end_ns
    return done.report.findings


def test_tasks_that_wait_for_a_lock_blame_who_holds_it() -> None:
    (one,) = judged((1_500, [wait(holder())]), (4_500, []))
    assert (one.kind, one.verdict) == (HELD_LOCK, "starving")
    assert one.blame is not None
    assert (one.blame.function, one.blame.line) == ("refresh", 41)
    assert (one.wait.kind, one.wait.call) == (WaitKind.SLEEP, "sleep")
    assert one.starved_s == pytest.approx(3.0), "from the first look to the last before it ended"
    assert one.threads == (117,)
    assert [(v.kind, v.name, v.where, v.count) for v in one.victims] == [
        ("task", "lookup", "/app/cache.py:52", 3)
    ]
    assert one.detail == "a lock taken at /app/cache.py:40"
    waiter, root = one.chain
    assert (waiter.task, waiter.count, waiter.waits_for) == ("lookup", 3, "lock")
    assert (root.task, root.how, root.waits_for) == ("refresh", "with", None)
    assert root.taken is not None
    assert root.taken.line == 40


def test_what_holds_to_the_end_lasts_until_the_last_look() -> None:
    (one,) = found((1_500, [wait(holder())]))
    assert (ms(one.start_ns), ms(one.end_ns)) == (500, 9_500)


def test_what_was_looked_at_once_lasts_until_then() -> None:
    told = replace(record((1_500, [wait(holder())])), places=())
    (one,) = task_waits.find(told, CHAINS, at(END_MS), 100_000_000)
    assert (ms(one.start_ns), ms(one.end_ns)) == (500, 1_500)


def test_nobody_waits_in_a_process_that_is_gone() -> None:
    told = replace(record((1_500, [wait(holder())])), gone_ns=at(3_200))
    (one,) = task_waits.find(told, CHAINS, at(END_MS), 100_000_000)
    assert (ms(one.start_ns), ms(one.end_ns)) == (500, 2_500), "the last look at it"


def test_each_lock_is_told_by_itself() -> None:
    other = wait(holder(), since_ms=800, subject=0x20)
    seen = found((1_500, [wait(holder()), other]), (4_500, []))
    assert [(ms(one.start_ns), ms(one.end_ns)) for one in seen] == [(500, 3_500), (800, 3_500)]


def test_a_lock_that_nobody_wanted_in_between_is_told_twice() -> None:
    later = wait(holder(), since_ms=4_200)
    seen = found((1_500, [wait(holder())]), (2_500, []), (4_500, [later]), (6_500, []))
    assert [(ms(one.start_ns), ms(one.end_ns)) for one in seen] == [(500, 1_500), (4_200, 5_500)]


def test_an_episode_says_which_threads_tasks_waited_and_how_that_is_known() -> None:
    (one,) = found((1_500, [wait(holder())]))
    assert (one.thread, one.place, one.evidence) == (ThreadKey(100, 117), "tasks", ("places",))
    assert (one.asyncio, one.of_tasks) == (True, True)
    (limit,) = found((1_500, [wait(holder(), kind="semaphore", waits=SERVED)]))
    assert limit.evidence == ("places", "requests")
    told = replace(record((1_500, [wait(holder())])), process=1, loops=LoopEvents.of())
    (one,) = task_waits.find(told, CHAINS, at(END_MS), 100_000_000)
    assert one.thread == ThreadKey(100, 100, 1), "the main thread where that is not known"


def test_a_chain_says_where_both_are_and_since_when() -> None:
    (one,) = found((1_500, [wait(holder(count=2))]))
    waiter = Link(
        100, 117, "", Spot("lookup", "/app/cache.py", 52),
        Wait(WaitKind.UNKNOWN, "Lock.acquire"), at(500) / NS,
        waits_for="lock", task="lookup", count=3,
    )  # fmt: skip
    root = Link(
        100, 117, "", Spot("refresh", "/app/cache.py", 41), Wait(WaitKind.SLEEP, "sleep"),
        at(100) / NS, "with", Spot("refresh", "/app/cache.py", 40), task="refresh", count=2,
    )  # fmt: skip
    assert one.links == (waiter, root)
    (other,) = found((1_500, [wait(holder(None))]))
    assert other.links[1].since_s is None, "it was seen once"


def test_tasks_of_which_no_code_is_seen_are_told_without_a_name() -> None:
    (one,) = found((1_500, [wait(holder(stack_=()), waits=())]))
    assert [(item.name, item.where) for item in one.items] == [("?", None)]
    assert [(link.task, link.at) for link in one.links] == [("?", None)] * 2


@pytest.mark.parametrize(
    ("awaits", "wait"),
    [
        ("f@/app/a.py:1 > sleep@lib/asyncio/tasks.py:649", Wait(WaitKind.SLEEP, "sleep")),
        ("f@/app/a.py:1 > wait_for@lib/asyncio/tasks.py:520", Wait(WaitKind.UNKNOWN, "wait_for")),
        ("f@/app/a.py:1 > sleep@site/tenacity/nap.py:9", Wait(WaitKind.UNKNOWN, "sleep")),
        (
            "f@/app/a.py:1 > get@site/client.py:5 > StreamReader.read@lib/asyncio/streams.py:7",
            Wait(WaitKind.SOCKET, "get"),
        ),
        (
            (
                "f@/app/a.py:1 > AsyncClient.get@site/httpx/_client.py:5 > "
                "SocketStream.receive@site/anyio/_backends/_asyncio.py:1431 > "
                "Event.wait@lib/asyncio/locks.py:213"
            ),
            Wait(WaitKind.SOCKET, "AsyncClient.get"),
        ),
        (
            "f@/app/a.py:1 > Process.wait@lib/asyncio/subprocess.py:137",
            Wait(WaitKind.SUBPROCESS, "Process.wait"),
        ),
        ("f@/app/a.py:1 > poll@/app/a.py:5", Wait(WaitKind.UNKNOWN)),
        ("", Wait(WaitKind.UNKNOWN)),
    ],
)
def test_what_a_task_waits_in(awaits: str, wait: Wait) -> None:
    assert task_stacks.wait_of(stack(awaits)) == wait


def test_nobody_who_holds_it_is_nothing() -> None:
    assert found((1_500, [wait()])) == []


@pytest.mark.parametrize(("since_ms", "many"), [(1_000, 1), (1_001, 0)])
def test_a_wait_that_one_look_saw_is_told_if_it_was_long(since_ms: float, many: int) -> None:
    seen = found((1_500, [wait(holder(), since_ms=since_ms)]), (1_900, []))
    assert len(seen) == many


@pytest.mark.parametrize(
    "idle",
    [
        "leader@/app/cache.py:41 > Queue.get@lib/asyncio/queues.py:158",
        "leader@/app/cache.py:41 > Event.wait@lib/asyncio/locks.py:213",
        "leader@/app/cache.py:41 > Condition.wait@lib/asyncio/locks.py:264",
        "leader@/app/cache.py:41 > Server.serve_forever@lib/asyncio/base_events.py:372",
        "Server.serve_forever@lib/asyncio/base_events.py:380 > Server.wait_closed@lib/asyncio/base_events.py:352",
        "leader@/app/cache.py:41 > Event.wait@site/anyio/_backends/_asyncio.py:1771",
    ],
)
def test_who_waits_behind_one_that_waits_for_work_is_idle(idle: str) -> None:
    assert found((1_500, [wait(holder(stack_=stack(idle)))])) == []


@pytest.mark.parametrize(
    "slow",
    [
        "refresh@/app/cache.py:41 > Lock.acquire@lib/asyncio/locks.py:114",
        "refresh@/app/cache.py:41 > ClientSession.get@site/aiohttp/client.py:600",
        (
            "refresh@/app/cache.py:41 > AsyncClient.get@site/httpx/_client.py:1768 > "
            "SocketStream.receive@site/anyio/_backends/_asyncio.py:1431 > Event.wait@lib/asyncio/locks.py:213"
        ),
        "Server.serve_forever@lib/asyncio/base_events.py:372 > refresh@/app/cache.py:41 > sleep@lib/asyncio/tasks.py:649",
    ],
    ids=["another lock", "a reply", "a reply by AnyIO", "a callback of the program"],
)
def test_who_waits_behind_one_that_is_in_the_middle_of_something_is_starved(slow: str) -> None:
    assert len(found((1_500, [wait(holder(stack_=stack(slow)))]))) == 1


def test_a_lock_that_goes_from_hand_to_hand_makes_late() -> None:
    seen = [(t, [wait(holder(since_ms=t - 250))]) for t in (1_500, 2_500, 3_500, 4_500)]
    (one,) = found(*seen, (5_500, []))
    assert (one.verdict, ms(one.start_ns), ms(one.end_ns)) == ("late", 500, 4_500)


@pytest.mark.parametrize(("kind", "verdict"), [("connections", "late"), ("semaphore", "starving")])
def test_connections_that_change_hands_make_late_and_places_do_not(
    kind: TaskHeld, verdict: str
) -> None:
    seen = [
        (t, [wait(holder(since_ms=t - 250), kind=kind, waits=SERVED)])
        for t in (1_500, 2_500, 3_500)
    ]
    assert [one.verdict for one in found(*seen, (4_500, []))] == [verdict]


def test_a_lock_that_each_look_saw_with_another_one_makes_late() -> None:
    assert [one.verdict for one in found((1_500, [wait(holder(None))]))] == ["late"]


def test_places_that_share_it_share_the_blame() -> None:
    (one,) = judged((1_500, [wait(holder(count=3), holder(stack_=READS))]))
    assert [(b.function, b.line, round(b.share, 2)) for b in one.blames] == [
        ("refresh", 41, 0.75),
        ("refresh", 42, 0.25),
    ]
    (episode,) = found((1_500, [wait(holder(count=3), holder(stack_=READS))]))
    assert [(ms(a.start_ns), ms(a.end_ns)) for a in episode.guilty] == [
        (500, 7_250),
        (7_250, 9_500),
    ]


# --- limits on purpose -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["semaphore", "connections"])
def test_a_batch_behind_a_limit_is_nothing(kind: TaskHeld) -> None:
    assert found((1_500, [wait(holder(), kind=kind)])) == []


@pytest.mark.parametrize(
    ("kind", "told"), [("semaphore", HELD_LOCK), ("connections", EXHAUSTED_CONNECTIONS)]
)
def test_requests_behind_a_limit_are_told(kind: TaskHeld, told: object) -> None:
    (one,) = found((1_500, [wait(holder(), kind=kind, waits=SERVED)]))
    assert one.kind is told
    (other,) = found((1_500, [wait(holder(), kind=kind)]), owed_since_ms=550)
    assert other.kind is told


def test_a_semaphore_whose_places_change_hands_is_nothing() -> None:
    assert found((1_500, [wait(holder(None), kind="semaphore", waits=SERVED)])) == []


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (PoolUse("Pool", 8, 8), "Pool: 8 of 8 connections are lent"),
        (PoolUse("Pool", 8, 7), None),
        (PoolUse("Pool", None, 3), "Pool: its connections are lent"),
        (None, "nothing"),
    ],
)
def test_a_pool_that_has_some_left_is_not_exhausted(use: PoolUse | None, told: str | None) -> None:
    seen = found((1_500, [wait(holder(), kind="connections", waits=SERVED, use=use)]))
    assert [one.detail or "nothing" for one in seen] == ([] if told is None else [told])


def test_who_has_the_connections_of_a_pool_is_told() -> None:
    lent = wait(holder(count=5), kind="connections", waits=SERVED, use=PoolUse("Pool", 8, 8))
    (one,) = found((1_500, [lent]))
    to = LentTo(
        "task", Spot("refresh", "/app/cache.py", 41), 5, "with", Wait(WaitKind.SLEEP, "sleep")
    )
    assert one.lending == Lending("Pool", 8, 8, 3, (to,), "task")


@pytest.mark.parametrize(("in_line", "waiting"), [(None, 3), (400, 400), (2, 3)])
def test_how_many_wait_for_a_connection_is_told_of_all_in_line(
    in_line: int | None, waiting: int
) -> None:
    use = PoolUse("Pool", 8, 8)
    one = wait(holder(), kind="connections", waits=SERVED, use=use)
    (told,) = found((1_500, [structs.replace(one, in_line=in_line)]))
    assert told.lending is not None
    assert told.lending.waiting == waiting
    assert [item.count for item in told.items] == [3]


def test_connections_that_nobody_is_known_to_have_blame_who_wants_one() -> None:
    use = PoolUse("TCPConnector", 8, 8)
    (one,) = judged((1_500, [wait(kind="connections", waits=SERVED, use=use)]))
    assert one.blame is not None
    assert (one.blame.function, one.blame.line, one.chain) == ("lookup", 52, ())
    assert one.detail == "TCPConnector: 8 of 8 connections are lent, to whom is not known"


def test_a_limiter_that_is_judged_as_a_pool_is_not_told_twice() -> None:
    limiter = wait(holder(), kind="semaphore", waits=SERVED)
    told = record((1_500, [limiter, wait(holder(), subject=0x20)]))
    told = replace(told, pools=(PoolEvent(at(0), 0x10),))
    (one,) = task_waits.find(told, CHAINS, at(END_MS), 100_000_000)
    assert one.detail == "a lock taken at /app/cache.py:40"


def test_what_tasks_show_weighs_no_thread() -> None:
    done = analysis.analyse(recording(record((1_500, [wait(holder())])), end_ms=END_MS))
    assert all(one.starved_s == 0 for one in done.profile.merged)


def test_how_a_connection_is_known_to_be_held_is_told() -> None:
    use = PoolUse("BlockingConnectionPool", 1, 1)
    one = wait(structs.replace(holder(), how="reach"), kind="connections", waits=SERVED, use=use)
    (finding,) = judged((1_000, [one]), (3_000, [one]))
    assert finding.lending is not None
    assert [to.how for to in finding.lending.to] == ["reach"]
    assert [link.how for link in finding.chain] == [None, "reach"]
    assert finding.blame is not None
    assert finding.blame.hint
