"""Episodes of who waits for a process that waits for the worker to read a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.examples.build import SOURCES, activities, activity, at, ms, recording, stack, worker
from waitspy.judge import analysis, children
from waitspy.judge.episode import Starvation
from waitspy.model.children import ChildrenEvent, ChildWait, StandingChild
from waitspy.model.judged import Finding, Link
from waitspy.model.kinds import BLOCKED_LOOP, BUSY_LOOP, DEADLOCK, EXHAUSTED_POOL, Kind, Verdict
from waitspy.model.loops import LoopEvent, LoopEvents, LoopInfo
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.waits import Wait, WaitKind

LOOP = 0xA0
END_MS = 6_000
GREPS = stack("grep@/app/tools.py:31 > StreamReader.read@lib/asyncio/streams.py:713")
WAITS = stack("Process.wait@lib/asyncio/subprocess.py:137")
RUNS = stack("run@/app/jobs.py:12 > Popen.wait@lib/subprocess.py:1264")
WATCHES = stack("ThreadedChildWatcher._do_waitpid@lib/asyncio/unix_events.py:1408")
CLOSES = stack("ThreadedChildWatcher.close@lib/asyncio/unix_events.py:1358")
WAIT4 = Wait(WaitKind.SUBPROCESS, "Popen.wait", "wait4")


def task(since_ms: float = 500, *, stack_: object = GREPS, pid: int = 200) -> ChildWait:
    assert isinstance(stack_, tuple)
    return ChildWait("output", pid, "sh", at(since_ms), None, LOOP, stack_, 3)


def thread(tid: int = 12, since_ms: float = 500, pid: int = 200) -> ChildWait:
    return ChildWait("exit", pid, "sh", at(since_ms), tid)


def child(
    *waits: ChildWait, pid: int = 200, since_ms: float = 1_000, pipe: int = 7, name: str = "sh"
) -> StandingChild:
    return StandingChild(pid, name, pipe, 11, at(since_ms), waits)


Seen = (
    tuple[float, Sequence[StandingChild]] | tuple[float, Sequence[StandingChild], tuple[int, ...]]
)


def record(*seen: Seen) -> WorkerRecord:
    events = tuple(
        ChildrenEvent(at(when), tuple(standing), *ended) for when, standing, *ended in seen
    )
    known = {"threads": "ok", "epoll": "ok", "children": "ok"}
    return replace(worker(end_ms=END_MS), oracles=known, children=events)


DID = {
    12: activities(activity(0, END_MS, RUNS, WAIT4)),
    13: activities(activity(0, END_MS, WATCHES, WAIT4)),
    14: activities(activity(0, END_MS, CLOSES, WAIT4)),
}


def found(*seen: Seen, min_stall_ms: int = 100, **more: Any) -> list[Starvation]:
    told = replace(record(*seen), **more)
    done = {told.thread(tid): mine for tid, mine in DID.items()}
    stall_ns = min_stall_ms * 1_000_000
    return list(children.find([told], done, names(told), SOURCES, at(END_MS), stall_ns))


def names(told: WorkerRecord) -> dict[ThreadKey, str]:
    return {told.thread(12): "job-1"}


def judged(*seen: Seen) -> tuple[Finding, ...]:
    return analysis.analyse(recording(record(*seen), end_ms=END_MS)).report.findings


def test_tasks_that_wait_for_a_process_that_waits_for_them_are_a_deadlock() -> None:
    (one,) = judged((1_500, [child()]), (2_000, [child(task())]))
    assert (one.kind, one.verdict) == (DEADLOCK, "starving")
    assert one.blame is not None
    assert (one.blame.function, one.blame.line) == ("grep", 31)
    assert one.wait == Wait(WaitKind.SUBPROCESS, "StreamReader.read")
    assert one.starved_s == pytest.approx(5.0), "since both of them have waited"
    assert [(v.kind, v.name, v.where, v.count) for v in one.victims] == [
        ("task", "grep", "/app/tools.py:31", 3)
    ]
    assert one.detail == (
        "child sh (pid 200) is blocked in write to a pipe that this server holds as fd 11 and "
        "does not read"
    )
    assert "communicate()" in one.remedy
    waiter, blocked = one.chain
    assert (waiter.task, waiter.count, waiter.waits_for) == ("grep", 3, "output")
    assert (blocked.pid, blocked.program, blocked.how) == (200, "sh", "pipe")
    assert blocked.waits_for == "reader", "so it is a ring"


def test_a_thread_blames_its_own_line() -> None:
    (one,) = found((1_500, [child(thread())]))
    assert one.held_by == {ThreadKey(100, 12): (activity(1_000, END_MS, RUNS, WAIT4),)}
    assert (ms(one.start_ns), ms(one.end_ns)) == (1_000, END_MS)
    assert one.place == "a process that it has started"
    assert (one.asyncio, one.of_tasks) == (False, False)
    assert [(item.kind, item.name) for item in one.items] == [("thread", "run")]
    assert [(link.thread, link.waits_for, link.how) for link in one.links] == [
        ("job-1", "exit", "pipe"),
        ("", "reader", "child"),
    ]


def test_who_waits_for_the_parent_of_the_blocked_one_has_a_longer_chain() -> None:
    below = child(thread(), pid=201, name="head")
    (one,) = found((1_500, [below]))
    assert [(link.program, link.pid, link.waits_for) for link in one.links] == [
        (None, 100, "exit"),
        ("sh", 200, "exit"),
        ("head", 201, "reader"),
    ]
    assert one.links[1] == Link(
        200, 200, "", None, Wait(WaitKind.SUBPROCESS), None, "child",
        waits_for="exit", program="sh",
    )  # fmt: skip
    assert one.detail is not None
    assert one.detail.startswith("child head (pid 201) is blocked")


def test_tasks_wait_in_the_thread_of_their_loop() -> None:
    facts = LoopInfo("asyncio", 5, 117, "running", closed=False)
    told = LoopEvents.of([LoopEvent(at(0), LOOP, facts=facts)])
    (one,) = found((1_500, [child(task())]), loops=told)
    assert (one.thread, one.asyncio, one.of_tasks) == (ThreadKey(100, 117), True, True)
    (one,) = found((1_500, [child(task())]), process=1)
    assert one.thread == ThreadKey(100, 100, 1), "the main thread where that is not known"


def test_nobody_waits_in_a_process_that_is_gone() -> None:
    (one,) = found((1_500, [child(thread())]), gone_ns=at(4_000))
    assert (ms(one.start_ns), ms(one.end_ns)) == (1_000, 4_000)


def test_a_thread_without_a_name_has_none_in_the_chain() -> None:
    (one,) = found((1_500, [child(thread(14))]))
    assert (one.links[0].tid, one.links[0].thread) == (14, "")


def test_nobody_who_waits_is_nothing() -> None:
    assert found((1_500, [child()])) == []


@pytest.mark.parametrize(
    ("since_ms", "min_stall_ms", "many"),
    [(5_000, 100, 1), (5_001, 100, 0), (3_001, 300, 0), (3_000, 300, 1), (5_001, 10, 0)],
)
def test_it_has_to_stand_for_long(since_ms: float, min_stall_ms: int, many: int) -> None:
    seen = (5_500, [child(thread(), since_ms=since_ms)])
    assert len(found(seen, min_stall_ms=min_stall_ms)) == many
    late = (5_500, [child(thread(since_ms=since_ms))])
    assert len(found(late, min_stall_ms=min_stall_ms)) == many


def test_a_process_that_went_on_is_no_deadlock() -> None:
    assert found((1_500, [child(thread())]), (4_000, [])) == []
    again = (4_500, [child(thread(), since_ms=4_200)])
    assert found((1_500, [child(thread())]), (4_000, []), again) == []
    assert found((1_500, [child(thread())]), (4_500, [child(thread(), since_ms=4_200)])) == []


def test_one_that_somebody_ended_was_one() -> None:
    (one,) = found((1_500, [child(thread())]), (4_000, [], (200,)))
    assert (ms(one.start_ns), ms(one.end_ns)) == (1_000, 4_000)
    assert found((1_500, [child(thread())]), (3_999, [], (200,))) == [], "or it went on to its end"


def test_another_one_of_the_same_process_is_keptby_itself() -> None:
    (one,) = found(
        (1_500, [child(thread()), child(thread(), pipe=8)]), (4_000, [child(thread(), pipe=8)])
    )
    assert (ms(one.start_ns), ms(one.end_ns)) == (1_000, END_MS)


def test_a_thread_of_asyncio_that_watches_the_process_is_nobody() -> None:
    assert found((1_500, [child(thread(13))])) == []
    (one,) = found((1_500, [child(thread(13), task())]))
    assert [item.kind for item in one.items] == ["task"]


def test_a_thread_of_which_nothing_is_known_is_not_told() -> None:
    assert found((1_500, [child(thread(99))])) == []


def test_the_programs_own_lines_come_before_those_of_the_library() -> None:
    (one,) = found((1_500, [child(task(stack_=WAITS), task())]))
    assert [item.name for item in one.items] == ["grep"]
    (one,) = found((1_500, [child(task(stack_=WAITS))]))
    assert [item.name for item in one.items] == ["Process.wait"]


def test_processes_that_are_waited_for_at_one_line_are_told_together() -> None:
    many = [child(task(pid=n), pid=n, pipe=n) for n in (200, 201, 202)]
    (one,) = found((1_500, many))
    assert sum(item.count for item in one.items) == 9
    assert len(one.guilty) == 3
    assert one.detail is not None
    assert one.detail.endswith("; 2 more like it")
    other = child(task(pid=300), pid=300, name="ffmpeg")
    assert len(found((1_500, [*many, other]))) == 2


def test_each_time_tells_its_own_processes() -> None:
    later = child(task(4_600, pid=201), pid=201, since_ms=4_600, pipe=8)
    both = found((1_500, [child(task())]), (4_500, [], (200,)), (4_900, [later]))
    assert [(ms(one.start_ns), len(one.items)) for one in both] == [(1_000, 1), (4_600, 1)]


def test_those_of_several_workers_and_times_are_one_finding() -> None:
    first = record((1_500, [child(task(pid=200))]), (4_500, [], (200,)))
    later = child(task(4_600, pid=201), pid=201, since_ms=4_600, pipe=8)
    events = (*first.children, ChildrenEvent(at(4_900), (later,)))
    other = record((1_500, [child(task(pid=300), pid=300)]))
    workers = (
        replace(first, children=events),
        replace(other, worker=replace(other.worker, pid=101)),
    )
    (one,) = analysis.analyse(recording(*workers, end_ms=END_MS)).report.findings
    assert (one.pids, one.occurrences) == ((100, 101), 3)
    assert one.detail is not None
    assert one.detail.startswith("child sh (pid 300)")
    assert one.detail.endswith("; 2 more like it")


# --- loops and pools -------------------------------------------------------------------------------


def told(
    kind: Kind, *tids: int, end_ms: float = END_MS, verdict: Verdict = "starving"
) -> Starvation:
    one = record()
    held_by = {one.thread(tid): (activity(1_000, end_ms, RUNS, WAIT4),) for tid in tids}
    return Starvation(
        kind, verdict, 100, 12, "it", at(1_000), at(end_ms), held_by, None, ("epoll",)
    )


@pytest.mark.parametrize(
    ("kind", "verdict"), [(BLOCKED_LOOP, "starving"), (EXHAUSTED_POOL, "late")]
)
def test_a_loop_or_pool_that_is_kept_so_is_that_deadlock(kind: Kind, verdict: Verdict) -> None:
    mine = found((1_500, [child(thread())]))
    other = told(BLOCKED_LOOP, 14)
    first, one = children.of_loops_and_pools([other, told(kind, 12, verdict=verdict)], mine)
    assert first == other
    assert (one.kind, one.verdict) == (DEADLOCK, "starving")
    assert one.evidence == ("epoll", "children")
    assert one.links == mine[0].links
    assert one.detail == mine[0].detail


@pytest.mark.parametrize(
    "other",
    [told(EXHAUSTED_POOL, 12, 14), told(BUSY_LOOP, 12), told(BLOCKED_LOOP, 14)],
    ids=["one thread of two", "another kind", "another thread"],
)
def test_what_is_kept_by_others_too_stays_what_it_is(other: Starvation) -> None:
    mine = found((1_500, [child(thread())]))
    assert list(children.of_loops_and_pools([other], mine)) == [other, *mine]


def test_a_stall_that_was_over_long_before_is_no_deadlock() -> None:
    mine = found((4_500, [child(thread(), since_ms=4_000)]))
    before = told(BLOCKED_LOOP, 12, end_ms=4_500)
    assert list(children.of_loops_and_pools([before], mine)) == [before, *mine]
    half = found((3_600, [child(thread(), since_ms=3_500)]))
    (one,) = children.of_loops_and_pools([told(BLOCKED_LOOP, 12)], half)
    assert one.kind is DEADLOCK, "half of its time"


def test_of_a_thread_that_waited_twice_each_stall_is_told_once() -> None:
    first = child(thread(since_ms=100), since_ms=100)
    later = child(thread(since_ms=3_500), pid=201, since_ms=3_500, pipe=8)
    mine = found((200, [first]), (3_400, [], (200,)), (3_600, [later]))
    assert len(mine) == 2
    both = [
        replace(told(BLOCKED_LOOP, 12), start_ns=one.start_ns, end_ns=one.end_ns) for one in mine
    ]
    kept = list(children.of_loops_and_pools(both, mine))
    assert [one.kind for one in kept] == [DEADLOCK, DEADLOCK]


def test_tasks_are_told_beside_their_loop() -> None:
    mine = found((1_500, [child(task())]))
    loop = told(BLOCKED_LOOP, 100)
    assert list(children.of_loops_and_pools([loop], mine)) == [loop, *mine]
