"""Rows of our own sampler: read as written, numbered once, and made into a segment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import TEXTS, TIMES, again
from waitspy.model.gil import GilState
from waitspy.model.stacks import Frame, Stack, StackTable
from waitspy.model.threads import Segment
from waitspy.recording.rows import Row, written
from waitspy.recording.stacks import (
    READER,
    FrameTold,
    GilHeld,
    Numbers,
    ReadSegment,
    StacksRow,
    StackTold,
    ThreadNamed,
    ThreadShows,
    segment,
)

FEW, MANY, TIDS = st.integers(0, 2**31), st.integers(1, 2**31), st.integers(0, 2**31)
LINES = st.none() | st.integers(0, 2**31 - 1)
ROWS = st.one_of(
    st.builds(FrameTold, TIMES, MANY, TEXTS, TEXTS, LINES, LINES),
    st.builds(StackTold, TIMES, MANY, FEW, MANY),
    st.builds(ThreadNamed, TIMES, TIDS, TEXTS),
    st.builds(ThreadShows, TIMES, TIDS, FEW, st.none() | TIMES),
    st.builds(GilHeld, TIMES, FEW, st.none() | TIDS, st.booleans()),
)
MAIN = (Frame("main", "/app/a.py", 1),)
CALLS = (*MAIN, Frame("called", "/app/a.py", 7))
TOLD: list[StacksRow] = [
    FrameTold(100, 1, "main", "/app/a.py", 1),
    StackTold(100, 1, 0, 1),
    FrameTold(100, 2, "called", "/app/a.py", 7),
    StackTold(100, 2, 1, 2),
    ThreadNamed(100, 5, "MainThread"),
]
END = {"type": "end", "why": "x"}
Shown = list[tuple[int, int, Stack]]


def read(
    rows: list[StacksRow], *, ended: bool = True, cut: bool = False, end_ns: int | None = 400
) -> ReadSegment:
    raw = written([{"type": "start"}, *rows, *([END] if ended else [])])
    return segment(raw, StackTable(), 100, 10, end_ns, cut=cut)


def shown(found: Segment, tid: int = 5) -> Shown:
    return [
        (i.start_ns, i.end_ns, i.stack) for t in found.threads if t.tid == tid for i in t.intervals
    ]


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[StacksRow]) -> None:
    assert again(rows, READER) == rows


def test_frames_and_stacks_are_told_once() -> None:
    numbers = Numbers()
    assert numbers.number(CALLS, 100) == (2, [*TOLD[:2], *TOLD[2:4]])
    assert numbers.number(MAIN, 200) == (1, [])
    assert numbers.number((), 200) == (0, [])
    assert len(numbers) == 4


def test_where_a_function_begins_is_told_with_the_line_that_it_is_in() -> None:
    stack = (Frame("serve", "/app/a.js", 12, 7),)
    number, new = Numbers().number(stack, 100)
    found = read([*new, ThreadNamed(100, 5, "main"), ThreadShows(110, 5, number)]).segment
    assert shown(found) == [(110, 400, stack)]


def test_a_thread_shows_a_stack_until_it_shows_another() -> None:
    rows = [*TOLD, ThreadShows(110, 5, 2), ThreadShows(200, 5, 1), ThreadShows(250, 5, 0)]
    rows += [ThreadShows(300, 5, 2)]
    found, damaged = read(rows)
    assert shown(found) == [(110, 200, CALLS), (200, 250, MAIN), (300, 400, CALLS)]
    assert [thread.name for thread in found.threads] == ["MainThread"]
    assert (found.start_ns, found.end_ns, found.period_ns) == (100, 400, 10)
    assert (found.torn, damaged) == (False, 0)


def test_a_stack_holds_only_as_long_as_it_was_seen() -> None:
    found, _ = read([*TOLD, ThreadShows(110, 5, 2), ThreadShows(200, 5, 1, known_ns=120)])
    assert shown(found) == [(110, 120, CALLS), (200, 400, MAIN)]


def test_who_held_the_gil_is_told_in_order_until_the_end() -> None:
    rows = [GilHeld(300, 0, None, False), GilHeld(110, 0, 5, False), GilHeld(400, 0, 6, True)]
    found, _ = read([*TOLD, *rows])
    assert found.gil == [
        GilState(110, 0, 5, collects=False),
        GilState(300, 0, None, collects=False),
    ]


def test_a_thread_with_another_name_is_another_one() -> None:
    rows = [*TOLD, ThreadShows(110, 5, 2), ThreadNamed(150, 5, "b"), ThreadShows(200, 5, 1)]
    found, _ = read(rows)
    assert [thread.name for thread in found.threads] == ["MainThread", "b"]


def test_of_a_file_that_is_cut_short_nothing_is_said_after_its_last_row() -> None:
    rows = [*TOLD, ThreadShows(110, 5, 2), ThreadShows(120, 6, 1)]
    found, damaged = read(rows, ended=False)
    assert found.torn
    assert shown(found) == [(110, 120, CALLS)]
    assert damaged == 0


def test_of_a_recording_that_is_cut_short_all_is_known_until_it_was_written_last() -> None:
    rows = [*TOLD, ThreadShows(110, 5, 2), ThreadShows(120, 6, 1)]
    found, _ = read(rows, ended=False, cut=True, end_ns=300)
    assert not found.torn
    assert shown(found) == [(110, 300, CALLS)]
    found, _ = read(rows, ended=False, cut=True, end_ns=115)
    assert shown(found) == [(110, 120, CALLS)]
    found, _ = read(rows, ended=False, cut=True, end_ns=None)
    assert shown(found) == [(110, 120, CALLS)]


def test_what_is_not_known_shows_nothing_and_is_counted() -> None:
    found, damaged = read([*TOLD, ThreadShows(110, 5, 2), ThreadShows(200, 5, 9)])
    assert shown(found) == [(110, 200, CALLS)]
    assert damaged == 1
    found, damaged = read([StackTold(100, 1, 0, 1), ThreadShows(110, 5, 1)])
    assert shown(found) == []
    assert damaged == 2


@given(st.lists(ROWS, max_size=20), st.none() | TIMES, st.booleans(), st.booleans())
def test_whatever_the_rows_are_stacks_lie_within_and_do_not_overlap(
    rows: list[Row], end_ns: int | None, ended: bool, cut: bool
) -> None:
    raw = written([*TOLD, *rows, *([END] if ended else [])])
    found = segment(raw, StackTable(), 100, 10, end_ns, cut=cut).segment
    for thread in found.threads:
        at_ns = found.start_ns
        for interval in thread.intervals:
            assert at_ns <= interval.start_ns < interval.end_ns <= found.end_ns
            at_ns = interval.end_ns
