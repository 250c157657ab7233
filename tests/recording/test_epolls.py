"""Rows of epolls: read as written, each of them one event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import COUNTS, TEXTS, TIMES, again
from waitspy.model.epolls import EpollEvent, EpollEvents, UnreadSocket
from waitspy.recording.epolls import (
    READER,
    EpollClosed,
    EpollColumns,
    EpollOpened,
    EpollReady,
    EpollRow,
    EpollUnread,
)

SOCKETS = st.builds(
    UnreadSocket,
    COUNTS,
    st.sampled_from(["tcp", "listener", "eof"]),
    COUNTS,
    TEXTS,
    TEXTS,
    st.booleans(),
    st.none() | COUNTS,
)
ROWS = st.one_of(
    st.builds(EpollOpened, TIMES, COUNTS, COUNTS),
    st.builds(EpollReady, TIMES, COUNTS, st.booleans()),
    st.builds(EpollUnread, TIMES, COUNTS, st.lists(SOCKETS, max_size=3).map(tuple)),
    st.builds(EpollClosed, TIMES, COUNTS),
)


def events(*parts: list[EpollRow]) -> EpollEvents:
    told = EpollColumns()
    for part in parts:
        told.take(part)
    return told.events()


def event(row: EpollRow) -> EpollEvent:
    (one,) = events([row])
    return one


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[EpollRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    socket = UnreadSocket(66, "tcp", 120, "127.0.0.1:80", "127.0.0.1:5000")
    assert event(EpollOpened(1, 5, 3)) == EpollEvent(1, 5, share=3)
    assert event(EpollReady(1, 5, is_ready=False)) == EpollEvent(1, 5, ready=False)
    assert event(EpollUnread(1, 5, (socket,))) == EpollEvent(1, 5, unread=(socket,))
    assert event(EpollClosed(1, 5)) == EpollEvent(1, 5, closed=True)


@given(st.lists(ROWS), st.lists(ROWS), TIMES, TIMES)
def test_rows_are_events_in_their_order(
    some: list[EpollRow], more: list[EpollRow], from_ns: int, until_ns: int
) -> None:
    found = events(some, more)
    assert found == [event(row) for row in (*some, *more)]
    assert found == EpollEvents.of(found)
    assert [found[n] for n in range(len(found))] == list(found)
    assert found.between(from_ns, until_ns) == [e for e in found if from_ns <= e.at_ns <= until_ns]
