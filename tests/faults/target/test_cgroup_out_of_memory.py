"""The cgroup of a server, or the one of waitspy, has no memory left, and the kernel kills it there.

What was recorded until then is kept and can be reported. A server's end is told, and no server is harmed by waitspy's.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.target.cgroups import MEMORY_V1, UNIFIED, grouped, own
from tests.faults.target.served import (
    BLOCKED,
    SERVER,
    blocks,
    prelude,
    report,
    served,
    untouched,
)
from tests.live.running import client, target, wait_until
from tests.live.session import (
    finished,
    flushed_s,
    load,
    losses,
    no_spy_is_left,
    run,
    sampled,
    session,
)

pytestmark = [pytest.mark.may_skip, pytest.mark.alone]

LIMITS = {MEMORY_V1: "memory.limit_in_bytes", UNIFIED: "memory.max"}
FOR_A_SERVER = 100_000_000
FOR_NO_REPORT = 100_000  # what is free in its heap may be enough for most of a report
EATER = """
import os, threading, time
def eat():
    while not os.path.exists({when!r}):
        time.sleep(0.01)
    kept = []
    while True:
        kept.append(os.urandom(1) * (1 << 20))
threading.Thread(target=eat, daemon=True).start()
"""


@contextlib.contextmanager
def limited(pid: int, most_bytes: int) -> Iterator[None]:
    """What that process takes from now on is limited."""
    ours, file = own(LIMITS)
    with grouped(ours, pid) as group:
        (group / file).write_text(str(most_bytes))
        yield


def test_a_server_that_takes_too_much(tmp_path: Path) -> None:
    when = tmp_path / "now"
    argv = [*prelude(EATER.format(when=str(when))), SERVER, *BLOCKED]
    with target(argv) as server, client(server.ready["port"]), limited(server.pid, FOR_A_SERVER):
        with session(tmp_path, "record", server.pid, "-d", "50", "-o", "rec") as waitspy:
            sampled(tmp_path / "rec")
            wait_until(lambda: flushed_s(tmp_path / "rec") > 0.9, "nothing was written")
            when.touch()
            code, out, err = finished(waitspy)
        no_spy_is_left(server.pid)
        server.process.wait()
        assert server.process.returncode == -signal.SIGKILL
    assert (code, err) == (0, ""), out
    told = report(tmp_path)
    blocks(tmp_path, told, server.pid)
    (worker,) = told["workers"]
    assert worker["exit"] == "exited"
    assert losses(load(tmp_path / "rec")) == []


def test_waitspy_itself(tmp_path: Path) -> None:
    with served(BLOCKED) as server:
        with session(tmp_path, "record", server.pid, "-d", "2", "-o", "rec") as waitspy:
            sampled(tmp_path / "rec")
            wait_until(lambda: flushed_s(tmp_path / "rec") > 0.9, "nothing was written")
            with limited(waitspy.pid, FOR_NO_REPORT):
                code, out, err = finished(waitspy)
        assert code == -signal.SIGKILL, (out, err)
        untouched(server.pid)
        code, out, err = run(tmp_path, "report", "rec")
        assert (code, err) == (0, "")
        blocks(tmp_path, report(tmp_path), server.pid, source=False)  # read at the end
