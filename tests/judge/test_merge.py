"""Merging: equal stacks of different workers meet, waits become frames, no time disappears."""

from __future__ import annotations

import random

import pytest

from tests.examples import build
from tests.examples import profile_examples as examples
from waitspy.judge.merge import merge
from waitspy.model.activities import Activities, Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import Profile, WeightedStack
from waitspy.model.stacks import Frame, Stack, StackTable
from waitspy.model.wait_frames import merged_stack, stack_key, wait_frame, wait_kind
from waitspy.model.waits import Wait, WaitKind, WaitTable

MAIN = Frame("main", "/srv/app.py", 10)
WORK = Frame("work", "/srv/app.py", 20)
WORK_LATER = Frame("work", "/srv/app.py", 21)
SLEEP = Wait(WaitKind.SLEEP, "time.sleep")
ON_CPU = Wait(WaitKind.ON_CPU)


def thread(pid: int, tid: int, *activities: Activity, name: str = "MainThread") -> ThreadActivity:
    return ThreadActivity(pid, tid, name, build.activities(*activities))


def busy(start_ns: int, end_ns: int, *stack: Frame) -> Activity:
    return Activity(start_ns, end_ns, stack, ON_CPU)


def profile(*threads: ThreadActivity, lines: bool = False, pid: int | None = None) -> Profile:
    return merge(threads, title="t", start_ns=0, end_ns=10 * NS, lines=lines, pid=pid)


def bare(*stack: Frame) -> Stack:
    return tuple(Frame(frame.function, frame.file) for frame in stack)


