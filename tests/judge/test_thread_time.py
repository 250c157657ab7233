"""How a thread spent a span: on the CPU, waiting for it, stopped or blocked."""

from __future__ import annotations

import pytest

from tests.examples.build import HANDLER, MS, PARKED, activities, activity, at, states
from waitspy.judge.thread_time import Composition, compose, cut, trim, what_decides
from waitspy.model.threads import NOT_LOOKED, KernelState, KernelStates
from waitspy.model.waits import Wait, WaitKind

SLEEP = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")


def composed(states_: KernelStates, start_ms: float, end_ms: float) -> tuple[float, ...]:
    """Milliseconds on the CPU, in its queue, stopped and blocked."""
    found = compose(states_, at(start_ms), at(end_ms))
    return tuple(
        n / MS for n in (found.ran_ns, found.queued_ns, found.stopped_ns, found.blocked_ns)
    )


def test_a_thread_that_got_no_cpu_at_any_look_waited_for_it_all_the_time() -> None:
    # The kernel credits the delay only when the thread gets the CPU.
    rows = [KernelState(at(t), "R", None, None, 7, 3) for t in (0, 10, 30, 60)]
    assert composed(KernelStates.of(rows), 0, 100) == (0, 100, 0, 0)
    assert composed(KernelStates.of(rows[:1]), 20, 50) == (0, 30, 0, 0)


def test_a_thread_that_waits_for_a_page_is_blocked_and_not_in_the_queue() -> None:
    rows = [KernelState(at(0), "D", None, None, 0, 0), KernelState(at(50), "S", 202, 7, 0, 40 * MS)]
    assert composed(KernelStates.of(rows), 0, 80) == (0, 0, 0, 80)


def test_a_thread_that_is_woken_and_gets_no_cpu_is_not_blocked_any_more() -> None:
    """It runs nothing, so that it is not looked at: its state is that of the call until it runs."""
    rows = [KernelState(at(0), "S", 7, 3, 0, 0), KernelState(at(600), "S", 232, 5, MS, 400 * MS)]
    assert composed(KernelStates.of(rows), 0, 600) == (1, 400, 0, 199)
    assert composed(KernelStates.of(rows), 0, 300) == (1, 100, 0, 199)
    assert composed(KernelStates.of(rows), 300, 500) == (1, 199, 0, 0)
    assert composed(KernelStates.of(rows), 0, 150)[1] == 0


