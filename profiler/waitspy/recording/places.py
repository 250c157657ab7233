"""The stream ``places``: where the tasks of each loop, named by its address, were seen to wait."""

from __future__ import annotations

from waitspy.model.places import PlacesEvent, TaskGroup
from waitspy.model.ranges import Address, Count
from waitspy.model.task_waits import TaskWait, TaskWaitsEvent
from waitspy.recording.rows import Row, reader


class TasksSeen(Row, frozen=True, tag="tasks"):
    """A look: how many tasks there were, how many were looked at, and where those wait."""

    loop: Address
    pending: Count
    looked: Count
    groups: tuple[TaskGroup, ...]


class TasksSame(Row, frozen=True, tag="same"):
    """Another look, at which all of them waited where they had before."""

    loop: Address


class TasksHeld(Row, frozen=True, tag="held"):
    """What tasks have waited for since the look before that other tasks hold, or a pool lends."""

    loop: Address
    waits: tuple[TaskWait, ...]


PlacesRow = TasksSeen | TasksSame | TasksHeld
READER = reader(PlacesRow)


def event(row: PlacesRow) -> PlacesEvent | TaskWaitsEvent:
    """The event that a row tells of."""
    match row:
        case TasksSeen():
            return PlacesEvent(row.at_ns, row.loop, row.pending, row.looked, row.groups)
        case TasksSame():
            return PlacesEvent(row.at_ns, row.loop)
        case TasksHeld():
            return TaskWaitsEvent(row.at_ns, row.loop, row.waits)
