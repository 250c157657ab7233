"""The harness itself: what it starts, it ends."""

from __future__ import annotations

import subprocess
import sys

import psutil

from tests.live.running import stop_tree

_SUPERVISOR = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
print("ready", flush=True)
while True:
    os.wait()
    if os.fork() == 0:
        time.sleep(600)
"""


def test_a_server_that_replaces_its_workers_is_ended_whole() -> None:
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _SUPERVISOR], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        stop_tree(process.pid)
        # A survivor would hold the pipe open.
        assert process.communicate(timeout=20)[0] == b""
        left = [p.pid for p in psutil.process_iter() if _session(p.pid) == process.pid]
        assert left == []


def _session(pid: int) -> int | None:
    import os

    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
