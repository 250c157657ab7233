"""Single dumps: each line holds the stacks of all threads of a process at one instant."""

from __future__ import annotations

from collections.abc import Mapping

from waitspy.model.stacks import Stack, StackTable
from waitspy.model.threads import Dump
from waitspy.recording.rows import Row, reader


class DumpRow(Row, frozen=True):
    """The stacks by thread id; ``gil_tid`` held the GIL."""

    stacks: Mapping[int, Stack]
    gil_tid: int | None = None


READER = reader(DumpRow)


def dump(row: DumpRow, table: StackTable) -> Dump:
    """The dump that a row holds, with the numbers of its stacks."""
    stacks = {tid: table.number(stack) for tid, stack in row.stacks.items()}
    return Dump(row.at_ns, stacks, row.gil_tid)
