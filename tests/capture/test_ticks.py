"""When the observer looks, without a clock."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from waitspy.capture.ticks import Pace, Round
from waitspy.model.clock import NS

MS = NS // 1000


def pace(asked_ms: int = 10, min_stall_ms: int = 100) -> Pace:
    return Pace(asked_ms * MS, min_stall_ms * MS)


def seconds(one: Pace, *shares: float, since_s: int = 0, cpu_ns: int = 0) -> list[int]:
    """The tick in milliseconds after each second that cost that share of a core."""
    ticks = []
    for n, share in enumerate(shares, since_s + 1):
        cpu_ns += int(share * NS)
        one.account(n * NS, cpu_ns)
        ticks.append(one.tick_ns // MS)
    return ticks


# --- the tick ---------------------------------------------------------------------------------------


def test_looks_that_cost_too_much_become_rarer_at_once_and_as_often_again_afterwards() -> None:
    one = pace()
    assert seconds(one, 0.1, 0.9, 0.6, 0.4, 0.4) == [10, 20, 40, 50, 50]
    assert seconds(one, 0.02, 0.02, 0.02, since_s=5, cpu_ns=int(2.4 * NS)) == [25, 12, 10]
    assert (one.asked_ns, one.slowest_ns) == (10 * MS, 50 * MS)


def test_the_tick_settles_where_its_cost_fits() -> None:
    """A fixed cost for each look: half as many looks cost half."""
    one = pace()
    ticks, cpu_ns = [], 0
    for n in range(1, 20):
        cpu_ns += int(0.3 * NS * 10 * MS / one.tick_ns)
        one.account(n * NS, cpu_ns)
        ticks.append(one.tick_ns // MS)
    assert set(ticks) == {20}


def test_seconds_long_gone_do_not_count() -> None:
    one = pace()
    seconds(one, *[0.0] * 100)
    assert seconds(one, 0.3, since_s=100) == [20]


def test_attaching_is_no_reason_to_look_more_rarely() -> None:
    one = pace()
    one.leave_out(int(0.8 * NS))
    assert seconds(one, 0.9) == [10]
    assert seconds(one, 0.9, since_s=1, cpu_ns=int(0.9 * NS)) == [20]  # only once


def test_what_was_before_the_first_look_does_not_count() -> None:
    one = pace()
    one.leave_out(NS)
    one.begin(50 * NS, 10 * NS)
    assert seconds(one, 0.9, since_s=50, cpu_ns=10 * NS) == [20]
    assert looked(one, 50_040) == []


def test_it_is_crowded_while_even_the_rarest_looks_cost_too_much() -> None:
    one = pace()
    crowded, cpu_ns = [], 0
    for n, share in enumerate((0.9, 0.5, 0.4, 0.3, 0.2, 0.05, 0.3), 1):
        cpu_ns += int(share * NS)
        one.account(n * NS, cpu_ns)
        crowded.append(one.crowded)
    assert crowded == [False, False, False, True, True, False, False]


def test_a_moment_is_too_short_to_judge_by() -> None:
    one = pace()
    one.account(NS // 100, NS // 100)
    assert one.tick_ns == 10 * MS


@given(st.lists(st.floats(0, 1), max_size=50), st.integers(1, 10), st.sampled_from([50, 100, 2000]))
def test_a_stall_is_looked_at_more_than_once(
    shares: list[float], asked_ms: int, min_stall_ms: int
) -> None:
    one = pace(asked_ms, min_stall_ms)
    for tick_ms in seconds(one, *shares):
        assert asked_ms <= tick_ms <= min(50, min_stall_ms // 2)


# --- gaps -------------------------------------------------------------------------------------------


def looked(one: Pace, *at_ms: int) -> list[tuple[int, int]]:
    for now_ms in at_ms:
        one.look(now_ms * MS)
    return [(a // MS, b // MS) for a, b in one.gaps]


def test_a_hundred_punctual_slow_looks_make_no_gap() -> None:
    one = pace()
    seconds(one, 0.9, 0.9, 0.9)
    assert one.tick_ns == 50 * MS
    assert looked(one, *range(50, 5001, 50)) == []


def test_a_slow_tick_that_is_late_is_a_gap_before_it_is_as_long_as_a_stall() -> None:
    one = pace()
    seconds(one, 0.9, 0.9, 0.9)
    assert looked(one, 50, 130, 180, 261) == [(180, 261)]


def test_a_few_milliseconds_are_no_gap_at_a_fast_tick() -> None:
    assert looked(pace(asked_ms=1), 1, 2, 6, 20, 45) == []
    assert looked(pace(asked_ms=1), 1, 33) == [(1, 33)]


def test_at_the_tick_by_default_more_than_four_ticks_are_a_gap() -> None:
    one = pace()
    assert looked(one, 10, 50, 91, 101) == [(50, 91)]
    one.look(2000 * MS)
    one.look(2010 * MS)
    assert one.gaps[1:] == [(101 * MS, 2000 * MS)]


def test_shorter_stalls_allow_for_less() -> None:
    assert looked(pace(min_stall_ms=50), 10, 35, 61) == [(35, 61)]
    assert looked(pace(min_stall_ms=60_000), 10, 50, 91) == [(50, 91)]


# --- looks and rounds -------------------------------------------------------------------------------


def test_looks_keep_their_beat_and_those_missed_are_left_out() -> None:
    one = pace()
    assert [one.next_ns(now_ms * MS) // MS for now_ms in (2, 13, 57, 60)] == [10, 20, 57, 67]


def test_looks_that_came_early_put_off_none() -> None:
    """A signal ends the sleep: its look comes between two others."""
    one = pace()
    one.next_ns(0)
    assert [one.next_ns(now_ms * MS) // MS for now_ms in (11, 12, 13, 14)] == [20, 22, 23, 24]


def rounds(one: Round, now_ms: Iterable[int]) -> list[int]:
    done = []
    for now in now_ms:
        if now * MS >= one.next_ns:
            one.begin(now * MS)
            done.append(now)
    return done


def test_rounds_do_not_shift_with_the_ticks_that_run_them() -> None:
    assert rounds(Round(50 * MS, 0), range(3, 400, 20)) == [3, 63, 103, 163, 203, 263, 303, 363]
    every_s = rounds(Round(1000 * MS, 0), range(7, 60_000, 40))
    assert len(every_s) == 60
    assert all(now - n * 1000 < 40 for n, now in enumerate(every_s))


def test_rounds_that_were_missed_are_not_made_up_for() -> None:
    assert rounds(Round(50 * MS, 0), (0, 1000, 1001, 1049, 1050)) == [0, 1000, 1050]


def test_a_round_before_its_time_puts_off_none() -> None:
    one = Round(50 * MS, 0)
    one.begin(0)
    one.begin(30 * MS)
    assert one.next_ns == 50 * MS
