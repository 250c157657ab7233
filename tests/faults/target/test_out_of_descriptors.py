"""A server has used up all its descriptors (RLIMIT_NOFILE): it can open nothing more, and accept nobody.

What starves is found as before, and the server lacks no descriptor because of waitspy.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from tests.faults.target.served import blocks, lost, prelude, recorded, served, untouched, watched
from tests.live.running import wait_until

LIMIT = 40
USE_UP = f"""
import os, resource, signal
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))
def use_up(*_):
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
def give_back(*_):
    while held:
        os.close(held.pop())
held = []
signal.signal(signal.SIGUSR1, use_up)
signal.signal(signal.SIGUSR2, give_back)
"""


def held(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def clients(pid: int) -> int:
    """How many connections it has accepted."""
    known = psutil.Process(pid).net_connections("tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED for one in known)


def test_a_server_without_descriptors_is_recorded(tmp_path: Path) -> None:
    with served(by=prelude(USE_UP)) as server:
        wait_until(lambda: clients(server.pid) == 2, "they are not accepted")
        os.kill(server.pid, signal.SIGUSR1)
        wait_until(lambda: held(server.pid) == LIMIT, "it has descriptors left")
        told = recorded(tmp_path, server.pid)
        assert held(server.pid) == LIMIT
        untouched(server.pid)
        os.kill(server.pid, signal.SIGUSR2)
        wait_until(lambda: held(server.pid) < LIMIT, "it gives nothing back")
    blocks(tmp_path, told, server.pid)
    watched(told, server.pid)
    assert lost(told) == []
