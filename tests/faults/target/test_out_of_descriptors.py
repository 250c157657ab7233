"""A server has used up all its descriptors (RLIMIT_NOFILE): it can open nothing more, and accept nobody.

What starves is found as before, and the server lacks no descriptor because of waitspy. Who waits to be
accepted is told, though the server is blocked in nothing: it is no all-clear.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from tests.faults.target.served import (
    HEALTHY,
    SERVER,
    blocks,
    lost,
    prelude,
    recorded,
    report,
    served,
    untouched,
    watched,
)
from tests.live.running import client, target, wait_until
from tests.live.session import run

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


def test_clients_that_it_cannot_accept_are_told(tmp_path: Path) -> None:
    with target([*prelude(USE_UP), SERVER, *HEALTHY]) as server:
        os.kill(server.pid, signal.SIGUSR1)
        wait_until(lambda: held(server.pid) == LIMIT, "it has descriptors left")
        with client(server.ready["port"], connections=3):
            code, out, err = run(tmp_path, "record", server.pid, "-d", "2.5", "-o", "rec")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert said.startswith(
        "no starvation seen in what was watched, but 3 connections to 127.0.0.1:"
    )
    (one,) = report(tmp_path)["waiting"]["unaccepted"]
    assert one["listener"] == f"127.0.0.1:{server.ready['port']}"
    assert one["most"] == 3
    assert one["longest_s"] > 1
