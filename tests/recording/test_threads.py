"""Rows of threads: read as written, and put together by thread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import ADDRESSES, COUNTS, TIMES, again
from waitspy.model.threads import KernelState, KernelStates
from waitspy.recording.threads import READER, ThreadColumns, ThreadRow

ROWS = st.builds(
    ThreadRow,
    TIMES,
    COUNTS,
    st.sampled_from("RSDTtZX?"),
    st.none() | st.integers(-1, 1000),
    st.none() | ADDRESSES,
    st.none() | TIMES,
    st.none() | TIMES,
)


def states(*parts: list[ThreadRow]) -> dict[int, KernelStates]:
    told = ThreadColumns()
    for part in parts:
        told.take(part)
    return told.states()


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[ThreadRow]) -> None:
    assert again(rows, READER) == rows


def test_each_thread_has_its_states_in_order() -> None:
    rows = [
        ThreadRow(1, 8, "S", 202, 2**64 - 100, 5, 6),
        ThreadRow(1, 7, "R", None, None, 7, 8),
        ThreadRow(2, 8, "X"),
    ]
    assert states(rows) == {
        7: (KernelState(1, "R", None, None, 7, 8),),
        8: (KernelState(1, "S", 202, 2**64 - 100, 5, 6), KernelState(2, "X")),
    }
    assert list(states(rows)) == [7, 8]
    assert states(rows[:1], rows[1:]) == states(rows)
    assert [state.gone for state in states(rows)[8]] == [False, True]


def test_without_rows_there_are_no_threads() -> None:
    assert states() == {}
