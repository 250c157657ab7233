"""A helper process: what it is told to hold, while it runs and afterwards."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.live.running import wait_until
from waitspy.kernel import procfs
from waitspy.recording.files import TRACE_BYTES
from waitspy.samplers.child import Child

_TELLS = """import json, os, resource, signal
print(json.dumps({
    "umask": os.umask(0), "sid": os.getsid(0),
    "most": resource.getrlimit(resource.RLIMIT_FSIZE)[0], "read": os.read(0, 1).decode(),
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "kept": os.path.exists("/proc/self/fd/{keep}"),
}))
"""
_STARTS_ONE = """import os, signal, sys, time
from waitspy.samplers.child import Child
child = Child([sys.executable, "-c", sys.argv[1]], sys.stdout, sys.stderr)
time.sleep(60)
"""
_TAKES_LEAVE = """import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print("ready", flush=True)
print(signal.sigwait({signal.SIGINT}).name, flush=True)
"""


def test_memory_is_that_of_the_child_and_nothing_once_it_has_ended() -> None:
    with tempfile.TemporaryFile() as said:
        lines = "import time; held = b'x' * 20_000_000; time.sleep(60)"
        child = Child([sys.executable, "-S", "-c", lines], said, said)
        wait_until(lambda: child.rss_bytes() > 20_000_000, "it has no memory")  # it only begins
        whole = psutil.Process(child.pid).memory_info().rss
        assert child.rss_bytes() < whole - 2_000_000, "its program is shared with others"
        child.signal(signal.SIGKILL)
        wait_until(lambda: child.rss_bytes() == 0, "a zombie has no memory")
        wait_until(lambda: child.poll() is not None, "it did not end")
        assert child.rss_bytes() == 0


def test_it_begins_as_a_helper_should_and_we_go_on_as_before(tmp_path: Path) -> None:
    def ours() -> tuple[object, ...]:
        umask = os.umask(0)
        os.umask(umask)
        return umask, resource.getrlimit(resource.RLIMIT_FSIZE), os.getpriority(os.PRIO_PROCESS, 0)

    before = ours()
    keep = os.open(tmp_path, os.O_RDONLY)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with tempfile.TemporaryFile() as said:
            argv = [sys.executable, "-S", "-c", _TELLS.replace("{keep}", str(keep))]
            child = Child(argv, said, said, can_wait=True, keep=(keep,))
            wait_until(lambda: child.poll() is not None, "it did not end")
            said.seek(0)
            told = json.loads(said.read())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    assert not os.get_inheritable(keep)
    os.close(keep)
    assert (child.poll(), ours()) == (0, before)
    assert told == {
        "umask": 0o077,
        "sid": child.pid,
        "most": TRACE_BYTES,
        "read": "",
        "blocked": 0,
        "kept": True,
    }
    assert child.cpu_ns() > 1_000_000


def test_all_its_threads_are_as_nice(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as said:
        lines = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
        child = Child([sys.executable, "-S", "-c", lines], said, said, can_wait=True)
        wait_until(lambda: len(procfs.threads(child.pid)) > 1, "it has no thread")
        found = {os.getpriority(os.PRIO_PROCESS, tid) for tid in procfs.threads(child.pid)}
        child.signal(signal.SIGKILL)
        wait_until(lambda: child.poll() is not None, "it did not end")
    assert found == {min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)}


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    no_program = tmp_path / "py-spy"
    no_program.write_bytes(b"neither ELF nor script")
    no_program.chmod(0o700)
    with tempfile.TemporaryFile() as said:
        for path, error in ((no_program, OSError), (tmp_path / "none", FileNotFoundError)):
            before = len(os.listdir("/proc/self/fd"))
            with pytest.raises(error):
                Child([str(path)], said, said)
            assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_asked_to_end_when_we_end_however_that_is(number: signal.Signals) -> None:
    argv = [sys.executable, "-c", _STARTS_ONE, _TAKES_LEAVE]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        os.kill(parent.pid, number)
        assert parent.stdout.read() == "SIGINT\n"


_WITHOUT_THE_FIRST = """import os, signal, sys, tempfile, time
from waitspy.samplers.child import Child
for fd in (0, 1):
    os.close(fd)
with tempfile.TemporaryFile() as said:
    assert said.fileno() == 0
    child = Child(["sh", "-c", "echo out; echo err >&2"], said, said)
    while child.poll() is None:
        time.sleep(0.01)
    said.seek(0)
    sys.stderr.write(said.read().decode())
"""


def test_what_it_says_is_kept_where_ours_are_closed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_THE_FIRST], capture_output=True, text=True, check=True
    )
    assert done.stderr == "out\nerr\n"
