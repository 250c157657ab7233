"""Rates that keep the sampling inside its share of the CPU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitspy.capture.budget import Budget, rate_hz, refine, sample_cost_s

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


def test_what_a_sample_costs_was_measured() -> None:
    # 2 to 5 % of a core at 100 Hz with one thread, 16 to 100 % with fifty.
    assert 0.02 < sample_cost_s(1) * 100 < 0.05
    assert 0.16 < sample_cost_s(50) * 100 < 1.0
    assert sample_cost_s(0) == sample_cost_s(1)


def test_a_cheap_process_is_sampled_as_fast_as_asked() -> None:
    assert rate_hz(100, sample_cost_s(1), 0.10) == 100
    assert 10 < rate_hz(100, sample_cost_s(50), 0.10) < 63
    assert rate_hz(100, 10.0, 0.10) == 1


@given(st.floats(1, 1000), costs, shares)
def test_the_rate_is_within_the_share_or_the_slowest(
    asked: float, cost: float, share: float
) -> None:
    rate = rate_hz(asked, cost, share)
    assert 1 <= rate <= asked
    assert rate == 1 or rate * cost <= share * (1 + 1e-9)


def test_too_few_samples_change_no_belief() -> None:
    assert refine(0.001, cpu_s=5.0, samples=19) == 0.001
    assert refine(0.001, cpu_s=0.0, samples=0) == 0.001


@given(costs, costs, st.floats(20, 1e6))
def test_a_measurement_moves_the_belief_towards_it(
    believed: float, truth: float, samples: float
) -> None:
    refined = refine(believed, truth * samples, samples)
    assert min(believed, truth) * (1 - 1e-9) <= refined <= max(believed, truth) * (1 + 1e-9)
    for _ in range(40):
        refined = refine(refined, truth * samples, samples)
    assert refined == pytest.approx(truth, rel=1e-3)
