"""A server lives in a user namespace, where it is root although it is nobody outside, as in a rootless container.

Root outside sees it like any other, with its source.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.faults.target.served import blocks, lost, recorded, served, untouched, watched
from waitspy.kernel import procfs

BY = ("unshare", "--user", "--map-root-user", sys.executable)


def test_a_server_in_a_user_namespace_is_recorded(tmp_path: Path) -> None:
    with served(by=BY) as server:
        assert procfs.namespace(server.pid, "user") != procfs.namespace(os.getpid(), "user")
        told = recorded(tmp_path, server.pid)
        untouched(server.pid)
    blocks(tmp_path, told, server.pid)
    watched(told, server.pid)
    assert lost(told) == []
