"""What can happen to a recording: interrupts, kills, full disks, readers that go away.

Each time the recording can be read, says what is missing, and the target works on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.live.running import WAITSPY, wait_until
from tests.live.session import (
    environment,
    finished,
    flushed_s,
    load,
    losses,
    no_spy_is_left,
    run,
    running_target,
    said_well,
    sampled,
    session,
    still_works,
)
from waitspy.model.clock import NS
from waitspy.model.recorded import Recording

pytestmark = pytest.mark.ptrace


@pytest.fixture
def target() -> Iterator[subprocess.Popen[str]]:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    with running_target() as process:
        yield process
        no_spy_is_left(process.pid)
        still_works(process)
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before


def lasting(seconds: float) -> None:
    """Lets a recording have some content; nothing is waited for."""
    time.sleep(seconds)


def has_stacks(recording: Recording) -> None:
    functions = {
        frame.function
        for worker in recording.workers
        for segment in worker.segments
        for thread in segment.threads
        for interval in thread.intervals
        for frame in interval.stack
    }
    assert {"count", "take_turns"} <= functions


# --- asked to end ----------------------------------------------------------------------------------

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_it_and_keeps_everything(
    tmp_path: Path, target: subprocess.Popen[str], number: signal.Signals
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        lasting(0.5)
        waitspy.send_signal(number)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    assert "recording: rec" in out
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    assert recording.info.duration_s < 40
    has_stacks(recording)


def test_a_signal_sent_twice_at_once_is_one(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    """timeout(1) signals the process and then its group."""
    argv = ["timeout", "2", *WAITSPY, "record", str(target.pid), "-d", "50", "-o", "rec"]
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment(), capture_output=True, text=True,
        timeout=60, check=False, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 124
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    has_stacks(recording)
    assert "recording: rec" in done.stdout


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.2, 0.3])
def test_an_interrupt_at_any_moment_of_the_start(
    tmp_path: Path, target: subprocess.Popen[str], delay_s: float
) -> None:
    """Either nothing is kept and it says 130, or something is and it reports that."""
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        # From when Python has started: waitspy cannot help what happens before its first line.
        wait_until(lambda: imports(waitspy.pid), "waitspy did not start")
        lasting(delay_s)
        waitspy.send_signal(signal.SIGINT)
        code, out, err = finished(waitspy)
    assert "Traceback" not in err
    if code == 130:
        assert out == ""
        assert not (tmp_path / "rec").exists()
    else:
        assert code == 0
        assert "recording: rec" in out
        assert load(tmp_path / "rec").info.duration_s < 40


def imports(pid: int) -> bool:
    """It is past its own first lines: ctypes, which it needs, is loaded."""
    return "_ctypes" in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")


@contextlib.contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose reader does not read, and into which no byte fits any more."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"-" * fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ))
    try:
        yield reader, writer
    finally:
        for fd in (reader, writer):
            with contextlib.suppress(OSError):
                os.close(fd)


def writes_to_stdout(pid: int) -> bool:
    words = Path(f"/proc/{pid}/syscall").read_text("ascii").split()
    return len(words) > 1 and words[1] == "0x1" and words[0] in {"1", "64"}  # x86_64, aarch64


def test_an_interrupt_while_the_report_is_written(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    args = ("record", target.pid, "-d", "0.3", "-o", "rec")
    with full_pipe() as (_, writer), session(tmp_path, *args, stdout=writer) as waitspy:
        wait_until(lambda: writes_to_stdout(waitspy.pid), "it does not write")
        waitspy.send_signal(signal.SIGINT)
        code, _, err = finished(waitspy)
    assert code == 1
    said_well(err, "interrupted", "rec is complete", "waitspy report rec")
    assert load(tmp_path / "rec").losses == ()


# --- killed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--blocking",)], ids=["nonblocking", "blocking"])
def test_a_killed_waitspy_leaves_a_recording_and_a_running_target(
    tmp_path: Path, target: subprocess.Popen[str], options: tuple[str, ...]
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec", *options) as waitspy:
        sampled(tmp_path / "rec")
        # What was seen so far is written down once a second; the first look writes at once.
        wait_until(lambda: flushed_s(tmp_path / "rec") > 0.5, "nothing was written")
        lasting(0.5)
        killed_ns = time.monotonic_ns()
        waitspy.kill()
        waitspy.wait()
        no_spy_is_left(target.pid)
    still_works(target)
    recording = load(tmp_path / "rec")
    assert [loss for loss in losses(recording) if "everything after" in loss and "killed" in loss]
    has_stacks(recording)
    assert recording.workers[0].states
    assert recording.info.duration_s > 0.5
    assert killed_ns - recording.info.end_ns < 1.5 * NS
    (worker,) = recording.workers
    ends = [states[-1].at_ns for states in worker.states.values()]
    assert max(ends) <= recording.info.end_ns < max(ends) + NS // 2  # the target never rests
    code, out, err = run(tmp_path, "report", "rec")
    assert (code, err) == (0, "")
    assert "waitspy was killed" in " ".join(out.split())


def test_a_waitspy_that_was_stopped_goes_on(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, "record", target.pid, "-d", "2", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        for _ in range(5):
            waitspy.send_signal(signal.SIGSTOP)
            lasting(0.1)
            waitspy.send_signal(signal.SIGCONT)
            lasting(0.05)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    assert "recording: rec" in out
    has_stacks(load(tmp_path / "rec"))


def test_a_terminal_that_goes_away_does_not_end_it(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    master, slave = pty.openpty()
    args = ("record", target.pid, "-d", "1.5", "-o", "rec")
    env = environment(TERM="xterm")
    with session(tmp_path, *args, stderr=slave, env=env) as waitspy:
        os.close(slave)
        drawn = b""
        while b"1 worker" not in drawn:
            assert select.select([master], [], [], 30)[0], drawn
            drawn += os.read(master, 4096)
        os.close(master)
        code, out, _ = finished(waitspy)
    assert code == 0
    assert "recording: rec" in out
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    assert recording.info.duration_s >= 1.5


# --- what reads the report ---------------------------------------------------------------------------


def record_into(
    tmp_path: Path, target: subprocess.Popen[str], line: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Records for a moment, in a shell line where "$@" is waitspy."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line, "sh", *WAITSPY, "record", str(target.pid),
         "-d", "0.6", "-o", "rec"],
        cwd=tmp_path, env=environment(**more), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('"$@" | head -1', 0),
        ('"$@" | true', 0),
        ('"$@" >&-', 0),
        ('"$@" 2>&-', 0),
        ('"$@" <&- >&- 2>&-', 0),
        ('"$@" --fail-on any:99 2>&- | true', 0),
    ],
)
def test_a_closed_stdout_is_no_error(
    tmp_path: Path, target: subprocess.Popen[str], line: str, code: int
) -> None:
    done = record_into(tmp_path, target, line)
    assert (done.returncode, done.stderr) == (code, "")
    assert load(tmp_path / "rec").losses == ()
    assert "Traceback" not in (tmp_path / "rec" / "meta.json").read_text("utf-8")


def test_a_full_stdout_is_said(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    done = record_into(tmp_path, target, '"$@" > /dev/full')
    assert done.returncode == 1
    said_well(done.stderr, "standard output", "No space left")
    assert load(tmp_path / "rec").losses == ()


@pytest.mark.parametrize(
    "more", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "LANG": "C"}]
)
def test_a_stdout_that_is_not_utf8(
    tmp_path: Path, target: subprocess.Popen[str], more: dict[str, Any]
) -> None:
    done = record_into(tmp_path, target, '"$@"', **more)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"command of {target.pid}" in done.stdout
    drawn = ("flamegraph", "rec", "--weight", "wall")
    for args in (("workers", target.pid), ("report", "rec"), ("doctor",), drawn):
        code, out, err = run(tmp_path, *args, env=environment(**more))
        assert (code, err) == (0, "")
        assert out
