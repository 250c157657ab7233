"""A server lives in pid and mount namespaces of its own, as a container does: it knows itself by another number, and
its files by other paths.

It is told by its number on the machine, with its source as it is inside.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.target.served import SERVER, blocks, lost, recorded, served, untouched, watched
from waitspy.kernel import procfs

MOUNTED = (
    'mount -t tmpfs tmpfs /mnt && mkdir /mnt/app && cp "$1" /mnt/app && shift && '
    'exec "$0" /mnt/app/loop_server.py "$@"'
)
UNSHARED = ("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
BY = (*UNSHARED, "sh", "-c", MOUNTED, sys.executable)


def test_a_server_in_namespaces_is_recorded(tmp_path: Path) -> None:
    with served(by=BY) as server:
        (pid,) = procfs.children(server.pid)
        assert procfs.read_status(pid).pids[-1] == 1
        assert not Path("/mnt/app").exists()
        told = recorded(tmp_path, server.pid)
        untouched(pid)
    blocks(tmp_path, told, pid)
    watched(told, pid)
    (finding,) = (f for f in told["findings"] if f["kind"] == "blocked-loop")
    assert finding["blame"]["file"] == f"/mnt/app/{SERVER.name}"
    assert lost(told) == []
