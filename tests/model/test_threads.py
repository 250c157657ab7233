"""Stacks and kernel states in columns: the rows that went in, and what is asked of all of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import apart, stack
from waitspy.model.stacks import StackTable
from waitspy.model.threads import (
    FOREVER_NS,
    NO_STATES,
    NOT_LOOKED,
    Interval,
    Intervals,
    KernelState,
    KernelStates,
)

A, B = stack("main@/app/a.py:3 > work@/app/a.py:9"), stack("main@/app/a.py:3")
STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8)), max_size=8)
INTERVALS = st.lists(st.sampled_from([A, B, ()]), max_size=8).flatmap(
    lambda stacks: STEPS.map(
        lambda steps: [
            Interval(*span, one) for span, one in zip(apart(steps), stacks, strict=False)
        ]
    )
)
MARKS = st.none() | st.integers(0, 2**63 - 1)
STATES = st.lists(
    st.builds(
        KernelState,
        st.integers(0, 30),
        st.sampled_from([*"RSDTtZX", NOT_LOOKED]),
        st.none() | st.integers(-1, 400),
        st.none() | st.integers(0, 2**64 - 1).filter(lambda word: word != 2**63),
        MARKS,
        MARKS,
    ),
    max_size=10,
).map(lambda rows: sorted(rows, key=lambda row: row.at_ns))


# --- stacks -----------------------------------------------------------------------------------


@given(INTERVALS, st.slices(8))
def test_intervals_are_the_rows_they_were_made_of(rows: list[Interval], some: slice) -> None:
    made = Intervals.of(rows, StackTable())
    assert list(made) == rows
    assert [made[n] for n in range(len(made))] == rows
    assert made == rows
    assert list(made[some]) == rows[some]
    assert made != [*rows, Interval(90, 91, ())]
    assert made.table[int(made.stack[0])] == rows[0].stack if rows else not made


def test_intervals_of_different_tables_are_equal_when_their_stacks_are() -> None:
    table = StackTable()
    table.number(B)
    table.number(A[1:])
    rows = [Interval(0, 5, A), Interval(5, 9, B)]
    first, second = Intervals.of(rows, StackTable()), Intervals.of(rows, table)
    assert first == second
    assert first.stack.tolist() != second.stack.tolist()


# --- kernel states ----------------------------------------------------------------------------


@given(STATES, st.slices(10))
def test_states_are_the_rows_they_were_made_of(rows: list[KernelState], some: slice) -> None:
    made = KernelStates.of(rows)
    assert list(made) == rows
    assert [made[n] for n in range(len(made))] == rows
    assert made == rows
    assert list(made[some]) == rows[some]
    assert KernelStates(*made.columns) == made
    assert made != [*rows, KernelState(90, "R")]


@given(STATES)
def test_a_thread_stands_still_in_a_call_that_it_does_not_run_in(rows: list[KernelState]) -> None:
    ends = [*(row.at_ns for row in rows[1:]), FOREVER_NS]
    expected = [
        (row.at_ns, end)
        for row, end in zip(rows, ends, strict=False)
        if row.syscall is not None and row.state in "SDZ" and end > row.at_ns
    ]
    starts, ends_ = KernelStates.of(rows).still
    assert [*zip(starts.tolist(), ends_.tolist(), strict=True)] == expected


@given(STATES)
def test_it_is_unseen_until_the_next_row(rows: list[KernelState]) -> None:
    ends = [*(row.at_ns for row in rows[1:]), FOREVER_NS]
    expected = [
        (row.at_ns, end) for row, end in zip(rows, ends, strict=False) if row.state == NOT_LOOKED
    ]
    assert KernelStates.of(rows).unseen == expected


@given(STATES)
def test_it_is_gone_when_its_last_row_says_so(rows: list[KernelState]) -> None:
    gone = bool(rows) and rows[-1].gone
    assert KernelStates.of(rows).gone_ns == (rows[-1].at_ns if gone else None)
    assert all(row.gone == (row.state == "X") for row in rows)


@given(STATES, st.integers(-1, 32))
def test_the_row_in_force_is_the_last_one_until_then(rows: list[KernelState], at_ns: int) -> None:
    before = [n for n, row in enumerate(rows) if row.at_ns <= at_ns]
    assert KernelStates.of(rows).index_at(at_ns) == (before[-1] if before else -1)


@given(STATES, st.integers(-1, 32), st.integers(-1, 32))
def test_rows_between_two_times_include_both(
    rows: list[KernelState], from_ns: int, until_ns: int
) -> None:
    expected = [row for row in rows if from_ns <= row.at_ns <= until_ns]
    assert list(KernelStates.of(rows).between(from_ns, until_ns)) == expected


def test_without_rows_nothing_is_known() -> None:
    assert len(NO_STATES) == 0
    assert (NO_STATES.unseen, NO_STATES.gone_ns, NO_STATES.index_at(5)) == ([], None, -1)
    assert [column.tolist() for column in NO_STATES.still] == [[], []]


def test_still_spans_are_apart() -> None:
    rows = [KernelState(n, "S", 202, 7, n, 0) for n in range(5)]
    starts, ends = KernelStates.of(rows).still
    assert all(end <= start for end, start in zip(ends.tolist(), starts.tolist()[1:], strict=False))
    assert [b - a for a, b in pairwise(starts.tolist())] == [1] * 4
