"""A server lives in a time namespace: its clocks are days off from those of the machine.

Its waits are as long as they are, its timers are told as late as they are, and it is not taken for older or younger
than it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.target.served import BLOCKED, blocks, lost, recorded, served, untouched, watched
from tests.live.harms import blamed
from tests.live.running import TARGETS, said, starved_by_itself, target
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
    watched(told, pid)
    assert lost(told) == []


@pytest.mark.alone  # its timers are as late as they are told to be only if it gets the CPU
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_timers_on_other_clocks_are_as_late_as_they_are(loop: str, tmp_path: Path) -> None:
    # Blocks 50 ms after its beats were late, and so between two of them, 20 ms apart.
    mode = "blocked", "0.3", "0.05", "0", *(["uvloop"] if loop == "uvloop" else [])
    with target([*BY, TARGETS / "timer_loop.py", *mode]) as server:
        told = recorded(tmp_path, server.pid, seconds=1.5)
    found = blamed(told, tmp_path / "rec")
    (harm,) = (one for one in found if one in starved_by_itself(told))
    assert harm["blame"]["source"] == "time.sleep(HARM_S)", said(told)
    # A beat that was due in the turn of the loop that blocks has been fired: its task is what waits.
    late = {one["kind"]: one for one in harm["victims"]}
    assert late.keys() <= {"timer", "task"}, said(told)
    timers = late["timer"]
    on_average_s = timers["waited_s"] / timers["count"]
    assert 0.15 < on_average_s <= harm["longest_s"], said(told)
