"""Rows of event loops: read as written, each of them one event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import ADDRESSES, COUNTS, MAYBE_TEXTS, TEXTS, TIMES, again
from waitspy.model.loops import LateTimer, LoopEvent, LoopEvents, LoopInfo, LoopWork
from waitspy.recording.loops import READER, LoopColumns, LoopFound, LoopRow, LoopServed, LoopWaiting

FACTS = st.builds(
    LoopInfo, TEXTS, st.none() | COUNTS, st.none() | COUNTS, MAYBE_TEXTS, st.none() | st.booleans()
)
TIMERS = st.builds(LateTimer, TIMES, TEXTS, MAYBE_TEXTS, st.booleans())
WORK = st.builds(
    LoopWork,
    COUNTS,
    st.lists(st.tuples(TEXTS, MAYBE_TEXTS, st.booleans()), max_size=3).map(tuple),
    st.none() | COUNTS,
    st.lists(TIMERS, max_size=3).map(tuple),
)
ROWS = st.one_of(
    st.builds(LoopFound, TIMES, ADDRESSES, FACTS),
    st.builds(LoopServed, TIMES, ADDRESSES, COUNTS, COUNTS),
    st.builds(LoopWaiting, TIMES, ADDRESSES, WORK),
)


def events(*parts: list[LoopRow]) -> LoopEvents:
    told = LoopColumns()
    for part in parts:
        told.take(part)
    return told.events()


def event(row: LoopRow) -> LoopEvent:
    (one,) = events([row])
    return one


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[LoopRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    facts = LoopInfo("uvloop", None, 7, "running", closed=False)
    work = LoopWork(3, (("f", "/a.py:1", True),), None, ())
    assert event(LoopFound(1, 99, facts)) == LoopEvent(1, 99, facts=facts)
    assert event(LoopServed(1, 99, 3, 1000)) == LoopEvent(1, 99, service=(3, 1000))
    assert event(LoopWaiting(1, 99, work)) == LoopEvent(1, 99, work=work)


@given(st.lists(ROWS), st.lists(ROWS), TIMES, TIMES)
def test_rows_are_events_in_their_order(
    some: list[LoopRow], more: list[LoopRow], from_ns: int, until_ns: int
) -> None:
    found = events(some, more)
    assert found == [event(row) for row in (*some, *more)]
    assert found == LoopEvents.of(found)
    assert [found[n] for n in range(len(found))] == list(found)
    assert found.between(from_ns, until_ns) == [e for e in found if from_ns <= e.at_ns <= until_ns]
