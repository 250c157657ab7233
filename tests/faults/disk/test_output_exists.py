"""A file or folder of the recording's name exists already.

Nothing in it is touched, no command is started, and names that waitspy chooses itself do not collide.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.live.session import (
    finished,
    run,
    said_well,
    session,
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


def test_default_names_do_not_collide(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    args = ("record", target.pid, "-d", "0.3")
    with session(tmp_path, *args) as one, session(tmp_path, *args) as other:
        codes = {finished(other)[0], finished(one)[0]}
    assert codes == {0}
    assert len(os.listdir(tmp_path)) == 2
