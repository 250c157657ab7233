"""A server is stopped with SIGSTOP for half a second, and goes on.

That it was late is told as lack of CPU; the program is not blamed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.running import (
    TARGETS,
    client,
    record,
    said,
    starving,
    stop_tree,
    target,
    wait_until,
)


def test_a_stopped_server_had_no_cpu(tmp_path: Path) -> None:
    """SIGSTOP for half a second: late, but never blamed on the program."""
    argv = [sys.executable, TARGETS / "loop_server.py", "healthy", "0", "0.2"]
    with target(argv) as server, client(server.ready["port"]):
        stopper = subprocess.Popen(
            [sys.executable, TARGETS / "stopper.py", str(server.pid), "0.5", "0.7"],
            stdout=subprocess.PIPE,
        )
        try:
            report = record(server.pid, tmp_path / "rec", seconds=4)
        finally:
            stop_tree(stopper.pid)
            stopper.communicate()
            wait_until(lambda: server.process.poll() is None, "the server lives")
    (finding,) = starving(report)
    assert finding["kind"] == "no-cpu", said(report)
    assert finding["blame"] is None
    assert finding["longest_s"] == pytest.approx(0.5, abs=0.1)
