"""Rows of what is owed: read as written, each of them one event."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import recording_examples as examples
from tests.examples.build import at
from tests.examples.row_examples import COUNTS, TIMES, again
from waitspy.model.requests import RequestsEvent
from waitspy.recording import loading
from waitspy.recording.folder import Writer
from waitspy.recording.requests import READER, RequestRow, event

MAYBE = st.none() | COUNTS
ROWS = st.builds(RequestRow, TIMES, COUNTS, MAYBE, MAYBE, st.none() | TIMES)


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[RequestRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    assert event(RequestRow(9, 80, 2, 1, 7)) == RequestsEvent(9, 80, 2, 1, 7)
    assert event(RequestRow(9, 80, None, None, None)) == RequestsEvent(9, 80)


def test_a_recording_has_those_of_the_workers_own_time(tmp_path: Path) -> None:
    told = {"oracles": {"requests": "ok"}, "gone_ns": at(700)}
    path = examples.write(tmp_path / "rec", told)
    writer = Writer(str(tmp_path / "other"), examples.META)
    writer.start_stream("requests", 7, RequestRow)
    rows = [RequestRow(at(200), 80, 1, 0, at(100)), RequestRow(at(800), 80, 2, 0, at(100))]
    writer.append("requests", 7, rows)
    writer.close()
    (tmp_path / "other/oracles/requests").rename(path / "oracles/requests")
    (worker,) = loading.load(str(path)).workers
    assert worker.requests == (RequestsEvent(at(200), 80, 1, 0, at(100)),)