def test_equal_stacks_of_workers_and_threads_are_joined() -> None:
    sleeping = Activity(0, 2 * NS, (MAIN, WORK), SLEEP, NS, 3 * NS)
    later = Activity(5 * NS, 6 * NS, (MAIN, WORK), SLEEP, NS // 2, NS // 2)
    result = profile(thread(1, 1, sleeping, later), thread(2, 2, sleeping), thread(2, 3, sleeping))
    assert result.merged == (
        WeightedStack((*bare(MAIN, WORK), Frame("[sleep] time.sleep", "")), 7.0, 3.5, 9.5),
    )


def test_lines_are_joined_unless_asked_for() -> None:
    threads = (thread(1, 1, busy(0, NS, MAIN, WORK), busy(NS, 3 * NS, MAIN, WORK_LATER)),)
    assert profile(*threads).merged == (WeightedStack(bare(MAIN, WORK), 3.0),)
    assert profile(*threads, lines=True).merged == (
        WeightedStack((MAIN, WORK), 1.0),
        WeightedStack((MAIN, WORK_LATER), 2.0),
    )


def test_frames_of_different_files_or_depths_are_not_joined() -> None:
    other = Frame("work", "/srv/other.py", 20)
    result = profile(
        thread(
            1, 1, busy(0, NS, MAIN, WORK), busy(NS, 2 * NS, MAIN, other), busy(2 * NS, 3 * NS, MAIN)
        )
    )
    assert [one.wall_s for one in result.merged] == [1.0, 1.0, 1.0]
    assert len({one.stack for one in result.merged}) == 3


def test_different_waits_below_one_stack_stay_apart() -> None:
    waits = [SLEEP, Wait(WaitKind.SLEEP), Wait(WaitKind.LOCK), ON_CPU, Wait(WaitKind.UNKNOWN)]
    activities = [
        Activity(index * NS, (index + 1) * NS, (MAIN,), wait) for index, wait in enumerate(waits)
    ]
    assert {
        one.stack[-1].function: one.wall_s for one in profile(thread(1, 1, *activities)).merged
    } == {
        "[sleep] time.sleep": 1.0,
        "[sleep]": 1.0,
        "[lock]": 1.0,
        "main": 2.0,
    }


def test_pid_restricts_stacks_and_threads() -> None:
    first, second = thread(1, 1, busy(0, NS, MAIN)), thread(2, 2, busy(0, 2 * NS, WORK))
    result = profile(first, second, pid=2)
    assert result.threads == (second,)
    assert result.merged == (WeightedStack(bare(WORK), 2.0),)
    assert profile(first, second, pid=3).merged == ()


def test_threads_are_passed_on_as_they_came() -> None:
    activity = Activity(0, NS, (MAIN, WORK), SLEEP, NS, NS)
    assert profile(thread(1, 1, activity)).threads[0].activities == (activity,)


def test_what_it_is_a_profile_of_is_passed_on() -> None:
    assert merge((), title="t", start_ns=3, end_ns=9) == Profile("t", 3, 9, (), ())


def test_threads_that_had_one_id_after_another_are_in_their_order() -> None:
    first = thread(1, 1, busy(0, NS, MAIN), name="c")
    later = thread(1, 1, busy(5 * NS, 6 * NS, MAIN), name="a")
    never = thread(1, 1, name="b")
    assert profile(later, first, never).threads == (never, first, later)


def test_stacks_of_different_tables_are_told_apart_whatever_their_numbers() -> None:
    one, other = (
        ThreadActivity(pid, 1, "", Activities.of([busy(0, NS, frame)], StackTable(), WaitTable()))
        for pid, frame in ((1, MAIN), (2, WORK))
    )
    assert profile(one, other).merged == (
        WeightedStack(bare(MAIN), 1.0),
        WeightedStack(bare(WORK), 1.0),
    )


def test_order_of_the_input_does_not_matter() -> None:
    threads = examples.server_threads()
    expected = examples.server()
    random.Random(7).shuffle(threads)
    again = merge(threads, title=expected.title, start_ns=expected.start_ns, end_ns=expected.end_ns)
    assert again == expected


@pytest.mark.parametrize("lines", [False, True])
def test_merged_is_sorted_without_duplicates_and_keeps_all_time(lines: bool) -> None:
    result = examples.server(lines=lines)
    keys = [stack_key(one.stack) for one in result.merged]
    assert keys == sorted(set(keys))
    activities = [one for each in result.threads for one in each.activities]
    assert sum(one.wall_s for one in result.merged) == pytest.approx(
        sum(one.end_ns - one.start_ns for one in activities) / NS
    )
    assert sum(one.starved_s for one in result.merged) == pytest.approx(
        sum(one.starved_ns for one in activities) / NS
    )
    assert sum(one.victim_s for one in result.merged) == pytest.approx(
        sum(one.victim_ns for one in activities) / NS
    )


def test_lines_that_are_not_known_are_sorted_too() -> None:
    unknown = Frame("main", "/srv/app.py", None)
    result = profile(thread(1, 1, busy(0, NS, MAIN), busy(NS, 2 * NS, unknown)), lines=True)
    assert [one.stack for one in result.merged] == [(unknown,), (MAIN,)]


def test_activities_without_length_leave_no_stack() -> None:
    assert profile(thread(1, 1, busy(NS, NS, MAIN))).merged == ()


@pytest.mark.parametrize("kind", list(WaitKind))
def test_every_wait_is_named_and_recognised(kind: WaitKind) -> None:
    for call in (None, "call()", "x] y", ""):
        frame = wait_frame(Wait(kind, call))
        assert frame.file == ""
        assert wait_kind(frame) is kind
        assert frame.function == (f"[{kind}] {call}" if call else f"[{kind}]")


@pytest.mark.parametrize(
    "frame",
    [
        Frame("main", "/srv/app.py", 1),
        Frame("[sleep]", "/srv/app.py"),
        Frame("[sleep]", "", 3),
        Frame("[nothing]", ""),
        Frame("sleep", ""),
        Frame("", ""),
    ],
)
def test_code_is_not_taken_for_a_wait(frame: Frame) -> None:
    assert wait_kind(frame) is None


def test_only_waits_get_a_frame_but_no_stack_is_empty() -> None:
    assert merged_stack((MAIN,), ON_CPU, lines=True) == (MAIN,)
    assert merged_stack((MAIN,), Wait(WaitKind.UNKNOWN), lines=True) == (MAIN,)
    assert merged_stack((), ON_CPU, lines=False) == (Frame("[on-cpu]", ""),)
    assert merged_stack((), Wait(WaitKind.UNKNOWN), lines=False) == (Frame("[unknown]", ""),)
