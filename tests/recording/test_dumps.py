"""Dumps are read as written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.row_examples import COUNTS, TEXTS, TIMES, again
from waitspy.model.stacks import Frame, StackTable
from waitspy.recording.dumps import READER, DumpRow, dump

FRAMES = st.builds(Frame, TEXTS, TEXTS, st.none() | st.integers(0, (1 << 31) - 1))
STACKS = st.dictionaries(COUNTS, st.lists(FRAMES, max_size=3).map(tuple), max_size=3)


ROWS = st.builds(DumpRow, TIMES, STACKS, st.none() | COUNTS)


@given(st.lists(ROWS, max_size=3))
def test_dumps_are_read_as_written(rows: list[DumpRow]) -> None:
    assert again(rows, READER) == rows


@given(ROWS)
def test_a_dump_names_its_stacks_by_number(row: DumpRow) -> None:
    table = StackTable()
    told = dump(row, table)
    assert (told.at_ns, told.gil_tid) == (row.at_ns, row.gil_tid)
    assert {tid: table[number] for tid, number in told.stacks.items()} == row.stacks
