"""A server starts and ends three hundred threads a second.

What starves in it is found as before, blamed on the thread that blocks, and nothing is lost.
"""

from __future__ import annotations

from pathlib import Path

from tests.faults.target.served import blocks, lost, prelude, recorded, served, untouched, watched

STORM = """
import threading, time
def short():
    time.sleep(0.002)
def storm():
    begun = time.monotonic()
    started = 0
    while started < 1500:
        while started < (time.monotonic() - begun) * 300:
            started += 1
            threading.Thread(target=short, daemon=True).start()
        time.sleep(0.003)
threading.Thread(target=storm, daemon=True).start()
"""


def test_a_server_that_starts_threads_all_the_time_is_recorded(tmp_path: Path) -> None:
    with served(by=prelude(STORM)) as server:
        told = recorded(tmp_path, server.pid)
        untouched(server.pid)
    blocks(tmp_path, told, server.pid)
    assert watched(told, server.pid)["exit"] is None
    assert lost(told) == []
