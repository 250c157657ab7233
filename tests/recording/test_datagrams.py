"""Rows of sockets for datagrams: read as written, each of them one event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import COUNTS, TEXTS, TIMES, again
from waitspy.model.datagrams import DatagramEvent
from waitspy.recording.datagrams import (
    READER,
    DatagramRow,
    DatagramsClosed,
    DatagramsFound,
    DatagramsLooked,
    DatagramsUnread,
    event,
)

MAYBE = st.none() | COUNTS
TIDS = st.lists(COUNTS, max_size=3).map(tuple)
READERS = st.lists(st.tuples(COUNTS, COUNTS), max_size=3).map(tuple)
ROWS = st.one_of(
    st.builds(DatagramsFound, TIMES, COUNTS, TEXTS, COUNTS),
    st.builds(DatagramsUnread, TIMES, COUNTS, COUNTS, MAYBE, MAYBE),
    st.builds(DatagramsLooked, TIMES, COUNTS, st.booleans(), READERS, TIDS),
    st.builds(DatagramsClosed, TIMES, COUNTS),
)


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[DatagramRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    assert event(DatagramsFound(1, 66, "0.0.0.0:53", 3)) == DatagramEvent(
        1, 66, name="0.0.0.0:53", fd=3
    )
    assert event(DatagramsUnread(1, 66, 832, 4, 9)) == DatagramEvent(
        1, 66, unread=832, dropped=4, taken=9
    )
    assert event(DatagramsUnread(1, 66, 0)) == DatagramEvent(1, 66, unread=0)
    assert event(DatagramsLooked(1, 66, True)) == DatagramEvent(1, 66, looked=True, in_loop=True)
    assert event(DatagramsLooked(1, 66, False, ((7, 9),), (8,))) == DatagramEvent(
        1, 66, looked=True, readers=((7, 9),), asking=(8,)
    )
    assert event(DatagramsClosed(1, 66)) == DatagramEvent(1, 66, closed=True)
