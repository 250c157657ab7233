"""waitspy runs as a user who may not look into the process, or not write where it is to record.

One clear error names the right that is missing; what can be listed is, and nothing is written.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.rights.becoming import seeing
from tests.live.session import AS_NOBODY, run, said_well

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")

NOBODY_SEEING = seeing(AS_NOBODY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that everybody may write."""
    os.chmod(tmp_path, 0o777)
    for parent in tmp_path.parents[:3]:
        os.chmod(parent, 0o755)
    return tmp_path


def test_without_the_right_to_trace(folder: Path, target: subprocess.Popen[str]) -> None:
    code, out, err = run(folder, "record", target.pid, "-d", "1", waitspy=NOBODY_SEEING)
    assert (code, out) == (1, "")
    said_well(err, "CAP_SYS_PTRACE")
    assert os.listdir(folder) == []
    code, out, _ = run(folder, "workers", target.pid, waitspy=NOBODY_SEEING)
    assert code == 0
    assert "cannot be attached" in out
    assert "SYS_PTRACE" in out


def test_the_doctor_names_what_is_missing(folder: Path, target: subprocess.Popen[str]) -> None:
    code, out, err = run(folder, "doctor", target.pid, waitspy=NOBODY_SEEING)
    assert (code, err) == (1, "")
    assert "attachable: 0" in out
    assert "CAP_SYS_PTRACE" in out


def test_a_folder_that_this_user_may_not_write(folder: Path) -> None:
    os.chmod(folder, 0o755)
    code, _, err = run(folder, "record", "--", "touch", "/tmp/never", waitspy=NOBODY_SEEING)
    assert code == 1
    said_well(err, "Permission denied", "-o")
    assert os.listdir(folder) == []
