"""The stream ``asyncio``: what event loop objects, named by their addresses, said of themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from waitspy.model.columns import UNKNOWN, thin
from waitspy.model.loops import LoopEvent, LoopEvents, LoopInfo, LoopWork
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


_OTHER = LoopServed(0, 0, UNKNOWN, UNKNOWN)


class LoopColumns:
    """Takes a stream's rows, part by part, and makes columns of them."""

    def __init__(self) -> None:
        self._parts = [LoopEvents.of().columns]
        self._others: dict[int, LoopEvent] = {}
        self._many = 0
        self._numbers: dict[int, int] = {}

    def take(self, rows: Sequence[LoopRow]) -> None:
        """The next rows."""
        for n, row in enumerate(rows, self._many):
            if not isinstance(row, LoopServed):
                self._others[n] = _other(row)
        self._many += len(rows)
        numbers = self._numbers
        loops = [numbers.setdefault(row.loop, len(numbers)) for row in rows]
        served = [row if type(row) is LoopServed else _OTHER for row in rows]
        columns = (
            [row.at_ns for row in rows],
            loops,
            [row.ready for row in served],
            [row.changes for row in served],
        )
        self._parts.append(tuple(np.array(column, np.int64) for column in columns))

    def events(self) -> LoopEvents:
        """All that they tell."""
        at_ns, loops, *service = map(np.concatenate, zip(*self._parts, strict=True))
        addresses = tuple(sorted(self._numbers))
        place = np.empty(len(addresses), np.int64)
        place[[self._numbers[address] for address in addresses]] = np.arange(len(addresses))
        return LoopEvents((at_ns, thin(place[loops]), *service), self._others, addresses)


def _other(row: LoopFound | LoopWaiting | LoopCollecting) -> LoopEvent:
    match row:
        case LoopFound():
            return LoopEvent(row.at_ns, row.loop, facts=row.facts)
        case LoopWaiting():
            return LoopEvent(row.at_ns, row.loop, work=row.work)
        case LoopCollecting():
            return LoopEvent(row.at_ns, row.loop, collecting=row.collecting)
