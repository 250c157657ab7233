"""The stream ``wait_for``: what threads of a process were seen to wait for, and who holds it."""

from __future__ import annotations

from waitspy.model.wait_for import LentPool, TaskEdge, WaitEdge, WaitForEvent
from waitspy.recording.rows import Row, reader


class WaitForRow(Row, frozen=True):
    """A look: what those threads waited for that were looked at; who held it is among them, if it
    waited itself. ``pools`` are those of connections that some of them waited for, ``tasks`` those
    that held something.
    """

    waiting: tuple[WaitEdge, ...]
    pools: tuple[LentPool, ...] = ()
    tasks: tuple[TaskEdge, ...] = ()


READER = reader(WaitForRow)


def event(row: WaitForRow) -> WaitForEvent:
    """The event that a row tells of."""
    return WaitForEvent(row.at_ns, row.waiting, row.pools, row.tasks)
