"""What waitspy writes its report or its help to is full.

It ends with exit code 1 and says so in a line; the recording is whole.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.session import (
    load,
    record_by_shell,
    said_well,
)


def test_a_full_stdout_is_said(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    done = record_by_shell(tmp_path, target, '"$@" > /dev/full')
    assert done.returncode == 1
    said_well(done.stderr, "standard output", "No space left")
    assert load(tmp_path / "rec").losses == ()


@pytest.mark.parametrize(
    "command", ["--help", "--version", "scenario list", "record --help", "doctor"]
)
def test_a_full_device_is_told_in_one_line(command: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "waitspy", *command.split()],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    said = done.stderr.splitlines()
    assert (done.returncode, said[0]) == (
        1, "waitspy: cannot write to standard output: No space left on device"
    )  # fmt: skip
    assert len(said) <= 2
