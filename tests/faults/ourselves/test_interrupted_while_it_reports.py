"""waitspy is interrupted while it writes its report.

It says so; where it has just made a recording, it says that this is complete, and how to report on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.live.running import wait_until
from tests.live.session import (
    finished,
    load,
    run,
    said_well,
    session,
)


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
    args = ("record", target.pid, "-d", "0.8", "-o", "rec")
    with full_pipe() as (_, writer), session(tmp_path, *args, stdout=writer) as waitspy:
        wait_until(lambda: writes_to_stdout(waitspy.pid), "it does not write")
        waitspy.send_signal(signal.SIGINT)
        code, _, err = finished(waitspy)
    assert code == 1
    said_well(err, "interrupted", "rec is complete", "waitspy report rec")
    assert load(tmp_path / "rec").losses == ()


def test_a_report_that_is_interrupted_exits_130(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    assert run(tmp_path, "record", target.pid, "-d", "0.8", "-o", "rec")[0] == 0
    with full_pipe() as (_, writer), session(tmp_path, "report", "rec", stdout=writer) as waitspy:
        wait_until(lambda: writes_to_stdout(waitspy.pid), "it does not write")
        waitspy.send_signal(signal.SIGINT)
        code, _, err = finished(waitspy)
    assert (code, err) == (130, "waitspy: interrupted\n")
    assert load(tmp_path / "rec").losses == ()
