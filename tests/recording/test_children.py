"""Rows of processes that wait for their worker: read as written, each of them one event."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import recording_examples as examples
from tests.examples.build import at, stack
from tests.examples.row_examples import ADDRESSES, TEXTS, TIMES, again
from waitspy.model.children import ChildrenEvent, ChildWait, StandingChild
from waitspy.model.code_origin import Origin
from waitspy.model.stacks import Frame
from waitspy.recording import loading
from waitspy.recording.children import READER, ChildrenRow, event
from waitspy.recording.folder import Writer
from waitspy.recording.rows import read

PIDS = st.integers(0, 2**31)
FRAMES = st.builds(Frame, TEXTS, TEXTS, st.none() | st.integers(0, (1 << 31) - 1))
WAITS = st.builds(
    ChildWait,
    st.sampled_from(["exit", "output", "input"]),
    PIDS,
    TEXTS,
    TIMES,
    st.none() | PIDS,
    st.none() | ADDRESSES,
    st.lists(FRAMES, max_size=3).map(tuple),
    st.integers(1, 2**31),
)
STANDING = st.builds(
    StandingChild, PIDS, TEXTS, ADDRESSES, PIDS, TIMES, st.lists(WAITS, max_size=2).map(tuple)
)
ROWS = st.builds(
    ChildrenRow,
    TIMES,
    st.lists(STANDING, max_size=3).map(tuple),
    st.lists(PIDS, max_size=3).map(tuple),
)
WAIT = ChildWait("output", 70, "sh", at(50), None, 0xA0, stack("get@/app/main.py:7"))
CHILD = StandingChild(70, "sh", 8, 11, at(60), (WAIT,))


@given(st.lists(ROWS))
def test_rows_are_read_as_written(rows: list[ChildrenRow]) -> None:
    assert again(rows, READER) == rows


def test_each_row_is_one_event() -> None:
    assert event(ChildrenRow(9, (CHILD,), (71,))) == ChildrenEvent(9, (CHILD,), (71,))


@pytest.mark.parametrize(
    "bad",
    [
        '[1,[[-1,"sh",8,11,60,[]]],[]]',
        '[1,[[70,"sh",8,-11,60,[]]],[]]',
        f'[1,[[70,"{"x" * 65}",8,11,60,[]]],[]]',
        '[1,[[70,"sh",8,11,60,[["sleep",70,"sh",50]]]],[]]',
        '[1,[[70,"sh",8,11,60,[["exit",70,"sh",50,null,null,[],0]]]],[]]',
        f"[1,[],[{2**40}]]",
    ],
)
def test_what_cannot_be_is_damaged(bad: str) -> None:
    rows: list[ChildrenRow] = []
    lines = read(bad.encode() + b"\n[1,[],[]]\n", READER, rows.extend)
    assert (rows, lines.damaged) == ([ChildrenRow(1, (), ())], 1)


def test_a_recording_has_those_of_the_workers_own_time(tmp_path: Path) -> None:
    told = {"oracles": {"children": "ok"}, "gone_ns": at(700)}
    path = examples.write(tmp_path / "rec", told)
    writer = Writer(str(tmp_path / "other"), examples.META)
    writer.start_stream("children", 7, ChildrenRow)
    writer.append(
        "children", 7, [ChildrenRow(at(200), (CHILD,), ()), ChildrenRow(at(800), (), (70,))]
    )
    writer.close()
    (tmp_path / "other/oracles/children").rename(path / "oracles/children")
    (worker,) = loading.load(str(path)).workers
    assert worker.children == (ChildrenEvent(at(200), (CHILD,)),)
    ((frame,),) = (wait.stack for wait in worker.children[0].standing[0].waits)
    assert frame.origin is Origin.USER


def test_a_recording_from_before_has_none(tmp_path: Path) -> None:
    path = examples.write(tmp_path / "rec", {"oracles": {"requests": "because"}})
    (worker,) = loading.load(str(path)).workers
    assert worker.children == ()
