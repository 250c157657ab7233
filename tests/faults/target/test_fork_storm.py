"""A server starts and ends a hundred processes a second.

With a budget that has room for them all, what starves in it is found and blamed as before, and whoever lived long enough
to be seen is told with its end.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.target.served import prelude, recorded, served, untouched, watched
from tests.live.running import said, starved_by_itself

pytestmark = pytest.mark.alone

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
                time.sleep(0.3 if started % 15 == 0 else (0.0, 0.02)[started % 2])
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
        told = recorded(tmp_path, server.pid, "--budget", "50:150", seconds=1.8)
        untouched(server.pid)
    watched(told, server.pid)
    found = starved_by_itself(told)
    assert {(f["kind"], *f["pids"]) for f in found} == {("blocked-loop", server.pid)}, said(told)
    assert {f["blame"]["function"] for f in found if f["blame"]} <= {"sleep"}
    assert sum(len(f["episodes"]) for f in found) >= 1, said(told)
    ends = [worker["exit"] for worker in told["workers"] if worker["pid"] != server.pid]
    assert ends.count("exited") > 1, "hardly any of them was seen"
    assert set(ends) <= {"exited", None}
