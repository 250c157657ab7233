"""The terminal on which waitspy draws its progress goes away.

It records to the end, and loses nothing.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
from pathlib import Path

from tests.live.session import (
    environment,
    finished,
    load,
    session,
)


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
