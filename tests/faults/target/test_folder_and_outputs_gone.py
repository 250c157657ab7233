"""A server's working directory was deleted with its source in it, and nobody reads its outputs any more.

What starves is found and blamed on file and line; no source text is made up for them.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.target.served import SERVER, blocks, prelude, recorded, served, untouched, watched
from tests.live.running import wait_until

BROKEN = """
import os, signal
def lose_outputs(*_):
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    os.close(writer)
signal.signal(signal.SIGUSR1, lose_outputs)
"""


@pytest.mark.parametrize("name", ["relative", "absolute"])
def test_a_server_without_a_folder_is_recorded(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    shutil.copy(SERVER, folder)
    script = SERVER.name if name == "relative" else folder / SERVER.name
    with served(script=script, by=prelude(BROKEN), cwd=folder) as server:
        shutil.rmtree(folder)
        os.kill(server.pid, signal.SIGUSR1)
        fds = Path(f"/proc/{server.pid}/fd")
        wait_until(lambda: (fds / "1").readlink() == (fds / "2").readlink(), "it has its outputs")
        told = recorded(tmp_path, server.pid)
        untouched(server.pid)
    blocks(tmp_path, told, server.pid, source=False)
    watched(told, server.pid)
