"""Every oracle, in the order in which they look; an oracle may use what an earlier one saw."""

from __future__ import annotations

from waitspy.model.clock import NS
from waitspy.oracles import Oracle
from waitspy.oracles.children import ChildrenOracle
from waitspy.oracles.datagrams import DatagramsOracle
from waitspy.oracles.epolls import EpollOracle
from waitspy.oracles.libuv import LibuvOracle
from waitspy.oracles.listeners import BacklogOracle
from waitspy.oracles.loops import LoopsOracle
from waitspy.oracles.messages import MessagesOracle
from waitspy.oracles.onset import onset_ns
from waitspy.oracles.places import PlacesOracle
from waitspy.oracles.pools import PoolsOracle
from waitspy.oracles.requests import RequestsOracle
from waitspy.oracles.threads import ThreadsOracle
from waitspy.oracles.wait_for import WaitForOracle


def make_oracles(min_stall_s: float) -> tuple[Oracle, ...]:
    """A fresh set for one capture that reports waits of ``min_stall_s`` and more."""
    onset = onset_ns(min_stall_s)
    return (
        ThreadsOracle(),
        EpollOracle(onset),
        LoopsOracle(onset),
        LibuvOracle(onset),
        PoolsOracle(onset),
        BacklogOracle(onset),
        DatagramsOracle(onset),
        MessagesOracle(),
        RequestsOracle(int(min_stall_s * NS)),
        PlacesOracle(),
        WaitForOracle(onset),
        ChildrenOracle(),
    )
