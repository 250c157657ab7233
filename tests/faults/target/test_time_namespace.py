"""A server lives in a time namespace: its clocks are days off from those of the machine.

Its waits are as long as they are, and it is not taken for older or younger than it is. What can only be told on its own
clocks, its timers, is refused with that reason.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.faults.target.served import BLOCKED, blocks, lost, recorded, served, untouched
from waitspy.kernel import procfs

DAYS_S = 10 * 86400
BY = ("unshare", "--time", "--boottime", str(DAYS_S), "--monotonic", str(DAYS_S), "--fork",
      "--kill-child", sys.executable)  # fmt: skip


def test_a_server_with_other_clocks_is_recorded(tmp_path: Path) -> None:
    with served(BLOCKED, by=BY) as server:
        (pid,) = procfs.children(server.pid)
        assert procfs.namespace(pid, "time") != procfs.namespace(os.getpid(), "time")
        told = recorded(tmp_path, server.pid)
        untouched(pid)
    blocks(tmp_path, told, pid)  # with the source text: the file is older than the process
    (worker,) = (one for one in told["workers"] if one["pid"] == pid)
    refused = {name: why for name, why in worker["oracles"].items() if why != "ok"}
    assert set(refused) == {"asyncio", "pools", "places", "wait_for", "children"}
    assert set(refused.values()) == {"it lives in a time namespace of its own"}
    assert lost(told) == []
