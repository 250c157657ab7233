"""Dumps are read as written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import COUNTS, TEXTS, TIMES, again
from waitspy.model.stacks import Frame
from waitspy.model.threads import Dump
from waitspy.recording.dumps import READER

FRAMES = st.builds(Frame, TEXTS, TEXTS, st.none() | COUNTS)
STACKS = st.dictionaries(COUNTS, st.lists(FRAMES, max_size=3).map(tuple), max_size=3)


@given(st.lists(st.builds(Dump, TIMES, STACKS, st.none() | COUNTS), max_size=3))
def test_dumps_are_read_as_written(dumps: list[Dump]) -> None:
    assert again(dumps, READER) == dumps
