"""Standard input is closed, or a terminal's end that nobody types at.

A recording is made as ever, and a command that waitspy starts finds it closed, too.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.running import WAITSPY
from tests.live.session import environment, has_stacks, load, record_by_shell


@pytest.mark.parametrize("closed", ["<&-", "</dev/null"])
def test_a_server_is_recorded(tmp_path: Path, target: subprocess.Popen[str], closed: str) -> None:
    done = record_by_shell(tmp_path, target, f'"$@" {closed}')
    assert (done.returncode, done.stderr) == (0, "")
    assert "recording: rec" in done.stdout
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    has_stacks(recording)


def test_a_command_finds_it_closed(tmp_path: Path) -> None:
    script = "import os, time; time.sleep(0.3); print(os.path.exists('/proc/self/fd/0'))"
    argv = [*WAITSPY, "record", "-o", "rec", "--", sys.executable, "-c", script]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *argv],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("False\n")
    assert load(tmp_path / "rec").workers
