"""A server runs at the lowest priority there is (SCHED_IDLE), beside processes that want all the CPU.

That it is late is told as lack of CPU, and the program is not blamed.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.faults.target.served import HEALTHY, lost, prelude, recorded, served, untouched
from tests.live.running import said, starving, wait_until

pytestmark = pytest.mark.alone

IDLE = """
import os, signal, subprocess
def be_idle(*_):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for _ in range(2):
        subprocess.Popen(["sh", "-c", "while :; do :; done"])
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
signal.signal(signal.SIGUSR1, be_idle)
"""
"""The hogs are its own, since the kernel may share the CPU out to sessions first."""


def test_a_server_that_gets_no_cpu_is_not_blamed(tmp_path: Path) -> None:
    with served(HEALTHY, by=prelude(IDLE)) as server:
        os.kill(server.pid, signal.SIGUSR1)
        wait_until(lambda: os.sched_getscheduler(server.pid) == os.SCHED_IDLE, "it is not idle")
        told = recorded(tmp_path, server.pid, seconds=1.5)
        untouched(server.pid)
        for hog in psutil.Process(server.pid).children():
            hog.kill()
    assert starving(told), said(told)
    assert {(f["kind"], f["blame"]) for f in starving(told)} == {("no-cpu", None)}, said(told)
    assert lost(told) == []
