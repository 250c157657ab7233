"""Chains among tasks: to their root, back to one of them, or to what nobody can give."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_struct

from tests.examples.build import (
    SOURCES,
    activities,
    activity,
    at,
    frame,
    ms,
    recording,
    stack,
    worker,
)
from tests.judge import test_task_waits
from tests.judge.test_task_waits import CHAINS, END_MS
from waitspy.judge import analysis, task_waits
from waitspy.judge.episode import Starvation
from waitspy.judge.wait_for import Chains
from waitspy.model.judged import Finding
from waitspy.model.kinds import DEADLOCK, HELD_LOCK
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.task_waits import TaskHeld, TaskHolder, TaskWait
from waitspy.model.wait_for import Holder, How, WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind

LEFT, RIGHT, LOST = 0x10, 0x20, 0x30
BEGUN = "run_asgi@site/uvicorn/protocols/http/h11_impl.py:403 > "
SLEEPS = "slow@/app/a.py:41 > sleep@lib/asyncio/tasks.py:649"
DRAINS = "send@/app/ws.py:3 > StreamWriter.drain@lib/asyncio/streams.py:380"
IDLE = "slow@/app/a.py:42 > Queue.get@lib/asyncio/queues.py:158"
REPLY = "ask@/app/client.py:30"


def wants(who: str) -> Stack:
    return stack(f"{who}@/app/a.py:7 > Lock.acquire@lib/asyncio/locks.py:114")


def holder(
    who: str, waits: int | None = None, *, does: str | None = None, count: int = 1
) -> TaskHolder:
    awaits = wants(who) if does is None else stack(does)
    return TaskHolder(awaits, frame(f"{who}@/app/a.py:5"), count, at(100), "Future", waits=waits)


def wait(
    subject: int,
    *holders: TaskHolder,
    kind: TaskHeld = "lock",
    who: str | Stack = "looks",
    count: int = 1,
    serves: bool = False,
    since_ms: float = 500,
) -> TaskWait:
    awaits = wants(who) if isinstance(who, str) else who
    return TaskWait(kind, subject, count, awaits, at(since_ms), holders, serves=serves)


def record(*waits: TaskWait, owed_since_ms: float | None = None) -> WorkerRecord:
    return test_task_waits.record((1_500, waits), owed_since_ms=owed_since_ms)


def found(*waits: TaskWait, owed_since_ms: float | None = None) -> list[Starvation]:
    told = record(*waits, owed_since_ms=owed_since_ms)
    return list(task_waits.find(told, CHAINS, at(END_MS), 100_000_000))


def judged(*waits: TaskWait) -> tuple[Finding, ...]:
    return analysis.analyse(recording(record(*waits), end_ms=END_MS)).report.findings


def names(one: Starvation) -> list[str | None]:
    return [link.task for link in one.links]


# --- on to the root ----------------------------------------------------------------------------


def test_a_chain_goes_on_to_who_holds_what_the_holder_waits_for() -> None:
    left, right = found(
        wait(LEFT, holder("middle", RIGHT)),
        wait(RIGHT, holder("slow", does=SLEEPS), who="middle", since_ms=700),
    )
    assert (left.kind, left.verdict, names(left)) == (
        HELD_LOCK, "starving", ["looks", "middle", "slow"],
    )  # fmt: skip
    assert [link.waits_for for link in left.links] == ["lock", "lock", None]
    assert [link.how for link in left.links] == [None, "with", "with"]
    assert [link.taken and link.taken.function for link in left.links] == [None, "middle", "slow"]
    assert (right.kind, names(right)) == (HELD_LOCK, ["middle", "slow"])


def test_who_waits_behind_one_who_waits_behind_an_idle_one_is_the_next_in_a_row() -> None:
    idle = wait(RIGHT, holder("slow", does=IDLE), who="middle")
    assert found(wait(LEFT, holder("middle", RIGHT)), idle) == []


def test_a_chain_ends_at_a_lock_that_nobody_is_known_to_hold() -> None:
    (one,) = found(wait(LEFT, holder("middle", RIGHT)), wait(RIGHT, who="middle"))
    assert (one.kind, names(one)) == (HELD_LOCK, ["looks", "middle"])


# --- rings -------------------------------------------------------------------------------------


def test_tasks_that_wait_for_each_other_are_a_deadlock_that_is_told_once() -> None:
    (one,) = found(
        wait(LEFT, holder("other", RIGHT), who="one"), wait(RIGHT, holder("one", LEFT), who="other")
    )
    assert (one.kind, one.verdict, ms(one.start_ns)) == (DEADLOCK, "starving", 500)
    assert sorted(map(str, names(one))) == ["one", "other"]
    assert [link.waits_for for link in one.links] == ["lock", "lock"]
    assert [link.how for link in one.links] == ["with", "with"]
    taken = {link.task: link.taken and link.taken.function for link in one.links}
    assert taken == {"one": "one", "other": "other"}, "each has taken what the other one wants"


def test_who_seems_to_hold_a_lock_is_in_no_ring() -> None:
    left, right = holder("left", RIGHT), holder("right", LEFT)
    (one,) = found(wait(LEFT, left), wait(RIGHT, right, who="left"))
    assert one.kind is DEADLOCK
    hint = replace_struct(left, how="reach")
    told = found(wait(LEFT, hint), wait(RIGHT, right, who="left"))
    assert not [one for one in told if one.kind is DEADLOCK]


def test_who_waits_for_a_ring_is_not_in_it() -> None:
    (one,) = found(
        wait(LOST, holder("one", LEFT), who="looks", count=9),
        wait(LEFT, holder("other", RIGHT), who="one"),
        wait(RIGHT, holder("one", LEFT), who="other"),
    )
    assert one.kind is DEADLOCK
    assert names(one) == ["one", "other"] or names(one) == ["other", "one"]


def test_a_task_that_wants_the_lock_that_it_has_is_a_deadlock() -> None:
    (one,) = found(wait(LEFT, holder("again", LEFT), who="again"))
    assert (one.kind, names(one)) == (DEADLOCK, ["again"])
    (finding,) = judged(wait(LEFT, holder("again", LEFT), who="again"))
    assert (finding.kind, finding.blame and finding.blame.function) == (DEADLOCK, "again")


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("lock", (holder("free", does=SLEEPS),)),
        ("semaphore", ()),
    ],
    ids=["of two who may have it", "of which others may have places"],
)
def test_what_another_one_may_give_up_is_in_no_ring(
    kind: TaskHeld, more: tuple[TaskHolder, ...]
) -> None:
    for one in found(
        wait(LEFT, holder("other", RIGHT), *more, kind=kind, who="one"),
        wait(RIGHT, holder("one", LEFT), who="other"),
    ):
        assert one.kind is HELD_LOCK


# --- what nobody can give ----------------------------------------------------------------------

ASKS = stack(BEGUN + REPLY)


def test_a_request_that_waits_for_what_is_lost_is_a_deadlock() -> None:
    (one,) = found(wait(LOST, kind="lost-result", who=ASKS))
    assert (one.kind, names(one), one.detail) == (DEADLOCK, ["ask"], None)
    assert [link.waits_for for link in one.links] == ["lost-result"]
    (finding,) = judged(wait(LOST, kind="lost-result", who=ASKS))
    assert finding.blame is not None
    assert (finding.blame.function, finding.blame.line) == ("ask", 30)
    assert finding.remedy.startswith("whoever was to hand in this result")


@pytest.mark.parametrize(
    "awaits",
    [
        REPLY,
        "Event.wait@lib/asyncio/locks.py:213",
        "run@site/aiokafka/client.py:5 > Event.wait@lib/asyncio/locks.py:213",
        "serve@site/uvicorn/server.py:5 > Event.wait@lib/asyncio/locks.py:213",
        "",
    ],
)
def test_who_may_wait_for_ever_on_purpose_is_no_finding(awaits: str) -> None:
    assert found(wait(LOST, kind="lost-signal", who=stack(awaits)), owed_since_ms=550) == []


def test_one_that_serves_a_client_is_told_while_that_is_owed_an_answer() -> None:
    serves = wait(LOST, kind="lost-result", who=stack(REPLY), serves=True)
    assert found(serves) == []
    assert [one.kind for one in found(serves, owed_since_ms=550)] == [DEADLOCK]


def test_who_waits_for_the_lock_of_one_that_waits_for_what_is_lost_waits_for_it_too() -> None:
    lost = wait(LOST, kind="lost-result", who=stack(REPLY))
    (one,) = found(wait(LEFT, holder("ask", LOST, does=REPLY), count=3), lost)
    assert (one.kind, names(one)) == (DEADLOCK, ["looks", "ask"])
    assert [link.waits_for for link in one.links] == ["lock", "lost-result"]
    assert one.waiting == 3


def test_where_who_took_from_a_queue_has_ended_is_told() -> None:
    died = frame("consume@/app/jobs.py:9")
    ended = TaskHolder((died,), died, 1, None, None, how="ended")
    (one,) = found(wait(LOST, ended, kind="lost-queue", who=ASKS))
    assert one.detail == "who took from it has ended at /app/jobs.py:9"
    assert (one.kind, names(one)) == (DEADLOCK, ["ask"])


# --- threads that work for tasks -----------------------------------------------------------------

WORKS = "slow@/app/a.py:44"
RUNS = stack("_worker@lib/concurrent/futures/thread.py:83 > fetch@/app/upstream.py:18")
HASHES = stack("_worker@lib/concurrent/futures/thread.py:83 > hash@site/hasher/core.py:3")
RECEIVES = Wait(WaitKind.SOCKET, "sock.recv", "recvfrom")


def worked(runs: Stack, *edges: WaitEdge) -> Starvation:
    """Thread 14 works for the task that holds a lock, thread 15 does what that one waits for."""
    holds = replace_struct(holder("slow", does=WORKS), thread=14)
    told = replace(record(wait(LEFT, holds)), wait_for=(WaitForEvent(at(200), edges),))
    done = {
        told.thread(14): activities(activity(0, END_MS, runs, RECEIVES)),
        told.thread(15): activities(activity(0, END_MS, RUNS, RECEIVES)),
    }
    chains = Chains([told], done, {told.thread(14): "pool-0"}, SOURCES)
    (one,) = task_waits.find(told, chains, at(END_MS), 100_000_000)
    return one


def test_a_chain_goes_on_to_the_thread_that_works_for_a_task() -> None:
    one = worked(RUNS)
    assert [link.waits_for for link in one.links] == ["lock", "future", None]
    root = one.links[-1]
    assert (root.tid, root.thread, root.how, root.wait) == (14, "pool-0", "work-item", RECEIVES)
    assert root.at is not None
    assert (root.at.function, root.at.line) == ("fetch", 18)
    assert one.root == (one.thread._replace(tid=14), RUNS, RECEIVES), "weighed there"
    (held,) = one.held_by.values()
    assert [each.stack for each in held] == [stack(WORKS)], "blame stays with who holds it"


def test_and_to_whoever_holds_what_that_thread_waits_for() -> None:
    edge = WaitEdge(14, "lock", 0x77, (Holder(15, "with", frame("fetch@/app/cache.py:3")),), True)
    one = worked(RUNS, edge)
    assert [(link.tid, link.waits_for) for link in one.links[-2:]] == [(14, "lock"), (15, None)]
    assert one.root == (one.thread._replace(tid=15), RUNS, RECEIVES)


def test_a_thread_without_code_of_the_program_says_no_more_than_the_task() -> None:
    one = worked(HASHES)
    assert [link.waits_for for link in one.links] == ["lock", None]
    assert one.root is None


POLLS = Wait(WaitKind.LOOP_POLL, None, "epoll_wait")


@pytest.mark.parametrize(("wait_", "goes_on"), [(RECEIVES, True), (POLLS, False)])
def test_a_chain_goes_on_to_the_process_that_has_to_answer_a_task(
    wait_: Wait, goes_on: bool
) -> None:
    """Thread 201 of process 200 has to send what the task reads that holds a lock."""
    sender = Holder(201, "reach", pid=200)
    holds = replace_struct(holder("slow", does=WORKS), sender=sender)
    told, other = record(wait(LEFT, holds)), worker(200)
    done = {other.thread(201): activities(activity(0, END_MS, RUNS, wait_))}
    chains = Chains([told, other], done, {}, SOURCES)
    (one,) = task_waits.find(told, chains, at(END_MS), 100_000_000)
    if goes_on:
        assert [(link.pid, link.waits_for) for link in one.links[1:]] == [
            (100, "message"),
            (200, None),
        ]
        assert (one.links[-1].how, one.links[-1].wait) == ("reach", RECEIVES)
        assert one.root == (other.thread(201), RUNS, RECEIVES), "weighed there"
    else:
        assert [link.waits_for for link in one.links] == ["lock", None], "it has nothing to do"
        assert one.root is None


def test_several_hops_are_weighed_at_the_last_one() -> None:
    one, _ = found(
        wait(LEFT, holder("middle", RIGHT)), wait(RIGHT, holder("slow", does=SLEEPS), who="middle")
    )
    assert one.root is not None
    assert one.root[1] == stack(SLEEPS)


def test_what_several_hold_is_weighed_at_each_of_them() -> None:
    places = wait(
        LEFT, holder("middle", RIGHT), holder("slow", does=SLEEPS), kind="semaphore", who=SERVED
    )
    one, _ = found(places, wait(RIGHT, holder("slow", does=SLEEPS), who="middle"))
    assert (len(one.links), one.root) == (3, None)


# --- full queues -------------------------------------------------------------------------------

QUEUE = 0x40
PUTS = stack("put_in@/app/api.py:12 > Queue.put@lib/asyncio/queues.py:126")
SERVED = stack("run_asgi@site/uvicorn/protocols/http/h11_impl.py:403") + PUTS


def taker(does: str, *, how: How = "takes", waits: int | None = None) -> TaskHolder:
    held = holder("consume", waits, does=does)
    return replace_struct(held, how=how)


def full(
    *takers: TaskHolder, who: Stack = SERVED, count: int = 3, serves: bool = False
) -> TaskWait:
    return wait(QUEUE, *takers, kind="full-queue", who=who, count=count, serves=serves)


@pytest.mark.parametrize("how", ["takes", "reach"])
def test_requests_that_wait_for_room_have_a_chain_to_who_takes(how: How) -> None:
    (one,) = found(full(taker(SLEEPS, how=how)))
    assert (one.kind, names(one), one.detail) == (HELD_LOCK, ["put_in", "slow"], None)
    first, root = one.links
    assert (first.waits_for, first.count) == ("full-queue", 3)
    assert (root.how, root.taken, root.waits_for) == (how, None, None)
    (activities,) = one.held_by.values()
    assert [activity.stack for activity in activities] == [stack(SLEEPS)]


def test_a_chain_goes_on_to_what_the_takers_wait_for() -> None:
    wants_lock = "consume@/app/a.py:7 > Lock.acquire@lib/asyncio/locks.py:114"
    one, _ = found(
        full(taker(wants_lock, waits=LEFT)),
        wait(LEFT, holder("slow", does=SLEEPS), who="consume"),
    )
    assert names(one) == ["put_in", "consume", "slow"]
    assert [link.waits_for for link in one.links] == ["full-queue", "lock", None]


def test_takers_that_wait_for_one_another_are_no_ring_as_others_may_take() -> None:
    assert DEADLOCK not in {one.kind for one in found(full(taker(SLEEPS, waits=QUEUE)))}


@pytest.mark.parametrize(
    ("takers", "who"),
    [
        ((taker(IDLE),), SERVED),  # it waits for work
        ((), SERVED),  # nobody is known
        ((taker(SLEEPS),), PUTS),  # a bounded queue slows down who fills it
        ((replace_struct(taker(SLEEPS), since_ns=None),), SERVED),  # they take one after the other
        ((taker(DRAINS),), SERVED),  # a client is slow to read
    ],
)
def test_a_full_queue_is_a_limit_on_purpose(takers: tuple[TaskHolder, ...], who: Stack) -> None:
    assert found(full(*takers, who=who)) == []


def test_a_request_that_waits_alone_may_do_so_for_its_own_consumer() -> None:
    assert found(full(taker(SLEEPS), count=1)) == []
    assert found(full(taker(SLEEPS), count=2)) != []


def test_who_has_the_connection_of_a_client_counts_where_that_is_owed_an_answer() -> None:
    waiting = full(taker(SLEEPS), who=PUTS, serves=True)
    assert found(waiting) == []
    assert [one.kind for one in found(waiting, owed_since_ms=500)] == [HELD_LOCK]


def test_who_took_from_a_full_queue_and_has_ended_is_the_root() -> None:
    died = frame("consume@/app/jobs.py:9")
    ended = TaskHolder((died,), died, 1, None, None, how="ended")
    (one,) = found(full(ended))
    assert (one.kind, one.verdict) == (HELD_LOCK, "starving")
    assert one.detail == "who took from it has ended at /app/jobs.py:9"
    assert [(link.task, link.how) for link in one.links] == [("put_in", None), ("consume", "ended")]
