"""Chains that lead from threads to tasks and from tasks to threads, and rings across both."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from tests.examples.build import (
    DISPATCH,
    POLL,
    SOURCES,
    activities,
    activity,
    at,
    frame,
    ms,
    stack,
    states,
    worker,
)
from waitspy.judge import findings, held_locks
from waitspy.judge.episode import Starvation
from waitspy.judge.wait_for import Chain, Chains
from waitspy.model.activities import Activities
from waitspy.model.kinds import BLOCKED_LOOP, DEADLOCK, HELD_LOCK
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.unsent import Unsent
from waitspy.model.wait_for import Held, Holder, How, TaskEdge, WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind

LOOP, POOL, OTHER = 11, 12, 13
"""Threads: of the loop, of a pool, and another one."""

REFRESH, FETCH = 0xA1, 0xA2
"""Tasks of that loop."""

LOOKUP = stack("run@/app/cache.py:1 > lookup@/app/cache.py:52")
HOLDS = stack("refresh@/app/cache.py:41 > sleep@lib/asyncio/tasks.py:649")
IDLE = stack("refresh@/app/cache.py:41 > Queue.get@lib/asyncio/queues.py:158")
AWAITS = stack("refresh@/app/cache.py:41")
FETCHES = stack("fetch@/app/client.py:41 > StreamReader.read@lib/asyncio/streams.py:713")
TAKEN = frame("refresh@/app/cache.py:40")
WANTS = Wait(WaitKind.LOCK, "with self._lock", "futex")
POLLS = Wait(WaitKind.LOOP_POLL, None, "epoll_wait")
SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
RECEIVES = Wait(WaitKind.SOCKET, "sock.recv", "recvfrom")
END_MS = 3_000


def by(tid: int, how: How = "with", task: int | None = None) -> Holder:
    return Holder(tid, how, TAKEN if how == "with" else None, task)


def waits(tid: int, *holders: Holder, kind: Held = "lock", subject: int = 0x1000) -> WaitEdge:
    return WaitEdge(tid, kind, subject, holders, whole=True)


def task(
    address: int = REFRESH,
    *holders: Holder,
    awaits: Stack = HOLDS,
    kind: Held | None = None,
    tid: int = LOOP,
) -> TaskEdge:
    return TaskEdge(address, tid, awaits, kind, holders)


HELD = waits(POOL, by(LOOP, task=REFRESH))
"""A thread waits for a lock that a task holds."""


def recorded(
    *edges: WaitEdge, tasks: tuple[TaskEdge, ...] = (), loop: Wait = POLLS, loop_ms: float = 0
) -> tuple[WorkerRecord, dict[ThreadKey, Activities]]:
    """All stand all the time, the loop in a wait from ``loop_ms`` on; one look at 700 ms."""
    record = replace(
        worker(),
        states={tid: states((0, "futex 0x10")) for tid in (LOOP, POOL, OTHER)},
        wait_for=(WaitForEvent(at(700), edges, (), tasks),),
    )
    shown = POLL if loop is POLLS else LOOKUP
    did = {
        LOOP: activities(activity(loop_ms, END_MS, shown, loop)),
        POOL: activities(activity(0, END_MS, LOOKUP, WANTS)),
        OTHER: activities(activity(0, END_MS, LOOKUP, RECEIVES)),
    }
    return record, {record.thread(tid): mine for tid, mine in did.items()}


def chain(
    *edges: WaitEdge,
    tasks: tuple[TaskEdge, ...],
    of: int = POOL,
    loop: Wait = POLLS,
    loop_ms: float = 0,
) -> Chain:
    record, done = recorded(*edges, tasks=tasks, loop=loop, loop_ms=loop_ms)
    found = Chains([record], done, {}, SOURCES).of(record.thread(of), at(0), at(END_MS))
    assert found is not None
    return found


def found(*edges: WaitEdge, tasks: tuple[TaskEdge, ...], loop: Wait = POLLS) -> list[Starvation]:
    record, done = recorded(*edges, tasks=tasks, loop=loop)
    chains = Chains([record], done, {}, SOURCES)
    return list(held_locks.find(record, done, chains, [], at(END_MS), 100_000_000))


def said(chain: Chain) -> list[tuple[str | int, str | None, str | None]]:
    """Who, what it waits for, and how it is known that it holds what the one before wants."""
    return [(link.task or link.tid, link.waits_for, link.how) for link in chain.links]


# --- chains ----------------------------------------------------------------------------------------


def test_a_chain_goes_on_to_the_task_that_holds_a_lock() -> None:
    one = chain(HELD, tasks=(task(),))
    assert said(one) == [(POOL, "lock", None), ("refresh", None, "with")]
    root = one.root
    assert (root.tid, root.wait.kind, root.wait.call) == (LOOP, WaitKind.SLEEP, "sleep")
    assert root.at is not None
    assert (root.at.file, root.at.line) == ("/app/cache.py", 41)
    assert root.taken is not None
    assert root.taken.line == 40


def test_a_task_is_no_thread_of_a_name_and_is_seen_at_the_look_alone() -> None:
    record, done = recorded(HELD, tasks=(task(),))
    names = {record.thread(LOOP): "loop", record.thread(POOL): "pool"}
    one = Chains([record], done, names, SOURCES).of(record.thread(POOL), at(0), at(END_MS))
    assert one is not None
    assert [(link.thread, link.task) for link in one.links] == [("pool", None), ("", "refresh")]
    _, awaits = one.did
    assert awaits is not None
    assert (ms(awaits.start_ns), ms(awaits.end_ns), awaits.stack) == (700, 700, HOLDS)


def test_a_task_waits_for_another_one() -> None:
    awaits = task(REFRESH, by(LOOP, "task", FETCH), awaits=AWAITS, kind="task")
    one = chain(HELD, tasks=(awaits, task(FETCH, awaits=FETCHES)))
    assert said(one) == [(POOL, "lock", None), ("refresh", "task", "with"), ("fetch", None, "task")]
    assert one.root.wait.kind is WaitKind.SOCKET


def test_a_task_waits_for_a_thread() -> None:
    awaits = task(REFRESH, by(OTHER, "work-item"), awaits=AWAITS, kind="future")
    one = chain(HELD, tasks=(awaits,))
    assert said(one) == [
        (POOL, "lock", None),
        ("refresh", "future", "with"),
        (OTHER, None, "work-item"),
    ]
    assert one.root.wait == RECEIVES


def test_the_result_of_a_task() -> None:
    edge = waits(POOL, by(LOOP, "task", REFRESH), kind="future")
    assert said(chain(edge, tasks=(task(),))) == [
        (POOL, "future", None),
        ("refresh", None, "task"),
    ]


@pytest.mark.parametrize("loop_ms", [0, 600])
def test_a_task_cannot_go_on_while_its_loop_is_blocked(loop_ms: float) -> None:
    one = chain(HELD, tasks=(task(),), loop=SLEEPS, loop_ms=loop_ms)
    assert said(one)[1:] == [("refresh", "loop", "with"), (LOOP, None, "loop")]
    assert one.root.wait == SLEEPS


def test_a_loop_that_was_blocked_for_a_moment_is_not_the_root() -> None:
    record, done = recorded(HELD, tasks=(task(),))
    key = record.thread(LOOP)
    done = {**done, key: activities(activity(690, 720, LOOKUP, SLEEPS))}
    one = Chains([record], done, {}, SOURCES).of(record.thread(POOL), at(0), at(END_MS))
    assert one is not None
    assert said(one)[1:] == [("refresh", None, "with")]


@pytest.mark.parametrize(("ends_ms", "blocked"), [(1_600, True), (1_599, False)])
def test_a_loop_that_is_blocked_for_half_of_the_wait_is_the_root(
    ends_ms: float, blocked: bool
) -> None:
    record, done = recorded(HELD, tasks=(task(),))
    done = {**done, record.thread(LOOP): activities(activity(100, ends_ms, LOOKUP, SLEEPS))}
    one = Chains([record], done, {}, SOURCES).of(record.thread(POOL), at(0), at(END_MS))
    assert one is not None
    assert (one.root.task is None) == blocked


@pytest.mark.parametrize(
    ("shown", "held"),
    [
        (POLL, False),
        ((*POLL[:-1], frame("Handle._run@lib/asyncio/events.py:88")), True),
        ((*DISPATCH, *LOOKUP, *POLL), True),
    ],
    ids=["polls", "a callback in C", "another loop in a callback"],
)
def test_a_loop_whose_epoll_is_not_known_yet_polls_by_its_frames(shown: Stack, held: bool) -> None:
    record, done = recorded(HELD, tasks=(task(),))
    waits_in = Wait(WaitKind.SOCKET, "selectors.select", "epoll_wait")
    done = {**done, record.thread(LOOP): activities(activity(0, END_MS, shown, waits_in))}
    one = Chains([record], done, {}, SOURCES).of(record.thread(POOL), at(0), at(END_MS))
    assert one is not None
    assert (one.root.task is None) == held


@pytest.mark.parametrize("did", [None, Wait(WaitKind.UNKNOWN)], ids=["not sampled", "unknown"])
def test_a_loop_of_which_nothing_is_known_is_not_the_root(did: Wait | None) -> None:
    record, done = recorded(HELD, tasks=(task(),))
    seen = activities() if did is None else activities(activity(0, END_MS, LOOKUP, did))
    done = {**done, record.thread(LOOP): seen}
    one = Chains([record], done, {}, SOURCES).of(record.thread(POOL), at(0), at(END_MS))
    assert one is not None
    assert said(one)[1:] == [("refresh", None, "with")]


def test_of_those_who_hold_it_no_task_is_followed_whose_loop_waits_for_it() -> None:
    edge = waits(LOOP, by(LOOP, task=REFRESH), by(OTHER), kind="semaphore")
    one = chain(edge, tasks=(task(),), of=LOOP, loop=WANTS)
    assert not one.ring
    assert said(one) == [(LOOP, "semaphore", None), (OTHER, None, "with")]


def test_who_is_known_to_hold_it_is_followed_before_more_who_seem_to() -> None:
    record, done = recorded(waits(POOL, by(21, "reach"), by(22, "reach"), by(OTHER)))
    hints = {
        record.thread(tid): activities(activity(0, END_MS, AWAITS, SLEEPS)) for tid in (21, 22)
    }
    one = Chains([record], done | hints, {}, SOURCES).of(record.thread(POOL), at(0), at(END_MS))
    assert one is not None
    assert said(one)[1:] == [(OTHER, None, "with")]


def test_what_a_thread_works_on_comes_before_the_turn_of_its_task() -> None:
    awaits = task(REFRESH, by(OTHER, "work-item"), awaits=AWAITS, kind="future")
    one = chain(HELD, tasks=(awaits,), loop=SLEEPS)
    assert [link.tid for link in one.links][-1] == OTHER


def test_a_task_whose_loop_nobody_is_seen_to_run() -> None:
    one = chain(waits(POOL, by(0, task=REFRESH)), tasks=(task(tid=0),))
    assert said(one) == [(POOL, "lock", None), ("refresh", None, "with")]
    assert one.root.tid == one.root.pid


def test_a_task_of_which_nothing_is_known_is_a_link_all_the_same() -> None:
    one = chain(HELD, tasks=())
    assert (one.root.task, one.root.at, one.root.wait.kind) == ("?", None, WaitKind.UNKNOWN)


# --- rings -----------------------------------------------------------------------------------------


def test_a_loop_that_wants_what_its_own_task_holds_is_a_ring() -> None:
    one = chain(waits(LOOP, by(LOOP, task=REFRESH)), tasks=(task(),), of=LOOP, loop=WANTS)
    assert one.ring
    assert said(one) == [(LOOP, "lock", "loop"), ("refresh", "loop", "with")]


@pytest.mark.parametrize("free", [(OTHER,), (OTHER, 21)], ids=["from one", "from each of two"])
def test_a_task_that_can_have_what_it_awaits_but_not_its_turn_is_in_the_ring(
    free: tuple[int, ...],
) -> None:
    awaits = task(REFRESH, *map(by, free), awaits=AWAITS, kind="semaphore")
    one = chain(waits(LOOP, by(LOOP, task=REFRESH)), tasks=(awaits,), of=LOOP, loop=WANTS)
    assert one.ring
    assert said(one) == [(LOOP, "lock", "loop"), ("refresh", "loop", "with")]


@pytest.mark.parametrize("kind", ["task", "future"])
def test_of_two_rings_through_a_task_the_one_that_closes_at_once_is_told(kind: Held) -> None:
    awaits = task(REFRESH, by(LOOP, "task", FETCH), awaits=AWAITS, kind=kind)
    tasks = (awaits, task(FETCH, awaits=FETCHES))
    one = chain(waits(LOOP, by(LOOP, task=REFRESH)), tasks=tasks, of=LOOP, loop=WANTS)
    assert one.ring
    assert said(one) == [(LOOP, "lock", "loop"), ("refresh", "loop", "with")]


def test_a_loop_that_waits_for_its_own_work_is_a_ring_of_one() -> None:
    one = chain(waits(LOOP, by(LOOP, "loop"), kind="future"), tasks=(), of=LOOP, loop=WANTS)
    assert one.ring
    assert said(one) == [(LOOP, "future", "loop")]


def test_a_task_that_waits_for_the_thread_that_waits_for_it_is_a_ring() -> None:
    """Its loop is free, and serves others."""
    awaits = task(REFRESH, by(POOL, "work-item"), awaits=AWAITS, kind="future")
    one = chain(HELD, tasks=(awaits,))
    assert one.ring
    assert said(one) == [(POOL, "lock", "work-item"), ("refresh", "future", "with")]
    (told,) = found(HELD, tasks=(awaits,))
    assert told.kind is DEADLOCK
    assert {(item.kind, item.name) for item in told.items} == {
        ("thread", "lookup"),
        ("task", "refresh"),
    }
    assert told.links == one.links


def test_a_call_that_waits_for_the_thread_that_waits_for_its_task_is_a_ring() -> None:
    """As with asgiref: one thread alone can make that call, and is not at work on it."""
    awaits = task(REFRESH, by(POOL, "queued"), awaits=AWAITS, kind="future")
    result = waits(POOL, by(LOOP, "task", REFRESH), kind="future")
    one = chain(result, tasks=(awaits,))
    assert one.ring
    assert said(one) == [(POOL, "future", "queued"), ("refresh", "future", "task")]
    assert [told.kind for told in found(result, tasks=(awaits,))] == [DEADLOCK]
    other = task(REFRESH, by(OTHER, "queued"), awaits=AWAITS, kind="future")
    assert not chain(result, tasks=(other,)).ring
    assert not found(result, tasks=(other,))


@pytest.mark.parametrize("how", ["takes", "reach"])
@pytest.mark.parametrize("kind", ["full-queue", "joined-queue"])
def test_who_waits_for_those_that_take_from_a_queue_is_in_no_ring(kind: Held, how: How) -> None:
    """Others may take from it, too, who have not been seen to."""
    full = waits(POOL, by(OTHER, how), kind=kind)
    one = chain(full, tasks=())
    assert said(one) == [(POOL, kind, None), (OTHER, None, how)]
    assert one.root.wait.kind is WaitKind.SOCKET
    wants = waits(OTHER, by(POOL), subject=0x2000)
    back = chain(full, wants, tasks=())
    assert not back.ring
    assert [link.tid for link in back.links] == [POOL, OTHER]
    assert not found(full, wants, tasks=())


@pytest.mark.parametrize("kind", ["lock", "semaphore"])
def test_who_seems_to_hold_something_is_in_no_ring(kind: Held) -> None:
    wants = waits(POOL, by(OTHER, "reach"), kind=kind)
    back = waits(OTHER, by(POOL), subject=0x2000)
    one = chain(wants, back, tasks=())
    assert not one.ring
    assert [link.tid for link in one.links] == [POOL, OTHER]
    assert not [told for told in found(wants, back, tasks=()) if told.kind is DEADLOCK]
    sure = waits(POOL, by(OTHER), kind=kind)
    assert [told.kind for told in found(sure, back, tasks=())] == [DEADLOCK]


def test_who_leads_into_such_a_ring_is_no_part_of_it() -> None:
    edges = (waits(POOL, by(LOOP, task=REFRESH)), waits(LOOP, by(LOOP, task=REFRESH)))
    one = chain(*edges, tasks=(task(),), loop=WANTS)
    assert one.ring
    assert said(one) == [("refresh", "loop", "with"), (LOOP, "lock", "loop")]


def test_a_loop_that_waits_for_who_can_go_on_is_no_ring() -> None:
    edges = (HELD, waits(LOOP, by(OTHER), subject=0x2000))
    one = chain(*edges, tasks=(task(),), loop=WANTS)
    assert not one.ring
    assert [link.tid for link in one.links] == [POOL, LOOP, LOOP, OTHER]


def test_places_of_a_semaphore_that_a_task_may_give_back_are_no_ring() -> None:
    both = (by(LOOP, task=REFRESH), by(LOOP, task=FETCH))
    stuck = task(REFRESH, by(POOL, "work-item"), awaits=AWAITS, kind="future")
    one = chain(waits(POOL, *both, kind="semaphore"), tasks=(stuck, task(FETCH, awaits=FETCHES)))
    assert not one.ring
    assert said(one)[1:] == [("fetch", None, "with")]


def test_a_task_that_awaits_itself_in_the_end() -> None:
    edges = (
        waits(POOL, by(LOOP, "task", REFRESH), kind="future"),
        waits(LOOP, by(POOL), subject=0x2000),
    )
    one = chain(*edges, tasks=(task(),), loop=WANTS)
    assert one.ring
    assert said(one) == [
        (POOL, "future", "with"),
        ("refresh", "loop", "task"),
        (LOOP, "lock", "loop"),
    ]


# --- findings --------------------------------------------------------------------------------------


def test_a_lock_that_a_task_holds_blames_the_line_at_which_it_waits() -> None:
    record, done = recorded(HELD, tasks=(task(),))
    chains = Chains([record], done, {}, SOURCES)
    (one,) = held_locks.find(record, done, chains, [], at(END_MS), 100_000_000)
    assert (one.kind, one.verdict, one.of_tasks) == (HELD_LOCK, "starving", True)
    assert (ms(one.start_ns), ms(one.end_ns)) == (0, END_MS)
    (finding,) = findings.judge([one], SOURCES, 3.0, chains)
    assert finding.blame is not None
    assert (finding.blame.function, finding.blame.line) == ("refresh", 41)
    assert (finding.wait.kind, finding.wait.call) == (WaitKind.SLEEP, "sleep")
    assert [(v.kind, v.name, v.count) for v in finding.victims] == [("thread", "lookup", 1)]
    assert finding.detail == "a lock taken at /app/cache.py:40"
    assert "hold no lock of threads over an await" in finding.remedy
    assert len(finding.chain) == 2


def test_a_task_that_waits_for_work_is_idle() -> None:
    assert found(HELD, tasks=(task(awaits=IDLE),)) == []


def test_who_waits_for_a_result_waits_on_purpose() -> None:
    edge = waits(POOL, by(LOOP, "task", REFRESH), kind="future")
    assert found(edge, tasks=(task(),)) == []


def test_a_loop_that_waits_for_its_own_work_is_told() -> None:
    record, done = recorded(waits(LOOP, by(LOOP, "loop"), kind="future"), loop=WANTS)
    chains = Chains([record], done, {}, SOURCES)
    (one,) = held_locks.find(record, done, chains, [], at(END_MS), 100_000_000)
    assert one.kind is DEADLOCK
    (finding,) = findings.judge([one], SOURCES, 3.0, chains)
    assert [link.waits_for for link in finding.chain] == ["future"]
    assert "never wait on the loop's own thread" in finding.remedy


def test_a_loop_that_is_kept_by_its_own_task_is_a_deadlock() -> None:
    record, done = recorded(waits(LOOP, by(LOOP, task=REFRESH)), tasks=(task(),), loop=WANTS)
    loop = Starvation(
        BLOCKED_LOOP, "latent", 100, LOOP, "a loop", at(600), at(1_500),
        {record.thread(LOOP): tuple(done[record.thread(LOOP)])}, None, ("asyncio",),
    )  # fmt: skip
    chains = Chains([record], done, {}, SOURCES)
    (one,) = held_locks.rings([loop], chains)
    assert (one.kind, one.verdict) == (DEADLOCK, "starving")
    (finding,) = findings.judge([one], SOURCES, 3.0, chains)
    assert [link.waits_for for link in finding.chain] == ["lock", "loop"]
    assert "hold no lock of threads over an await" in finding.remedy


def test_a_peer_that_does_not_read_is_told_at_the_root() -> None:
    sends = stack("send@/app/chat.py:88 > StreamWriter.drain@lib/asyncio/streams.py:371")
    unsent = Unsent("127.0.0.1:5000", 2_620_000, 1, refused=True)
    one = chain(HELD, tasks=(structs.replace(task(awaits=sends), unsent=unsent),))
    assert one.root.unsent == unsent
    assert one.links[0].unsent is None
    assert one.root.wait.kind is WaitKind.SOCKET


@pytest.mark.parametrize(
    "awaits",
    [
        (
            "send@/app/chat.py:88 > FlowControl.drain@site/uvicorn/protocols/http/flow_control.py:18"
            " > Event.wait@lib/asyncio/locks.py:213"
        ),
        "send@/app/chat.py:88 > BaseProtocol._drain_helper@site/aiohttp/base_protocol.py:156",
    ],
)
def test_who_waits_for_room_is_not_idle(awaits: str) -> None:
    (one,) = found(HELD, tasks=(task(awaits=stack(awaits)),))
    assert one.kind is HELD_LOCK
