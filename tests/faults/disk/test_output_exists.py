"""A file or folder of the recording's name exists already.

Nothing in it is touched, and no command is started.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.live.session import (
    run,
    said_well,
)


def test_an_output_that_exists(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "precious").write_text("mine")
    code, _, err = run(tmp_path, "record", target.pid, "-d", "0.2", "-o", "rec")
    assert code == 1
    said_well(err, "rec", "exists", "-o")
    assert os.listdir(tmp_path / "rec") == ["precious"]


def test_a_command_is_not_started_when_its_recording_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    code, _, err = run(tmp_path, "record", "-o", "rec", "--", "touch", "started")
    assert code == 1
    said_well(err, "exists")
    assert not (tmp_path / "started").exists()
