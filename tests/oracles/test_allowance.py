"""How often an oracle may look."""

from __future__ import annotations

from waitspy.oracles.allowance import Allowance, routine_share

MS = 1_000_000


def test_an_expensive_first_look_leaves_enough_for_the_next() -> None:
    allowance = Allowance(0.01)
    assert allowance.spend(9 * MS, 0) == 0
    assert allowance.spend(9 * MS, 300 * MS) == 300 * MS


def test_in_the_long_run_looks_take_their_share() -> None:
    allowance = Allowance(0.01)
    now_ns = spent_ns = 0
    while now_ns < 100_000 * MS:
        spent_ns += 5 * MS
        now_ns = max(now_ns + 10 * MS, allowance.spend(5 * MS, now_ns))
    assert 0.0099 < spent_ns / now_ns < 0.0105


def test_what_is_saved_has_a_bound() -> None:
    allowance = Allowance(0.01)
    allowance.spend(0, 0)
    hour_ns = 3_600_000 * MS
    assert allowance.spend(20 * MS, hour_ns) == hour_ns
    assert allowance.spend(1 * MS, hour_ns) == hour_ns + 100 * MS


def test_what_looks_for_new_things_does_not_grow_with_the_workers() -> None:
    assert [routine_share(workers) for workers in (0, 1, 2)] == [0.01] * 3
    for workers in (8, 64, 256):
        assert workers * routine_share(workers) <= 2 * routine_share(1) * 1.001


def test_a_share_that_is_given_is_that_of_the_time_after_it() -> None:
    some = Allowance(0.01)
    some.spend(20 * MS, 0)  # what is saved up
    assert some.spend(1 * MS, 0) == 100 * MS
    assert some.spend(0, 0, 0.1) == 10 * MS
