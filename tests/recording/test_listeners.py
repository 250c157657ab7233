"""Rows of listening sockets: read as written, each of them one event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import COUNTS, TEXTS, TIMES, again
from waitspy.model.listeners import ListenerEvent
from waitspy.recording.listeners import (
    READER,
    ListenerAccepted,
    ListenerClosed,
    ListenerFound,
    ListenerRow,
    ListenerWaiting,
    event,
)

ROWS = st.one_of(
    st.builds(ListenerFound, TIMES, COUNTS, TEXTS, COUNTS),
    st.builds(ListenerWaiting, TIMES, COUNTS, COUNTS),
    st.builds(
        ListenerAccepted,
        TIMES,
        COUNTS,
        st.none() | COUNTS,
        st.lists(COUNTS, max_size=3).map(tuple),
    ),
    st.builds(ListenerClosed, TIMES, COUNTS),
)


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[ListenerRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    assert event(ListenerFound(1, 66, "0.0.0.0:80", 3)) == ListenerEvent(
        1, 66, name="0.0.0.0:80", fd=3
    )
    assert event(ListenerWaiting(1, 66, 4)) == ListenerEvent(1, 66, waiting=4)
    assert event(ListenerAccepted(1, 66, 9)) == ListenerEvent(1, 66, accepted=9)
    assert event(ListenerAccepted(1, 66, None)) == ListenerEvent(1, 66)
    assert event(ListenerAccepted(1, 66, 9, (101,))) == ListenerEvent(
        1, 66, accepted=9, acceptors=(101,)
    )
    assert READER.decode(b'["accepted",1,66,9]') == ListenerAccepted(1, 66, 9)  # before there were
    assert event(ListenerClosed(1, 66)) == ListenerEvent(1, 66, closed=True)
