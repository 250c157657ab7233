"""Rows of connections from which messages are read: read as written, each of them one event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import COUNTS, TEXTS, TIMES, again
from waitspy.model.messages import MessageEvent
from waitspy.recording.messages import (
    READER,
    MessageRow,
    MessagesClosed,
    MessagesFound,
    MessagesUnread,
    event,
)

ROWS = st.one_of(
    st.builds(MessagesFound, TIMES, COUNTS, TEXTS, COUNTS),
    st.builds(MessagesUnread, TIMES, COUNTS, COUNTS, COUNTS, COUNTS),
    st.builds(MessagesClosed, TIMES, COUNTS),
)


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[MessageRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    assert event(MessagesFound(1, 66, "10.0.0.7:6379", 7)) == MessageEvent(
        1, 66, peer="10.0.0.7:6379", reader=7
    )
    assert event(MessagesUnread(1, 66, 26, 4, 9)) == MessageEvent(
        1, 66, unread=26, read=4, quiet_ns=9
    )
    assert event(MessagesClosed(1, 66)) == MessageEvent(1, 66, closed=True)
