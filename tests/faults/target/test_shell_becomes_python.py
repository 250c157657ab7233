"""A shell becomes Python by exec, as start scripts do.

It is recorded from then on: what was no Python before is a worker now, and nothing is lost.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.target.served import lost, report
from tests.live.running import wait_until
from tests.live.session import finished, load, meta, run, session, stack_seconds

PYTHON = 'exec "$0" -c "import time; time.sleep(1)"'


def test_a_shell_that_becomes_python_is_recorded(tmp_path: Path) -> None:
    argv = ("sh", "-c", f"sleep 0.3; {PYTHON}", sys.executable)
    code, _, err = run(tmp_path, "record", "-o", "rec", "--", *argv)
    assert (code, err) == (0, "")
    (worker,) = load(tmp_path / "rec").workers
    assert worker.segments
    assert stack_seconds(load(tmp_path / "rec")) > 0.3
    assert lost(report(tmp_path)) == []


def test_a_shell_beside_a_worker_becomes_one(tmp_path: Path) -> None:
    """The shell waits until the recording has begun without it."""
    script = (
        "import subprocess, sys\n"
        "subprocess.run(['sh', '-c', 'read x; ' + sys.argv[1], sys.executable])\n"
    )
    argv = [sys.executable, "-c", script, PYTHON]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as master:
        args = ("record", master.pid, "-d", "40", "-o", "rec")
        with session(tmp_path, *args) as waitspy:
            wait_until(lambda: meta(tmp_path / "rec").get("segments"), "it did not begin")
            assert len(meta(tmp_path / "rec")["workers"]) == 1
            assert master.stdin is not None
            master.stdin.write(b"go\n")
            master.stdin.flush()
            code, _, err = finished(waitspy)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    lead, worker = recording.workers
    assert (lead.worker.pid, worker.worker.ppid) == (master.pid, master.pid)
    assert worker.segments
    assert recording.losses == ()
