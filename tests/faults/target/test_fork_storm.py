"""A server starts and ends a hundred processes a second.

What starves in it is found as before. Whoever lived long enough to be seen is told with its end, nobody's zombie is
kept, and what could not be seen of them is no loss of the server's.
"""

from __future__ import annotations

from pathlib import Path

from tests.faults.target.served import blocks, prelude, recorded, served, untouched, watched

STORM = """
import os, threading, time
def storm():
    begun = time.monotonic()
    started = 0
    while started < 300:
        if started < (time.monotonic() - begun) * 100:
            started += 1
            pid = os.fork()
            if not pid:
                time.sleep((0.0, 0.02, 0.3)[started % 3])
                os._exit(0)
            children.append(pid)
        children[:] = [pid for pid in children if os.waitpid(pid, os.WNOHANG)[0] == 0]
        time.sleep(0.002)
    while children:
        os.waitpid(children.pop(), 0)
children = []
threading.Thread(target=storm, daemon=True).start()
"""


def test_a_server_that_forks_all_the_time_is_recorded(tmp_path: Path) -> None:
    with served(by=prelude(STORM)) as server:
        told = recorded(tmp_path, server.pid, seconds=1.5)
        untouched(server.pid)
    blocks(tmp_path, told, server.pid)
    watched(told, server.pid)
    ends = [worker["exit"] for worker in told["workers"] if worker["pid"] != server.pid]
    assert ends.count("exited") > 3, "hardly any of them was seen"
    assert set(ends) <= {"exited", None}
    assert [loss for loss in told["losses"] if loss.get("pid") == server.pid] == []
