"""The stream ``pools``: what waited in pools, named by the addresses of their queues."""

from __future__ import annotations

from waitspy.model.pools import PoolEvent, PoolInfo, PoolWaits
from waitspy.model.ranges import Address, Count
from waitspy.recording.rows import Row, reader


class PoolFound(Row, frozen=True, tag="pool"):
    """A pool was found, or its threads are others."""

    pool: Address
    info: PoolInfo


class PoolQueue(Row, frozen=True, tag="queue"):
    """Its queue changed: how many items wait, and how many were taken so far."""

    pool: Address
    waiting: Count
    taken: Count


class PoolStuck(Row, frozen=True, tag="waits"):
    """What waits in it, as its queue has not moved for a while."""

    pool: Address
    waits: PoolWaits


class PoolGone(Row, frozen=True, tag="gone"):
    """It is no more."""

    pool: Address


PoolRow = PoolFound | PoolQueue | PoolStuck | PoolGone
READER = reader(PoolRow)


def event(row: PoolRow) -> PoolEvent:
    """The event that a row tells of."""
    match row:
        case PoolQueue():
            return PoolEvent(row.at_ns, row.pool, queue=(row.waiting, row.taken))
        case PoolFound():
            return PoolEvent(row.at_ns, row.pool, info=row.info)
        case PoolStuck():
            return PoolEvent(row.at_ns, row.pool, waits=row.waits)
        case PoolGone():
            return PoolEvent(row.at_ns, row.pool, gone=True)
