"""Rows of pools: read as written, each of them one event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import ADDRESSES, COUNTS, MAYBE_TEXTS, TEXTS, TIMES, again
from waitspy.model.pools import PoolEvent, PoolInfo, PoolWaits
from waitspy.recording.pools import (
    READER,
    PoolFound,
    PoolGone,
    PoolQueue,
    PoolRow,
    PoolStuck,
    event,
)

TIDS = st.lists(COUNTS, max_size=3).map(tuple)
INFO = st.builds(
    PoolInfo,
    st.sampled_from(["executor", "limiter"]),
    MAYBE_TEXTS,
    MAYBE_TEXTS,
    st.none() | COUNTS,
    TIDS,
)
WAITS = st.builds(PoolWaits, st.lists(st.tuples(TEXTS, MAYBE_TEXTS), max_size=3).map(tuple), TIDS)
ROWS = st.one_of(
    st.builds(PoolFound, TIMES, ADDRESSES, INFO),
    st.builds(PoolQueue, TIMES, ADDRESSES, COUNTS, COUNTS),
    st.builds(PoolStuck, TIMES, ADDRESSES, WAITS),
    st.builds(PoolGone, TIMES, ADDRESSES),
)


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[PoolRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    info = PoolInfo("executor", "pool", None, 4, (7, 8))
    waits = PoolWaits((("f", "/a.py:1"),), (7,))
    assert event(PoolFound(1, 99, info)) == PoolEvent(1, 99, info=info)
    assert event(PoolQueue(1, 99, 3, 5)) == PoolEvent(1, 99, queue=(3, 5))
    assert event(PoolStuck(1, 99, waits)) == PoolEvent(1, 99, waits=waits)
    assert event(PoolGone(1, 99)) == PoolEvent(1, 99, gone=True)
