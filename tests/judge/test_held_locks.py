"""Chains of waits, and the episodes of locks that they explain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.examples.build import SOURCES, activities, activity, at, frame, ms, stack, states, worker
from waitspy.judge import findings, held_locks
from waitspy.judge.episode import Starvation
from waitspy.judge.wait_for import Chain, Chains
from waitspy.model.activities import Activities
from waitspy.model.kinds import BLOCKED_LOOP, BUSY_LOOP, DEADLOCK, HELD_LOCK
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent
from waitspy.model.threads import NO_STATES
from waitspy.model.wait_for import Held, Holder, How, TaskEdge, WaitEdge, WaitForEvent
from waitspy.model.waits import Wait, WaitKind

LOOKUP = stack("run@/app/cache.py:1 > lookup@/app/cache.py:52")
REFRESH = stack("run@/app/cache.py:1 > refresh@/app/cache.py:44 > fetch@/app/upstream.py:18")
TAKEN = frame("refresh@/app/cache.py:40")
WANTS = Wait(WaitKind.LOCK, "with self._lock", "futex")
RECEIVES = Wait(WaitKind.SOCKET, "sock.recv", "recvfrom")
LOCK, OTHER = 0x1000, 0x2000
END_MS = 3_000


def waits(
    tid: int, *holders: int, subject: int = LOCK, at_: bool = True, kind: Held = "lock"
) -> WaitEdge:
    found = tuple(Holder(tid, "with", TAKEN if at_ else None) for tid in holders)
    return WaitEdge(tid, kind, subject, found, whole=True)


def recorded(
    *looks: tuple[float, tuple[WaitEdge, ...]],
    root: Wait = RECEIVES,
    moves_ms: tuple[float, ...] = (),
) -> tuple[WorkerRecord, dict[ThreadKey, Activities]]:
    """Thread 12 stands from 500 to 1,500 ms, all others all the time; 14 is in ``root``."""
    record = worker()
    standing = {
        11: states((0, "futex 0x10")),
        12: states((0, "run"), (500, "futex 0x10"), *((m, "futex 0x10") for m in moves_ms),
                   (1_500, "run")),
        13: states((0, "futex 0x20")),
        14: states((0, "recvfrom 5")),
    }  # fmt: skip
    record = replace(
        record,
        states=standing,
        wait_for=tuple(WaitForEvent(at(when), edges) for when, edges in looks),
    )
    did = {
        11: activities(activity(0, END_MS, LOOKUP, WANTS)),
        12: activities(activity(500, 1_500, LOOKUP, WANTS)),
        13: activities(activity(0, END_MS, LOOKUP, WANTS)),
        14: activities(activity(100, END_MS, REFRESH, root)),
    }
    return record, {record.thread(tid): mine for tid, mine in did.items()}


def chains_of(record: WorkerRecord, done: dict[ThreadKey, Activities]) -> Chains:
    return Chains([record], done, {record.thread(14): "refresher"}, SOURCES)


def chain(*looks: tuple[float, tuple[WaitEdge, ...]], tid: int = 12) -> Chain | None:
    record, done = recorded(*looks)
    return chains_of(record, done).of(record.thread(tid), at(500), at(1_500))


def found(
    *looks: tuple[float, tuple[WaitEdge, ...]],
    root: Wait = RECEIVES,
    told: tuple[Starvation, ...] = (),
    min_stall_ms: int = 100,
    moves_ms: tuple[float, ...] = (),
    unseen: tuple[int, ...] = (),
    **more: Any,
) -> list[Starvation]:
    """Of threads that are ``unseen`` no stack is known."""
    record, done = recorded(*looks, root=root, moves_ms=moves_ms)
    record = replace(record, **more)
    done = {record.thread(k.tid): mine for k, mine in done.items() if k.tid not in unseen}
    seen = held_locks.find(
        record, done, chains_of(record, done), told, at(END_MS), min_stall_ms * 1_000_000
    )
    return sorted(seen, key=lambda one: (one.start_ns, one.tid))


# --- chains ----------------------------------------------------------------------------------------


def test_a_chain_goes_from_who_waits_to_the_root() -> None:
    one = chain((700, (waits(12, 13), waits(13, 14, subject=OTHER))))
    assert one is not None
    assert not one.ring
    assert [(link.tid, link.waits_for, link.how) for link in one.links] == [
        (12, "lock", None),
        (13, "lock", "with"),
        (14, None, "with"),
    ]
    assert [link.thread for link in one.links] == ["", "", "refresher"]
    root = one.root
    assert (root.thread, root.wait, root.since_s) == ("refresher", RECEIVES, at(100) / 1e9)
    assert root.at is not None
    assert (root.at.function, root.at.file, root.at.line) == ("fetch", "/app/upstream.py", 18)
    assert root.taken is not None
    assert (root.taken.function, root.taken.line) == ("refresh", 40)


def test_the_last_look_that_knows_a_holder_tells() -> None:
    one = chain((600, (waits(12, 14),)), (900, (waits(12, 13),)), (1_200, (waits(12),)))
    assert one is not None
    assert [link.tid for link in one.links] == [12, 13]


@pytest.mark.parametrize("when_ms", [400, 1_600])
def test_a_look_before_or_after_tells_nothing(when_ms: int) -> None:
    assert chain((when_ms, (waits(12, 14),))) is None


def test_of_several_one_is_followed_of_which_a_stack_was_seen() -> None:
    one = chain((700, (waits(12, 77, 14),)))
    assert one is not None
    assert [link.tid for link in one.links] == [12, 14]


def test_nobody_who_holds_it_is_no_chain() -> None:
    assert chain((700, (waits(12),))) is None
    assert chain((700, (waits(11, 14),))) is None


def test_a_ring_has_each_of_its_threads_once() -> None:
    ring = (waits(12, 11), waits(11, 12, subject=OTHER))
    one = chain((700, ring))
    assert one is not None
    assert one.ring
    assert [(link.tid, link.waits_for) for link in one.links] == [(12, "lock"), (11, "lock")]
    assert all(link.taken is not None for link in one.links)


def test_who_only_leads_into_a_ring_is_no_part_of_it() -> None:
    ring = (waits(12, 11), waits(11, 13, subject=OTHER), waits(13, 11, subject=3))
    one = chain((700, ring))
    assert one is not None
    assert (one.ring, [link.tid for link in one.links]) == (True, [11, 13])


def test_of_several_in_a_ring_the_one_is_followed_that_closes_it_at_once() -> None:
    places = waits(13, 11, 12, subject=OTHER, kind="semaphore")
    one = chain((700, (waits(12, 13), places, waits(11, 12, subject=3))))
    assert one is not None
    assert (one.ring, [link.tid for link in one.links]) == (True, [12, 13])


def test_of_several_holders_one_is_followed_that_can_go_on() -> None:
    ring = (waits(13, 11, subject=OTHER), waits(11, 13, subject=3))
    one = chain((700, (waits(12, 13, 14, kind="semaphore"), *ring)))
    assert one is not None
    assert (one.ring, [link.tid for link in one.links]) == (False, [12, 14])


def test_a_thread_without_a_stack_is_a_link_all_the_same() -> None:
    one = chain((700, (waits(12, 77, at_=False),)))
    assert one is not None
    assert (one.root.at, one.root.taken, one.root.wait.kind) == (None, None, WaitKind.UNKNOWN)


# --- held locks ------------------------------------------------------------------------------------


def test_threads_that_wait_for_one_lock_are_one_episode_that_blames_who_holds_it() -> None:
    (one,) = found((700, (waits(12, 14), waits(11, 14))), (900, (waits(11, 14),)))
    assert (one.kind, one.verdict) == (HELD_LOCK, "starving")
    assert (ms(one.start_ns), ms(one.end_ns)) == (0, END_MS)
    assert (one.thread, one.place) == (ThreadKey(100, 11), "a lock"), "of who waited the longest"
    assert one.evidence == ("wait_for", "threads")
    assert [key.tid for key in one.held_by] == [14]
    assert sorted((item.name, ms(item.start_ns), ms(item.end_ns)) for item in one.items) == [
        ("lookup", 0, END_MS),
        ("lookup", 500, 1_500),
    ]
    assert one.detail == "a lock taken at /app/cache.py:40"
    (finding,) = findings.judge([one], SOURCES, 3.0)
    assert finding.blame is not None
    assert (finding.blame.function, finding.blame.line) == ("fetch", 18)


@pytest.mark.parametrize(
    "root",
    [
        Wait(WaitKind.QUEUE, "self.jobs.get", "futex"),
        Wait(WaitKind.LOCK, "self.ready.wait", "futex"),
        Wait(WaitKind.POOL_IDLE, None, "futex"),
        Wait(WaitKind.LOOP_POLL, None, "epoll_wait"),
        Wait(WaitKind.SOCKET, "self.listener.accept", "poll"),
        Wait(WaitKind.SOCKET, None, "accept4"),
        Wait(WaitKind.SOCKET, "select.select", "pselect6"),
        Wait(WaitKind.UNKNOWN),
    ],
    ids=str,
)
def test_who_waits_behind_one_that_waits_for_work_is_idle(root: Wait) -> None:
    assert found((700, (waits(12, 14),)), root=root) == []


def test_a_short_wait_is_none() -> None:
    assert found((700, (waits(12, 14),)), min_stall_ms=1_001) == []
    assert len(found((700, (waits(12, 14),)), min_stall_ms=1_000)) == 1


def test_a_wait_in_which_the_thread_has_run_is_another_one() -> None:
    (one,) = found((700, (waits(12, 14),)), moves_ms=(800,))
    assert (ms(one.start_ns), ms(one.end_ns)) == (500, 800)


def test_each_lock_and_each_time_is_told_by_itself() -> None:
    seen = found((700, (waits(12, 14), waits(13, 14, subject=OTHER))))
    assert [[key.tid for key in one.held_by] for one in seen] == [[14], [14]]
    assert [(one.tid, ms(one.start_ns)) for one in seen] == [(13, 0), (12, 500)]
    twice = found((700, (waits(12, 14),)), (1_200, (waits(12, 14),)), moves_ms=(800, 1_000))
    assert [(ms(one.start_ns), ms(one.end_ns)) for one in twice] == [(500, 800), (1_000, 1_500)]
    assert [len(one.items) for one in twice] == [1, 1]


def test_a_wait_that_is_no_finding_hides_no_later_one() -> None:
    looks = (700, (waits(12, 13),)), (1_200, (waits(12, 14),))  # 13 waits for it as well
    (one,) = found(*looks, moves_ms=(800, 1_000))
    assert (ms(one.start_ns), ms(one.end_ns)) == (1_000, 1_500)


def test_nobody_waits_in_a_process_that_is_gone() -> None:
    (one,) = found((700, (waits(12, 14),)), gone_ns=at(1_200), process=1)
    assert (ms(one.start_ns), ms(one.end_ns)) == (500, 1_200)
    assert one.thread == ThreadKey(100, 12, 1)


@pytest.mark.parametrize(
    ("kind", "told"), [("lock", 1), ("semaphore", 1), ("connections", 0), ("future", 0)]
)
def test_what_somebody_holds_is_a_lock_or_a_place_of_a_semaphore(kind: Held, told: int) -> None:
    assert len(found((700, (waits(12, 14, kind=kind),)))) == told
    assert len(found((700, (waits(11, kind=kind), waits(12, 14))))) == 1, "beside another wait"


def test_a_thread_that_runs_hides_nobody_who_stands() -> None:
    (one,) = found((700, (waits(99, 14), waits(12, 14))))
    assert [item.name for item in one.items] == ["lookup"]


def test_a_lock_is_named_by_where_it_was_taken_and_not_the_next_one_in_the_chain() -> None:
    _, one = found((700, (waits(12, 13), waits(13, 14, subject=OTHER, at_=False))))
    assert one.detail == "a lock taken at /app/cache.py:40"


def test_threads_without_a_stack_are_told_all_the_same() -> None:
    (one,) = found((700, (waits(12, 77, 14),)), unseen=(12,))
    assert [key.tid for key in one.held_by] == [14, 77]
    assert one.held_by[ThreadKey(100, 77)] == ()
    assert [(item.kind, item.name, item.where) for item in one.items] == [("thread", "", None)]
    assert (ms(one.items[0].start_ns), ms(one.items[0].end_ns)) == (500, 1_500)


def test_a_lock_that_went_from_hand_to_hand_makes_late() -> None:
    (one,) = found((700, (waits(12, 14),)), (900, (waits(12, 13),)), (1_100, (waits(12, 14),)))
    assert (one.kind, one.verdict) == (HELD_LOCK, "late")
    assert [key.tid for key in one.held_by] == [13, 14]


def test_who_holds_it_in_turn_is_blamed_for_that_and_not_for_its_own_wait() -> None:
    record, done = recorded((600, (waits(12, 14),)), (2_000, (waits(11, 12),)))
    done[record.thread(12)] = activities(
        activity(500, 1_500, LOOKUP, WANTS), activity(1_500, END_MS, REFRESH, RECEIVES)
    )
    chains = chains_of(record, done)
    (one,) = held_locks.find(record, done, chains, (), at(END_MS), 100_000_000)
    held = {key.tid: [(ms(a.start_ns), a.stack) for a in mine] for key, mine in one.held_by.items()}
    assert held == {12: [(1_500, REFRESH)], 14: [(100, REFRESH)]}


def test_who_has_given_it_back_and_idles_in_its_pool_is_not_blamed_for_that() -> None:
    record, done = recorded((600, (waits(12, 14),)))
    idle = stack("_worker@lib/concurrent/futures/thread.py:81")
    done[record.thread(14)] = activities(
        activity(100, 1_000, REFRESH, RECEIVES),
        activity(1_000, END_MS, idle, Wait(WaitKind.POOL_IDLE)),
    )
    chains = chains_of(record, done)
    (one,) = held_locks.find(record, done, chains, (), at(END_MS), 100_000_000)
    (held,) = one.held_by.values()
    assert [(ms(a.start_ns), ms(a.end_ns), a.stack) for a in held] == [(500, 1_000, REFRESH)]


def places(tid: int, *holders: int, at_: str) -> WaitEdge:
    found = tuple(Holder(one, "with", frame(at_)) for one in holders)
    return WaitEdge(tid, "semaphore", LOCK, found, whole=True)


HERE, ELSEWHERE = "lookup@/app/cache.py:52", "refresh@/app/cache.py:40"


@pytest.mark.parametrize("at_", [HERE, ELSEWHERE])
def test_a_semaphore_that_all_take_at_one_line_is_a_limit_on_purpose(at_: str) -> None:
    seen = found((700, (places(12, 14, 15, at_=at_), places(11, 14, 15, at_=at_))))
    assert [one.verdict for one in seen] == ["starving"] * (at_ == ELSEWHERE)


def test_a_limit_on_purpose_counts_where_requests_wait() -> None:
    edges = (places(12, 14, at_=HERE),)
    record, done = recorded((700, edges))
    begun = stack("process_request_thread@lib/socketserver.py:691") + LOOKUP
    served = {**done, record.thread(12): activities(activity(500, 1_500, begun, WANTS))}
    owed = replace(record, requests=(RequestsEvent(at(600), 80, 3, 3, at(550)),))
    for one, did in ((record, served), (owed, done)):
        (seen,) = held_locks.find(one, did, chains_of(one, did), [], at(END_MS), 100_000_000)
        assert seen.kind is HELD_LOCK


@pytest.mark.parametrize(("before", "verdict"), [((11, 14), "starving"), ((11, 16), "late")])
def test_places_of_a_semaphore_that_some_keep_starve(before: tuple[int, int], verdict: str) -> None:
    first, last = places(12, *before, at_=ELSEWHERE), places(12, 14, 15, at_=ELSEWHERE)
    (one,) = found((700, (first,)), (900, (last,)))
    assert one.verdict == verdict


def test_of_a_root_that_runs_what_it_does_the_longest_is_told() -> None:
    record, done = recorded((700, (waits(12, 14),)))
    computes = Wait(WaitKind.ON_CPU)
    done[record.thread(14)] = activities(
        activity(400, 720, LOOKUP, computes), activity(720, 1_500, REFRESH, computes)
    )
    one = chains_of(record, done).of(record.thread(12), at(500), at(1_500))
    assert one is not None
    assert one.root.at is not None
    assert one.root.at.function == "fetch"


@pytest.mark.parametrize("ran", [True, False])
def test_a_holder_without_a_stack_counts_where_it_runs(ran: bool) -> None:
    record, done = recorded((700, (waits(12, 77),)))
    moves = ((500, "run"), (1_500, "futex 0x30")) if ran else ()
    record = replace(record, states={**record.states, 77: states((0, "futex 0x30"), *moves)})
    seen = list(held_locks.find(record, done, chains_of(record, done), [], at(END_MS), 100_000_000))
    assert [one.detail for one in seen] == ["a lock taken at /app/cache.py:40"] * ran
    for finding in findings.judge(seen, SOURCES, 3.0):
        assert finding.blame is None


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        ([(500, "run"), (1_500, "run")], 1),
        ([(500, "run"), (610, "queue")], 1),
        ([(500, "run"), (590, "queue")], 0),
        ([(500, "queue"), (590, "run"), (680, "futex 0x20")], 0),
        ([], 1),
    ],
    ids=["all the time", "long enough", "crowded out", "runs for a moment", "not known"],
)
def test_a_root_that_did_not_get_the_cpu_is_not_to_blame(
    kernel: list[tuple[float, str]], told: int
) -> None:
    record, done = recorded((700, (waits(12, 14),)), root=Wait(WaitKind.ON_CPU))
    mine = states((0, "futex 0x20"), *kernel) if kernel else NO_STATES
    record = replace(record, states={**record.states, 14: mine})
    seen = held_locks.find(record, done, chains_of(record, done), [], at(END_MS), 100_000_000)
    assert len(list(seen)) == told


def test_what_a_loop_is_kept_by_is_told_there() -> None:
    record, done = recorded((700, (waits(12, 14),)))
    loop = Starvation(
        BLOCKED_LOOP, "starving", 100, 12, "a loop", at(600), at(1_500),
        {record.thread(12): tuple(done[record.thread(12)])}, None, ("asyncio",),
    )  # fmt: skip
    assert found((700, (waits(12, 14),)), told=(loop,)) == []
    task = replace(loop, kind=HELD_LOCK, of_tasks=True)
    assert len(found((700, (waits(12, 14),)), told=(task,))) == 1, "awaits are no thread's stack"
    before = replace(loop, end_ns=at(800))
    twice = (700, (waits(12, 14),)), (1_200, (waits(12, 14),))
    (later,) = found(*twice, told=(before,), moves_ms=(800, 1_000))
    assert ms(later.start_ns) == 1_000
    (one,) = held_locks.rings([loop], chains_of(record, done))
    assert one == loop
    (finding,) = findings.judge([one], SOURCES, 3.0, chains_of(record, done))
    assert [link.tid for link in finding.chain] == [12, 14]


# --- deadlocks -------------------------------------------------------------------------------------

RING = (waits(12, 11), waits(11, 12, subject=OTHER))


def test_a_ring_of_threads_is_one_deadlock() -> None:
    (one,) = found((700, RING))
    assert (one.kind, one.verdict) == (DEADLOCK, "starving")
    assert [key.tid for key in one.held_by] == [11, 12]
    assert len(one.items) == 2


def test_each_ring_is_a_deadlock_of_its_own() -> None:
    other = (waits(13, 14, subject=3), waits(14, 13, subject=4))
    seen = found((700, RING + other))
    assert [[key.tid for key in one.held_by] for one in seen] == [[13, 14], [11, 12]]


def test_a_loop_that_a_ring_keeps_is_a_deadlock() -> None:
    record, done = recorded((700, RING))
    loop = Starvation(
        BLOCKED_LOOP, "starving", 100, 12, "a loop", at(600), at(1_500),
        {record.thread(12): tuple(done[record.thread(12)])}, None, ("asyncio",),
    )  # fmt: skip
    busy = replace(loop, kind=BUSY_LOOP)
    unknown = replace(loop, held_by={})
    latent = replace(loop, verdict="latent")
    *others, last, one = held_locks.rings([busy, unknown, latent, loop], chains_of(record, done))
    assert (one.kind, one.start_ns, one.held_by) == (DEADLOCK, loop.start_ns, loop.held_by)
    assert (last.kind, last.verdict) == (DEADLOCK, "starving")
    assert others == [busy, unknown]


def test_who_wants_its_own_lock_again_is_a_ring_of_one() -> None:
    record, done = recorded((700, (waits(12, 12),)))
    (one,) = found((700, (waits(12, 12),)))
    assert (one.kind, [key.tid for key in one.held_by]) == (DEADLOCK, [12])
    (finding,) = findings.judge([one], SOURCES, 3.0, chains_of(record, done))
    (link,) = finding.chain
    assert (link.tid, link.waits_for) == (12, "lock")
    assert link.taken is not None


def test_a_lock_that_nobody_is_left_to_give_up_is_a_deadlock() -> None:
    edge = WaitEdge(12, "abandoned-lock", LOCK, (), whole=True)
    record, done = recorded((1_000, (edge,)))
    chains = chains_of(record, done)
    found = chains.of(record.thread(12), at(500), at(1_500))
    assert found is not None
    assert found.ring
    assert [(link.tid, link.waits_for) for link in found.links] == [(12, "abandoned-lock")]
    (one,) = held_locks.find(record, done, chains, [], at(END_MS), 100_000_000)
    assert (one.kind, one.verdict) == (DEADLOCK, "starving")
    assert (ms(one.start_ns), ms(one.end_ns)) == (500, 1_500)
    blocked = Starvation(
        BLOCKED_LOOP, "starving", 100, 12, "a loop", at(500), at(1_500),
        {record.thread(12): ()}, None, (),
    )  # fmt: skip
    (told,) = held_locks.rings([blocked], chains)
    assert told.kind is DEADLOCK


def test_who_waits_behind_one_that_waits_for_ever_is_in_its_deadlock() -> None:
    edges = (waits(12, 13), WaitEdge(13, "abandoned-lock", OTHER, (), whole=True))
    found = chain((1_000, edges))
    assert found is not None
    assert found.ring
    assert [(link.tid, link.waits_for) for link in found.links] == [
        (12, "lock"),
        (13, "abandoned-lock"),
    ]


def test_work_that_nobody_has_is_a_deadlock() -> None:
    edge = WaitEdge(12, "lost-job", OTHER, (), whole=True)
    (one,) = found((1_000, (edge,)))
    assert (one.kind, one.verdict, one.place) == (DEADLOCK, "starving", "a pool of processes")
    assert one.detail == "work that no process of its pool has or will take"
    assert (ms(one.start_ns), ms(one.end_ns)) == (500, 1_500)


def test_a_lock_that_a_process_has_ended_with_is_a_deadlock() -> None:
    dead = Holder(900, "with", frame("refresh@/app/cache.py:40"), pid=900)
    edge = WaitEdge(12, "orphaned-lock", LOCK, (dead,), whole=True)
    (one,) = found((1_000, (edge,)))
    assert (one.kind, one.verdict, one.place) == (DEADLOCK, "starving", "a lock")
    assert one.detail == "a lock taken at /app/cache.py:40 by process 900, which has ended"
    assert [key.tid for key in one.held_by] == [12]
    (one,) = found((1_000, (WaitEdge(12, "orphaned-lock", LOCK, (), whole=True),)))
    assert (one.kind, one.detail) == (DEADLOCK, None)


def lost(tid: int, kind: Held, begun: str = "") -> list[Starvation]:
    """What is told of a thread that waits for what nobody else can reach."""
    record, done = recorded((1_000, (WaitEdge(tid, kind, OTHER, (), whole=True),)))
    record = replace(record, states={**record.states, 100: record.states[12]})
    mine = activities(activity(500, 1_500, stack(begun + "ask@/app/a.py:9"), WANTS))
    done[record.thread(tid)] = mine
    seen = held_locks.find(record, done, chains_of(record, done), (), at(END_MS), 100_000_000)
    return list(seen)


GTHREAD = "run@site/gunicorn/workers/gthread.py:9 > "


@pytest.mark.parametrize(
    ("tid", "kind", "begun", "told"),
    [
        (12, "lost-result", "", True),
        (12, "lost-queue", "", True),
        (12, "lost-signal", "", False),
        (12, "lost-signal", GTHREAD, True),
        (100, "lost-result", "", False),
        (100, "lost-signal", GTHREAD, True),
    ],
)
def test_what_nobody_else_can_reach_is_a_deadlock_where_that_is_not_on_purpose(
    tid: int, kind: Held, begun: str, told: bool
) -> None:
    found = [(one.kind, one.verdict, one.tid) for one in lost(tid, kind, begun)]
    assert found == ([(DEADLOCK, "starving", tid)] if told else [])


def test_who_waits_for_the_lock_of_one_that_waits_for_ever_is_in_a_deadlock() -> None:
    waits_for_ever = WaitEdge(13, "lost-signal", OTHER, (), whole=True)
    (one,) = found((1_000, (waits(12, 13), waits_for_ever)))
    assert (one.kind, one.place) == (DEADLOCK, "an event")


def in_another_process(
    *looks: tuple[float, tuple[WaitEdge, ...]],
    still: tuple[tuple[float, str], ...] = (),
    tasks: tuple[TaskEdge, ...] = (),
) -> Chain | None:
    """The chain of thread 12, which waits for what process 200 does; that one was looked at, too."""
    job = WaitEdge(12, "future", OTHER, (Holder(200, "work-item", pid=200),), whole=True)
    record, done = recorded((1_000, (job,)))
    other = replace(
        worker(200),
        states={200: states(*(still or ((0, "futex 0x30"),)))},
        wait_for=tuple(WaitForEvent(at(when), edges, (), tasks) for when, edges in looks),
    )
    did = {
        200: activities(activity(100, END_MS, LOOKUP, WANTS)),
        201: activities(activity(100, END_MS, REFRESH, RECEIVES)),
    }
    done |= {other.thread(tid): mine for tid, mine in did.items()}
    return Chains([record, other], done, {}, SOURCES).of(record.thread(12), at(500), at(1_500))


def test_a_chain_goes_on_in_the_process_that_has_the_work() -> None:
    found = in_another_process()
    assert found is not None
    assert [(link.pid, link.tid, link.waits_for) for link in found.links] == [
        (100, 12, "future"),
        (200, 200, None),
    ]
    assert found.root.at is not None
    assert found.root.at.function == "lookup"


@pytest.mark.parametrize("when", [600, 1_400])
def test_and_to_what_that_process_waits_for(when: float) -> None:
    found = in_another_process((when, (waits(200, 201),)))
    assert found is not None
    assert [(link.pid, link.tid) for link in found.links] == [(100, 12), (200, 200), (200, 201)]
    assert found.root.wait == RECEIVES


def test_but_not_to_what_it_waited_for_before() -> None:
    ran = ((0, "futex 0x30"), (800, "run"), (810, "futex 0x30"))
    found = in_another_process((600, (waits(200, 201),)), still=ran)
    assert found is not None
    assert [(link.pid, link.tid) for link in found.links] == [(100, 12), (200, 200)]


@pytest.mark.parametrize(("kind", "ring"), [("lock", True), ("semaphore", False)])
def test_a_ring_through_another_process(kind: Held, ring: bool) -> None:
    back = WaitEdge(200, kind, LOCK, (Holder(12, "with", TAKEN, pid=100),), whole=True)
    found = in_another_process((1_000, (back,)))
    assert found is not None
    assert found.ring == ring  # of a semaphore, others may have places
    assert [(link.pid, link.tid) for link in found.links] == [(100, 12), (200, 200)]
    assert (found.links[0].taken is not None) == ring


def test_a_place_of_a_semaphore_on_the_way_back_from_another_process_is_no_ring() -> None:
    place = WaitEdge(200, "semaphore", LOCK, (Holder(201, "with", TAKEN),), whole=True)
    back = WaitEdge(201, "lock", OTHER, (Holder(12, "with", TAKEN, pid=100),), whole=True)
    found = in_another_process((1_000, (place, back)))
    assert found is not None
    assert not found.ring, "others may have places"
    assert [(link.pid, link.tid) for link in found.links] == [(100, 12), (200, 200), (200, 201)]


def test_a_ring_through_a_task_of_another_process() -> None:
    held = WaitEdge(200, "lock", LOCK, (Holder(201, "with", TAKEN, 0xA1),), whole=True)
    back = WaitEdge(201, "lock", OTHER, (Holder(12, "with", TAKEN, pid=100),), whole=True)
    found = in_another_process(
        (1_000, (held, back)), tasks=(TaskEdge(0xA1, 201, REFRESH, None, ()),)
    )
    assert found is not None
    assert found.ring
    assert [(link.pid, link.tid, link.task, link.waits_for) for link in found.links] == [
        (100, 12, None, "future"),
        (200, 200, None, "lock"),
        (200, 201, "fetch", "loop"),
        (200, 201, None, "lock"),
    ]


def test_a_lock_that_another_process_holds_blames_that_one() -> None:
    edge = WaitEdge(12, "lock", LOCK, (Holder(200, "with", TAKEN, pid=200),), whole=True)
    record, done = recorded((1_000, (edge,)))
    other = replace(worker(200), states={200: states((0, "recvfrom 5"))})
    key = other.thread(200)
    done[key] = activities(activity(100, END_MS, REFRESH, RECEIVES))
    chains = Chains([record, other], done, {}, SOURCES)
    (one,) = held_locks.find(record, done, chains, [], at(END_MS), 100_000_000)
    assert (one.kind, one.pid, tuple(one.held_by)) == (HELD_LOCK, 100, (key,))
    assert one.held_by[key][0].stack == REFRESH
    assert one.detail == "a lock taken at /app/cache.py:40"


def test_a_lock_of_a_process_that_was_not_recorded_names_that_one() -> None:
    edge = WaitEdge(12, "lock", LOCK, (Holder(200, "owner", TAKEN, pid=200),), whole=True)
    record, done = recorded((1_000, (edge,)))
    found = chains_of(record, done).of(record.thread(12), at(500), at(1_500))
    assert found is not None
    assert [(link.pid, link.tid) for link in found.links] == [(100, 12), (200, 200)]
    assert found.root.wait.kind is WaitKind.UNKNOWN
    assert list(held_locks.find(record, done, chains_of(record, done), [], at(END_MS), 1)) == []


# --- locks on files --------------------------------------------------------------------------------


def of_file(start_ms: float) -> list[Starvation]:
    """Thread 11 waits from then on for a lock on a file that another process has."""
    edge = WaitEdge(11, "file-lock", LOCK, (Holder(200, "owner", pid=200),), whole=True)
    record, done = recorded((1_000, (edge,)))
    standing = {**record.states, 11: states((0, "run"), (start_ms, "flock 5"))}
    record = replace(record, states=standing)
    other = replace(worker(200), states={200: states((0, "clock_nanosleep"))})
    done[other.thread(200)] = activities(activity(100, END_MS, REFRESH, SLEEPS))
    chains = Chains([record, other], done, {}, SOURCES)
    return list(held_locks.find(record, done, chains, [], at(END_MS), 100_000_000))


def test_a_lock_on_a_file_that_another_process_has_starves_who_came_for_it() -> None:
    (one,) = of_file(300)
    assert (one.kind, [key.pid for key in one.held_by]) == (HELD_LOCK, [200])


def test_who_has_waited_for_it_since_before_may_wait_for_the_end_of_that_process() -> None:
    assert of_file(199) == []


# --- messages from other processes -----------------------------------------------------------------


def answered_by(
    other: Wait, *looks: tuple[float, tuple[WaitEdge, ...]], how: How = "peer"
) -> Chain | None:
    """The chain of thread 12: thread 14 has the lock, and waits for a message of process 200."""
    message = WaitEdge(14, "message", OTHER, (Holder(200, how, pid=200),), whole=True)
    record, done = recorded((700, (waits(12, 14), message)))
    sibling = replace(
        worker(200),
        states={200: states((0, "futex 0x30"))},
        wait_for=tuple(WaitForEvent(at(when), edges) for when, edges in looks),
    )
    done[sibling.thread(200)] = activities(activity(100, END_MS, LOOKUP, other))
    return Chains([record, sibling], done, {}, SOURCES).of(record.thread(12), at(500), at(1_500))


SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")


def test_a_chain_goes_on_to_who_has_to_send_what_the_holder_waits_to_read() -> None:
    one = answered_by(SLEEPS)
    assert one is not None
    assert [(link.pid, link.tid, link.waits_for, link.how) for link in one.links] == [
        (100, 12, "lock", None),
        (100, 14, "message", "with"),
        (200, 200, None, "peer"),
    ]
    assert one.root.wait == SLEEPS
    assert held_locks.is_slow(one)


@pytest.mark.parametrize(
    "idles",
    [
        Wait(WaitKind.LOOP_POLL, None, "epoll_wait"),
        Wait(WaitKind.POOL_IDLE, None, "futex"),
        Wait(WaitKind.SOCKET, "sock.accept", "accept4"),
        Wait(WaitKind.SOCKET, "select.poll", "poll"),
        Wait(WaitKind.UNKNOWN),
    ],
    ids=str,
)
def test_but_not_to_one_who_has_nothing_to_do(idles: Wait) -> None:
    one = answered_by(idles)
    assert one is not None
    assert [(link.pid, link.tid) for link in one.links] == [(100, 12), (100, 14)]
    assert (one.root.wait, one.root.waits_for) == (RECEIVES, None)
    assert held_locks.is_slow(one), "what the holder does counts, as if the other one was not known"


@pytest.mark.parametrize(("kind", "slow"), [("reply", True), ("message", False)])
def test_a_message_may_bring_work_and_a_reply_does_not(kind: Held, slow: bool) -> None:
    """Threads that take their jobs from another process by turns are idle, however slow it is."""
    takes = Wait(WaitKind.QUEUE, "Connection.recv", "read")
    message = WaitEdge(14, kind, OTHER, (Holder(200, "peer", pid=200),), whole=True)
    record, done = recorded((700, (waits(12, 14), message)), root=takes)
    sibling = replace(worker(200), states={200: states((0, "futex 0x30"))})
    done[sibling.thread(200)] = activities(activity(100, END_MS, LOOKUP, SLEEPS))
    chains = Chains([record, sibling], done, {}, SOURCES)
    one = chains.of(record.thread(12), at(500), at(1_500))
    assert one is not None
    assert one.root.wait == SLEEPS
    assert held_locks.is_slow(one) == slow
    found = list(held_locks.find(record, done, chains, [], at(END_MS), 100_000_000))
    assert [each.kind for each in found] == [HELD_LOCK] * slow


def test_and_not_to_one_of_whom_no_stack_was_seen() -> None:
    message = WaitEdge(14, "message", OTHER, (Holder(200, "peer", pid=200),), whole=True)
    one = chain((700, (waits(12, 14), message)))
    assert one is not None
    assert [link.tid for link in one.links] == [12, 14]


@pytest.mark.parametrize(("how", "ring"), [("peer", True), ("reach", False)])
def test_who_wants_the_lock_of_one_that_waits_for_its_message_is_in_a_ring(
    how: How, ring: bool
) -> None:
    back = WaitEdge(200, "lock", LOCK, (Holder(14, "with", TAKEN, pid=100),), whole=True)
    one = answered_by(WANTS, (700, (back,)), how=how)
    assert one is not None
    assert one.ring == ring, "who only seems to have to send it may not be the one"
    if ring:
        assert [(link.pid, link.tid, link.waits_for) for link in one.links] == [
            (100, 14, "message"),
            (200, 200, "lock"),
        ]


def test_two_who_wait_for_a_message_of_each_other_are_no_ring() -> None:
    back = WaitEdge(200, "message", LOCK, (Holder(14, "peer", pid=100),), whole=True)
    one = answered_by(RECEIVES, (700, (back,)))
    assert one is not None
    assert not one.ring, "others may write there, too"
    assert [(link.pid, link.tid) for link in one.links] == [(100, 12), (100, 14), (200, 200)]
