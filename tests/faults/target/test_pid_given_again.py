"""A worker ends, and its number is given again at once, to its successor.

The successor is attached soon and told as another process: each has its own stacks, and the first one its end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from tests.faults.target.served import functions, lost, report
from tests.live.running import WAITSPY, target, wait_until
from tests.live.session import finished, flushed_s, load, session
from waitspy.kernel import procfs

UNSHARED = ("unshare", "--pid", "--mount-proc", "--fork", "--kill-child")
MASTER = """
import json, os, signal, subprocess, sys, time
WORKER = "import time\\ndef {0}():\\n    while True: time.sleep(0.01)\\n{0}()"
def worker(name):
    return subprocess.Popen([sys.executable, "-c", WORKER.format(name)])
def replace(*_):
    first.kill()
    first.wait()
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(first.pid - 1))
    again = worker("second_worker")
    print(json.dumps({"pid": again.pid, "at": time.monotonic()}), flush=True)
signal.signal(signal.SIGUSR1, replace)
first = worker("first_worker")
print(json.dumps({"pid": first.pid, "master": os.getpid()}), flush=True)
while True:
    signal.pause()
"""


def test_a_number_that_is_given_again_is_another_process(tmp_path: Path) -> None:
    with target([*UNSHARED, sys.executable, "-c", MASTER]) as server:
        (master,) = procfs.children(server.pid)
        inside = ("nsenter", "--target", str(master), "--pid", "--mount", "--", *WAITSPY)
        args = ("record", server.ready["master"], "-d", "2", "-o", tmp_path / "rec")
        with session(tmp_path, *args, waitspy=inside) as waitspy:
            wait_until(lambda: flushed_s(tmp_path / "rec") > 0.7, "nothing was written")
            os.kill(master, signal.SIGUSR1)
            code, out, err = finished(waitspy)
        assert server.process.stdout is not None
        told = json.loads(server.process.stdout.readline())
    assert (code, err) == (0, ""), out
    assert told["pid"] == server.ready["pid"]
    assert lost(report(tmp_path)) == []
    recording = load(tmp_path / "rec")
    first, second = (w for w in recording.workers if w.worker.pid == server.ready["pid"])
    assert first.worker.start_ticks != second.worker.start_ticks
    assert (first.exit, second.exit) == ("exited", None)
    assert second.attached_ns / 1e9 - told["at"] < 0.5
    both = {"first_worker", "second_worker"}
    assert functions(first) & both == {"first_worker"}
    assert functions(second) & both == {"second_worker"}
