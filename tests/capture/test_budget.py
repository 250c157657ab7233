"""Rates that keep the sampling inside its share of the CPU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitspy.capture.budget import Budget, Purse, Recently, Room, rate_hz, refine
from waitspy.model.clock import NS

MS = NS // 1000

costs = st.floats(1e-6, 1.0)
shares = st.floats(1e-3, 4.0)


def test_the_total_is_divided_once_there_are_many_workers() -> None:
    budget = Budget(per_worker=0.10, total=0.50)
    assert budget.share(0) == pytest.approx(0.10)
    assert budget.share(1) == pytest.approx(0.10)
    assert budget.share(5) == pytest.approx(0.10)
    assert budget.share(10) == pytest.approx(0.05)


@given(shares, shares, st.integers(0, 500))
def test_all_workers_together_stay_inside_the_total(
    per_worker: float, total: float, workers: int
) -> None:
    budget = Budget(per_worker, total)
    assert budget.share(workers) * workers <= total * (1 + 1e-9)
    assert budget.share(workers) <= per_worker


def test_a_process_that_stands_still_for_hours_costs_next_to_nothing_but_something() -> None:
    """Its samples are counted, though nobody has to take them."""
    believed_s = 0.0004
    for _ in range(3600):
        believed_s = refine(believed_s, cpu_s=0.0, samples=100)
        assert rate_hz(100, believed_s, 0.10) == 100
    refined_s = refine(believed_s, cpu_s=0.4, samples=100)
    assert refined_s == pytest.approx(0.004, rel=0.1)


def test_a_cheap_process_is_sampled_as_fast_as_asked() -> None:
    assert rate_hz(100, 0.0004, 0.10) == 100
    assert rate_hz(100, 0.006, 0.10) == pytest.approx(10)
    assert rate_hz(100, 10.0, 0.10) == 1


@given(st.floats(1, 1000), costs, shares)
def test_the_rate_is_within_the_share_or_the_slowest(
    asked: float, cost: float, share: float
) -> None:
    rate = rate_hz(asked, cost, share)
    assert 1 <= rate <= asked
    assert rate == 1 or rate * cost < share * 0.8  # a start, or a look, fits in beside it


def test_no_sample_changes_no_belief_and_few_change_it_little() -> None:
    assert refine(0.001, cpu_s=0.0, samples=0) == 0.001
    assert refine(0.001, cpu_s=0.1, samples=1) < 0.015
    assert refine(0.001, cpu_s=10.0, samples=100) == pytest.approx(0.1, rel=0.1)


@given(costs, costs, st.floats(20, 1e6))
def test_a_measurement_moves_the_belief_towards_it(
    believed: float, truth: float, samples: float
) -> None:
    refined = refine(believed, truth * samples, samples)
    assert min(believed, truth) * (1 - 1e-9) <= refined <= max(believed, truth) * (1 + 1e-9)
    for _ in range(40):
        refined = refine(refined, truth * samples, samples)
    assert refined == pytest.approx(truth, rel=1e-3)


# --- what was spent ---------------------------------------------------------------------------------


def test_what_is_older_than_the_window_does_not_count() -> None:
    one = Recently()
    told = [one.note(at_ms * MS, total, NS) for at_ms, total in ((0, 5), (500, 7), (1000, 8))]
    assert told == [0, 2, 3]
    # The mark at the beginning of the window is the one to count from.
    assert [one.note(1400 * MS, 8, NS), one.note(1600 * MS, 9, NS)] == [3, 2]
    assert one.note(9000 * MS, 9, NS) == 0


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, 100)), min_size=1, max_size=60))
def test_never_less_is_counted_than_came_in_the_last_second(steps: list[tuple[int, int]]) -> None:
    one = Recently()
    now_ms = total = 0
    gains: list[tuple[int, int]] = []
    one.note(0, 0, NS)
    for apart_ms, gain in steps:
        now_ms, total = now_ms + apart_ms, total + gain
        gains.append((now_ms, gain))
        counted = one.note(now_ms * MS, total, NS)
        assert counted >= sum(more for at_ms, more in gains if at_ms > now_ms - 1000)


def purse(used_ms: int = 0, share: float = 0.1, *, start_cost_ms: int = 40) -> Purse:
    one = Purse(start_cost_ms * MS)
    one.count(NS, used_ms * MS, share)
    return one


def test_there_is_room_until_samples_of_one_second_have_cost_the_share_of_a_process() -> None:
    room = Room(Budget(per_worker=0.1, total=0.25), Recently())
    assert room.is_left(0, 0)
    assert room.is_left(300 * MS, 99 * MS)
    assert not room.was_out
    assert not room.is_left(310 * MS, 100 * MS)
    assert not room.is_left(900 * MS, 100 * MS)
    assert room.was_out
    assert room.is_left(1300 * MS, 100 * MS), "it was spent more than a second ago"


def test_there_is_none_once_those_of_all_processes_have_cost_the_total() -> None:
    every = Recently()
    rooms = [Room(Budget(per_worker=0.1, total=0.25), every) for _ in range(3)]
    assert all(room.is_left(0, 0) for room in rooms)
    assert all(room.is_left(100 * MS, 80 * MS) for room in rooms)
    assert rooms[0].is_left(110 * MS, 89 * MS)
    assert not rooms[1].is_left(110 * MS, 81 * MS)
    assert not rooms[0].is_left(120 * MS, 89 * MS), "it is out for all of them"
    assert all(room.is_left(1200 * MS, 90 * MS) for room in rooms)


def test_what_was_granted_counts_as_spent_until_it_is() -> None:
    one = purse()
    assert [one.may_spend(40 * MS) for _ in range(3)] == [True, True, False]
    one.count(NS + 100 * MS, 0, 0.1)
    assert not one.may_spend(40 * MS)
    one.count(2 * NS, 45 * MS, 0.1)
    assert [one.may_spend(40 * MS), one.may_spend(40 * MS)] == [True, False]


def test_there_is_room_for_what_fits_and_no_more() -> None:
    """A tenth is for what the end of somebody takes."""
    assert purse(used_ms=50).may_spend(40 * MS)
    assert not purse(used_ms=51).may_spend(40 * MS)


def test_somebody_has_to_stop_before_all_is_spent() -> None:
    assert not purse(used_ms=75).has_to_pause(75 * MS, 0.1)
    assert purse(used_ms=95).has_to_pause(85 * MS, 0.1)


def test_who_has_used_most_of_all_that_was_left_has_to_stop() -> None:
    assert purse(used_ms=100).has_to_pause(60 * MS, 0.1)
    assert not purse(used_ms=99).has_to_pause(60 * MS, 0.1)
    assert not purse(used_ms=100).has_to_pause(45 * MS, 0.1)


def test_nobody_has_to_stop_for_what_starts_have_cost() -> None:
    crowded = purse(used_ms=450, share=0.5)
    assert not crowded.has_to_pause(10 * MS, 0.5 / 32)
    assert crowded.has_to_pause(20 * MS, 0.5 / 32)


def test_a_budget_that_no_start_fits_into_holds_over_the_seconds_that_pay_for_one() -> None:
    one = purse(share=0.01)
    assert one.window_ns == 10 * NS
    assert one.may_spend(40 * MS)
    one.count(2 * NS, 40 * MS, 0.01)
    assert not one.has_to_pause(40 * MS, 0.01)
    assert purse(share=0.5).window_ns == NS


@given(st.integers(1, 64), st.floats(0.02, 1.0))
def test_starts_are_spread_so_that_no_window_has_too_many(workers: int, share: float) -> None:
    """Each start is spent within the step after it was granted."""
    one = Purse(40 * MS)
    spent = Recently()
    waiting, total = workers, 0
    for step in range(2000):
        now_ns = step * 50 * MS
        used_ns = spent.note(now_ns, total, one.window_ns)
        one.count(now_ns, used_ns, share)
        assert used_ns <= share * one.window_ns + 1
        while waiting and one.may_spend(40 * MS):
            waiting -= 1
            total += 40 * MS
    assert waiting == max(0, waiting)
    assert waiting == 0 or share * 100 < workers * 0.04 * 1.5
