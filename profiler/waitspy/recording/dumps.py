"""Single dumps: each line holds the stacks of threads of a process, all read within a moment."""

from __future__ import annotations

from collections.abc import Mapping

from waitspy.model.ranges import Ns
from waitspy.model.stacks import Stack, StackTable
from waitspy.model.threads import Dump
from waitspy.recording.rows import Row, reader

_TAKES_NS = 60_000_000
"""Until when at the latest a dump was read that was asked for at its time and does not say so."""


class DumpRow(Row, frozen=True):
    """The stacks by thread id, read from ``at_ns`` to ``until_ns``; ``gil_tid`` held the GIL."""

    stacks: Mapping[int, Stack]
    gil_tid: int | None = None
    until_ns: Ns | None = None


READER = reader(DumpRow)


def dump(row: DumpRow, table: StackTable) -> Dump:
    """The dump that a row holds, with the numbers of its stacks."""
    stacks = {tid: table.number(stack) for tid, stack in row.stacks.items()}
    until_ns = row.at_ns + _TAKES_NS if row.until_ns is None else row.until_ns
    return Dump(row.at_ns, max(row.at_ns, until_ns), stacks, row.gil_tid)
