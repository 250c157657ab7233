"""The main thread of a process has ended, while other threads of it go on: the kernel calls it a zombie.

It is told as what it is, and not as ended; a recording that is under way says what it lacks, and keeps what it has.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.running import wait_until
from tests.live.session import (
    finished,
    flushed_s,
    load,
    losses,
    no_spy_is_left,
    run,
    said_well,
    session,
    stack_seconds,
)
from tests.live.started import started, tell
from waitspy.kernel import procfs

SCRIPT = """
import ctypes, os, sys, threading, time
def work():
    while True:
        time.sleep(0.02)
        print("at work", flush=True)
def end_main_thread():
    sys.stdin.readline()
    ctypes.CDLL(None).pthread_exit(None)
threading.Thread(target=work).start()
print("ready", os.getpid(), flush=True)
end_main_thread()
"""


@contextlib.contextmanager
def two_threads(*by: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and the pid of the Python, which works on afterwards."""
    with started([*by, sys.executable, "-c", SCRIPT]) as (process, said):
        pid = int(said.split()[1])
        yield process, pid
        no_spy_is_left(pid)
        (worker,) = set(procfs.threads(pid)) - {pid}
        assert procfs.parse_stat(procfs.read(pid, f"task/{worker}/stat")).state in "SR"
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1 << 20)
        process.stdout.readline()
        assert process.stdout.readline() == "at work\n"
        os.kill(pid, 9)


def ends_main_thread(process: subprocess.Popen[str], pid: int) -> None:
    tell(process, "end")
    wait_until(lambda: procfs.read_stat(pid).zombie, "its main thread goes on")


@pytest.mark.parametrize("command", ["record", "doctor", "workers"])
def test_it_is_not_called_ended(tmp_path: Path, command: str) -> None:
    with two_threads() as (process, pid):
        ends_main_thread(process, pid)
        code, out, err = run(tmp_path, command, pid)
    told = " ".join((out + err).split())
    assert "its main thread has ended" in told
    assert "zombie" not in told
    assert code == (0 if command == "workers" else 1)
    if command == "record":
        assert out == ""
        said_well(err, str(pid), "Thread.join")
        assert not list(tmp_path.iterdir())


def test_a_recording_keeps_what_it_has_and_says_what_it_lacks(tmp_path: Path) -> None:
    with (
        two_threads() as (process, pid),
        session(tmp_path, "record", pid, "-d", "40", "-o", "rec") as waitspy,
    ):
        wait_until(lambda: flushed_s(tmp_path / "rec") > 0.4, "nothing was written")
        ends_main_thread(process, pid)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    assert recording.info.duration_s < 30
    (worker,) = recording.workers
    assert worker.exit == "its main thread has ended"
    assert stack_seconds(recording) > 0.3
    (loss,) = losses(recording)
    assert loss.startswith(f"what it did since then of pid {pid}: its main thread has ended")
    assert "its main thread has ended" in " ".join(out.split())


def test_one_among_others_is_told(tmp_path: Path) -> None:
    by = ("sh", "-c", '"$0" -c "import time; time.sleep(60)" & exec "$0" "$@"')
    with two_threads(*by) as (process, pid):
        ends_main_thread(process, pid)
        code, out, err = run(tmp_path, "record", process.pid, "-d", "0.5", "-o", "rec")
    assert (code, err) == (0, ""), out
    recording = load(tmp_path / "rec")
    assert [bool(w.segments) for w in recording.workers if w.worker.why_not is None] == [True]
    (loss,) = losses(recording)
    assert f"of pid {pid}: its main thread has ended" in loss
