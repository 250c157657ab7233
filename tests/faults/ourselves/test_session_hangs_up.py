"""The ssh session or the shell in which waitspy was started goes away.

When its terminal hangs up, it ends as if it were told to, and keeps everything. When only the shell that started it is
killed, or under nohup, it records to the end.
"""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import psutil

from tests.live.running import WAITSPY, wait_until
from tests.live.session import environment, has_stacks, lasting, load, losses, sampled


@contextlib.contextmanager
def shell_on_terminal(folder: Path, argv: Sequence[object]) -> Iterator[tuple[int, IO[bytes]]]:
    """Runs it in a shell with a terminal of its own: its pid, and the other end of that."""
    master, slave = pty.openpty()
    terminal = open(master, "rb", buffering=0)  # noqa: SIM115  (the caller closes it)
    # A command after it keeps the shell from becoming what it runs.
    shell = subprocess.Popen(
        ["setsid", "--ctty", "sh", "-c", '"$@"; true', "sh", *map(str, argv)],
        cwd=folder, env=environment(TERM="xterm"), stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    inner: list[psutil.Process] = []
    try:
        sampled(folder / "rec")
        inner = psutil.Process(shell.pid).children()
        (waitspy,) = inner
        yield waitspy.pid, terminal
        shell.wait(timeout=60)
        wait_until(lambda: not waitspy.is_running(), "waitspy goes on")
    finally:
        for one in inner:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        shell.kill()
        shell.wait()
        terminal.close()


def test_a_terminal_that_hangs_up_ends_it(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    argv = (*WAITSPY, "record", target.pid, "-d", "50", "-o", "rec")
    with shell_on_terminal(tmp_path, argv) as (_, terminal):
        lasting(0.5)
        terminal.close()
    recording = load(tmp_path / "rec")
    assert losses(recording) == []
    assert recording.info.duration_s < 40
    has_stacks(recording)


def test_a_shell_that_is_killed_alone_does_not_end_it(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    # Output to a file: a terminal whose session's first process ends hangs up for all.
    line = '"$@" > out 2> err; true'
    argv = ["sh", "-c", line, "sh", *WAITSPY, "record", str(target.pid), "-d", "1.2", "-o", "rec"]
    shell = subprocess.Popen(argv, cwd=tmp_path, env=environment())
    sampled(tmp_path / "rec")
    (waitspy,) = psutil.Process(shell.pid).children()
    shell.kill()
    shell.wait()
    wait_until(lambda: not waitspy.is_running(), "waitspy goes on")
    assert (tmp_path / "err").read_text() == ""
    assert "recording: rec" in (tmp_path / "out").read_text()
    recording = load(tmp_path / "rec")
    assert losses(recording) == []
    assert recording.info.duration_s >= 1.2


def test_under_nohup_it_records_to_the_end(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    argv = ("nohup", *WAITSPY, "record", target.pid, "-d", "1.2", "-o", "rec")
    with shell_on_terminal(tmp_path, argv) as (waitspy, terminal):
        terminal.close()
        os.kill(waitspy, signal.SIGHUP)  # the terminal's goes to the shell's group only
    recording = load(tmp_path / "rec")
    assert losses(recording) == []
    assert recording.info.duration_s >= 1.2
