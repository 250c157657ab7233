"""Every oracle, in the order in which they look; an oracle may use what an earlier one saw."""

from __future__ import annotations

from profiler.oracles import Oracle
from profiler.oracles.backlog import BacklogOracle
from profiler.oracles.epoll import EpollOracle
from profiler.oracles.event_loops import LoopsOracle
from profiler.oracles.pools import PoolsOracle
from profiler.oracles.threads import ThreadsOracle


def make_oracles() -> tuple[Oracle, ...]:
    """A fresh set for one capture."""
    return ThreadsOracle(), EpollOracle(), LoopsOracle(), PoolsOracle(), BacklogOracle()
