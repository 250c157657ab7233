"""Rows of where tasks wait: read as written, each of them one event."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import recording_examples as examples
from tests.examples.build import at, stack
from tests.examples.row_examples import ADDRESSES, COUNTS, MAYBE_TEXTS, TEXTS, TIMES, again
from waitspy.model.places import PlacesEvent, TaskGroup
from waitspy.model.stacks import Frame
from waitspy.recording import loading
from waitspy.recording.folder import Writer
from waitspy.recording.places import READER, PlacesRow, TasksSame, TasksSeen, event

FRAMES = st.builds(Frame, TEXTS, TEXTS, st.none() | st.integers(0, (1 << 31) - 1))
GROUPS = st.builds(
    TaskGroup,
    st.lists(FRAMES, max_size=3).map(tuple),
    MAYBE_TEXTS,
    COUNTS,
    st.none() | TIMES,
    st.booleans(),
)
ROWS = st.one_of(
    st.builds(TasksSeen, TIMES, ADDRESSES, COUNTS, COUNTS, st.lists(GROUPS, max_size=3).map(tuple)),
    st.builds(TasksSame, TIMES, ADDRESSES),
)
GROUP = TaskGroup(stack("get@/app/main.py:7"), "Future", 3, at(50), still=True)


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[PlacesRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    assert event(TasksSeen(9, 80, 5, 4, (GROUP,))) == PlacesEvent(9, 80, 5, 4, (GROUP,))
    assert event(TasksSeen(9, 80, 0, 0, ())) == PlacesEvent(9, 80, groups=())
    assert event(TasksSame(9, 80)) == PlacesEvent(9, 80)


def test_a_recording_has_those_of_the_workers_own_time(tmp_path: Path) -> None:
    told = {"oracles": {"places": "ok"}, "gone_ns": at(700)}
    path = examples.write(tmp_path / "rec", told)
    writer = Writer(str(tmp_path / "other"), examples.META)
    writer.start_stream("places", 7, PlacesRow)
    rows = [TasksSeen(at(200), 80, 3, 3, (GROUP,)), TasksSame(at(800), 80)]
    writer.append("places", 7, rows)
    writer.close()
    (tmp_path / "other/oracles/places").rename(path / "oracles/places")
    (worker,) = loading.load(str(path)).workers
    assert worker.places == (PlacesEvent(at(200), 80, 3, 3, (GROUP,)),)


def test_a_recording_from_before_has_none(tmp_path: Path) -> None:
    path = examples.write(tmp_path / "rec", {"oracles": {"requests": "because"}})
    (worker,) = loading.load(str(path)).workers
    assert worker.places == ()
