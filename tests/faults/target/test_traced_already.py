"""A server is traced by a debugger already, which lets it run.

waitspy reads it beside the debugger and finds what starves; asked for `--blocking`, which needs to trace it, it says
that it could not, and takes the debugger nothing away.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.target.served import blocks, lost, recorded, served, untouched, watched
from tests.live.running import stop_tree

TRACER = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
pid = int(sys.argv[1])
assert libc.ptrace(0x4206, pid, 0, 0x8) == 0, os.strerror(ctypes.get_errno())  # SEIZE, TRACECLONE
print("ready", flush=True)
while True:
    tid, status = os.waitpid(-1, 0x40000000)  # __WALL
    if not os.WIFSTOPPED(status):
        break
    event, number = status >> 16, os.WSTOPSIG(status)
    libc.ptrace(7, tid, 0, 0 if event else number)  # CONT
"""


@contextlib.contextmanager
def traced(pid: int) -> Iterator[int]:
    """A tracer of that process that only looks."""
    argv = [sys.executable, "-c", TRACER, str(pid)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as tracer:
        try:
            assert tracer.stdout is not None
            assert tracer.stdout.readline() == "ready\n"
            yield tracer.pid
            assert tracer.poll() is None
        finally:
            stop_tree(tracer.pid)


def test_a_traced_server_is_read_beside_its_debugger(tmp_path: Path) -> None:
    with served() as server:
        with traced(server.pid) as tracer:
            told = recorded(tmp_path, server.pid)
            untouched(server.pid, tracer=tracer)
        untouched(server.pid)
    blocks(tmp_path, told, server.pid)
    watched(told, server.pid)
    assert lost(told) == []


def test_what_blocking_cannot_have_is_told(tmp_path: Path) -> None:
    with served() as server, traced(server.pid) as tracer:
        told = recorded(tmp_path, server.pid, "--blocking")
        untouched(server.pid, tracer=tracer)
    blocks(tmp_path, told, server.pid)
    assert [loss["pid"] for loss in lost(told)] == [server.pid]
