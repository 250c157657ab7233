"""The stream ``asyncio``: what event loop objects, named by their addresses, said of themselves."""

from __future__ import annotations

from waitspy.model.loops import LoopEvent, LoopInfo, LoopWork
from waitspy.model.ranges import Address, Count
from waitspy.recording.rows import Row, reader


class LoopFound(Row, frozen=True, tag="loop"):
    """A loop was found, or has changed hands."""

    loop: Address
    facts: LoopInfo


class LoopServed(Row, frozen=True, tag="service"):
    """Its ready queue changed: its length, and how often it was changed so far."""

    loop: Address
    ready: Count
    changes: Count


class LoopWaiting(Row, frozen=True, tag="work"):
    """What waits on it, as it has served nothing for a while."""

    loop: Address
    work: LoopWork


class LoopCollecting(Row, frozen=True, tag="gc"):
    """Whether its interpreter collects garbage, as it has served nothing for a while."""

    loop: Address
    collecting: bool


LoopRow = LoopFound | LoopServed | LoopWaiting | LoopCollecting
READER = reader(LoopRow)


def event(row: LoopRow) -> LoopEvent:
    """The event that a row tells of."""
    match row:
        case LoopServed():
            return LoopEvent(row.at_ns, row.loop, service=(row.ready, row.changes))
        case LoopFound():
            return LoopEvent(row.at_ns, row.loop, facts=row.facts)
        case LoopWaiting():
            return LoopEvent(row.at_ns, row.loop, work=row.work)
        case LoopCollecting():
            return LoopEvent(row.at_ns, row.loop, collecting=row.collecting)