@pytest.mark.parametrize("letter", ["D", "R"])
def test_who_is_woken_while_its_call_is_looked_at_has_no_cpu_either(letter: str) -> None:
    rows = [KernelState(at(n), letter, 74, 5, n * MS // 10, n * MS * 8 // 10) for n in (0, 10, 20)]
    assert composed(KernelStates.of(rows), 0, 20) == (2, 16, 0, 2)


def unlooked(state: str, syscall: int | None, queued_ms: float | None = 30) -> KernelStates:
    """In a call, not looked at from 100 to 400 ms, in which it ran for 20 ms, and then that."""
    queued_ns = None if queued_ms is None else round(queued_ms * MS)
    return KernelStates.of(
        [
            KernelState(at(0), "S", 230, 0, 5 * MS, 10 * MS),
            KernelState(at(100), NOT_LOOKED),
            KernelState(at(400), state, syscall, 0, 25 * MS, queued_ns),
            KernelState(at(500), "S", 232, 5, 25 * MS, queued_ns),
        ]
    )


def test_what_a_thread_did_while_nobody_looked_is_counted() -> None:
    assert composed(unlooked("S", 230), 0, 500) == (20, 20, 0, 460)
    assert composed(unlooked("S", 230), 100, 400) == (20, 20, 0, 260)


def test_the_rest_of_such_a_time_is_unknown_if_it_is_in_no_call_at_the_end() -> None:
    for unclear in (unlooked("R", None), unlooked("T", -1)):
        assert composed(unclear, 0, 400) == (20, 20, 0, 100)
    assert composed(unlooked("S", 230, None), 0, 400) == (0, 0, 0, 100)


def test_of_a_part_of_such_a_time_nothing_is_known() -> None:
    assert composed(unlooked("S", 230), 0, 390) == (0, 0, 0, 100)
    assert composed(unlooked("S", 230), 110, 450) == (0, 0, 0, 50)
    assert composed(unlooked("S", 230)[:2], 0, 450) == (0, 0, 0, 100)


def test_two_looks_at_one_time_add_nothing() -> None:
    rows = states((0, "futex 7"), (50, "run"), (50, "futex 7"), (90, "run"))
    found = compose(rows, at(0), at(90))
    assert found.ran_ns + found.kept_ns + found.blocked_ns == 90 * MS


def test_what_was_not_credited_yet_counts_from_the_last_time_on_the_cpu() -> None:
    rows = [
        KernelState(at(0), "R", None, None, 0, 0),
        KernelState(at(40), "R", None, None, 10 * MS, 5 * MS),
        KernelState(at(60), "R", None, None, 10 * MS, 5 * MS),
    ]
    assert composed(KernelStates.of(rows), 0, 100) == (10, 65, 0, 25)


def test_time_kept_is_both_kinds() -> None:
    assert Composition(1, 20, 300, 4_000).kept_ns == 320


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 300, [(0, 100, PARKED), (100, 300, HANDLER)]),
        (40, 250, [(40, 100, PARKED), (100, 250, HANDLER)]),
        (100, 300, [(100, 300, HANDLER)]),
        (0, 100, [(0, 100, PARKED)]),
        (300, 400, []),
    ],
)
def test_activities_are_cut_at_the_bounds_and_those_that_only_touch_left_out(
    start: float, end: float, expected: list[tuple[float, float, tuple[object, ...]]]
) -> None:
    rows = [activity(0, 100, PARKED, SLEEP), activity(100, 300, HANDLER, SLEEP)]
    wanted = [(at(a), at(b), shown, SLEEP) for a, b, shown in expected]
    for found in (
        cut(activities(*rows), at(start), at(end)),
        trim(rows, at(start), at(end)),
    ):
        assert [(a.start_ns, a.end_ns, a.stack, a.wait) for a in found] == wanted


@pytest.mark.parametrize(
    ("rows", "end_ms", "decides"),
    [
        ([(0, "run"), (80, "queue")], 160, "kept"),
        ([(0, "run"), (81, "queue")], 160, "kept"),  # by itself it would have taken no 100 ms
        ([(0, "run"), (99, "queue")], 160, "kept"),
        ([(0, "run"), (100, "queue")], 160, "ran"),
        ([(0, "run"), (90, "queue")], 135, "kept"),
        ([(0, "run"), (90, "queue")], 134, None),  # hardly kept: not because of that
        ([(0, "run"), (60, "queue"), (110, "futex 7")], 160, None),
        ([(0, "run"), (34, "queue"), (76, "futex 7")], 125, "kept"),
        ([(0, "run"), (40, "queue"), (60, "futex 7")], 125, "blocked"),
        ([(0, "run"), (80, "queue"), (185, "futex 7")], 300, "blocked"),  # which alone would do
        ([(0, "run"), (80, "queue"), (200, "futex 7")], 300, None),
        ([(0, "run"), (90, "queue"), (121, "futex 7")], 220, None),
        ([(0, "run"), (50, "queue")], 99, None),
        ([(0, "run")], 99, None),
    ],
)
def test_what_would_be_no_stall_without_a_lack_of_cpu_is_that(
    rows: list[tuple[float, str]], end_ms: float, decides: str | None
) -> None:
    found = what_decides(states(*rows, (end_ms, "run")), at(0), at(end_ms), 100 * MS)
    assert found == decides


@pytest.mark.parametrize(
    ("rows", "end_ms", "decides"),
    [
        ([(0, "run"), (60, "queue")], 135, None),  # it may compute for long after that
        ([(0, "run"), (90, "queue")], 160, None),
        ([(0, "run"), (60, "queue")], 160, "kept"),
        ([(0, "run"), (60, "stop")], 160, "kept"),
        ([(0, "run")], 160, "ran"),
        ([(0, "futex 7")], 160, "blocked"),
    ],
)
def test_what_the_edge_of_the_recording_cuts_is_no_lack_of_cpu_unless_that_alone_is_a_stall(
    rows: list[tuple[float, str]], end_ms: float, decides: str | None
) -> None:
    rows_ = states(*rows, (end_ms, "run"))
    assert what_decides(rows_, at(0), at(end_ms), 100 * MS, whole=False) == decides
