"""The stream ``children``: processes below a worker that wait for it to read their pipes."""

from __future__ import annotations

from waitspy.model.children import ChildrenEvent, StandingChild
from waitspy.model.ranges import Tid
from waitspy.recording.rows import Row, reader


class ChildrenRow(Row, frozen=True):
    """All that do so at a look, and which of those told before have ended."""

    standing: tuple[StandingChild, ...]
    ended: tuple[Tid, ...]


READER = reader(ChildrenRow)


def event(row: ChildrenRow) -> ChildrenEvent:
    """The event that a row tells of."""
    return ChildrenEvent(row.at_ns, row.standing, row.ended)
