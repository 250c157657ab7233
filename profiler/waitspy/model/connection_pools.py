"""How much of a pool of connections is lent, as recorded."""

from __future__ import annotations

import msgspec

from waitspy.model.ranges import Few


class PoolUse(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A pool of connections: its class, its limit, and how many are lent; None is not known."""

    name: str
    limit: Few | None
    lent: Few | None

    @property
    def exhausted(self) -> bool:
        """Whether all are lent, as far as is known."""
        return self.limit is None or self.lent is None or self.lent >= self.limit
