"""Events in columns: each comes out as it went in, and what is left of them keeps its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitspy.model.epolls import EpollEvent, EpollEvents

TIMES, EPOLLS = st.integers(0, 9), st.integers(3, 5)
ROWS = st.lists(
    st.builds(EpollEvent, TIMES, EPOLLS, ready=st.booleans())
    | st.builds(EpollEvent, TIMES, EPOLLS, share=st.integers(1, 2)),
    max_size=8,
).map(lambda rows: sorted(rows, key=lambda row: row.at_ns))
OPENED, READY, SERVED, CLOSED = (
    EpollEvent(1, 5, share=7),
    EpollEvent(2, 5, ready=True),
    EpollEvent(3, 5, ready=False),
    EpollEvent(4, 5, closed=True),
)
ALL = [OPENED, READY, SERVED, CLOSED]


def test_of_both_kinds_each_event_is_read_as_it_was() -> None:
    made = EpollEvents.of(ALL)
    assert list(made) == [made[n] for n in range(4)] == ALL
    assert (made[-1], made[-2], len(made)) == (CLOSED, SERVED, 4)
    assert made[1:3] == [READY, SERVED]
    assert made[::-2] == [CLOSED, READY]
    assert made.at_ns.tolist() == [1, 2, 3, 4]


def test_there_is_none_behind_the_last_one() -> None:
    with pytest.raises(IndexError):
        EpollEvents.of(ALL)[4]


@given(ROWS, st.integers(0, 9), st.integers(0, 9))
def test_those_between_two_times_are_those_of_the_rows(
    rows: list[EpollEvent], from_ns: int, until_ns: int
) -> None:
    left = EpollEvents.of(rows).between(from_ns, until_ns)
    expected = [row for row in rows if from_ns <= row.at_ns <= until_ns]
    assert list(left) == [left[n] for n in range(len(left))] == expected
    assert [share for _, share in left.shares] == [e.share for e in expected if e.share is not None]


def test_all_that_are_kept_are_the_same_columns_and_no_copy() -> None:
    made = EpollEvents.of(ALL)
    assert made.between(1, 4) is made


def test_they_equal_any_sequence_of_the_same_events_and_nothing_else() -> None:
    made = EpollEvents.of(ALL)
    assert made == ALL
    assert made == EpollEvents.of(ALL)
    assert made != ALL[:3]
    assert made != set(ALL[:0])
    assert repr(made) == f"EpollEvents({ALL!r})"
