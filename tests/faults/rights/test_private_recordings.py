"""Other users of the machine look for the recordings that root has made.

They can neither list nor read them, whatever the umask; and they are told so where they ask for a
report.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.rights.becoming import NOBODY, open_to_all, readable_to
from tests.live.session import AS_NOBODY, run, said_well

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nobody_can_read_them(tmp_path: Path, target: subprocess.Popen[str], umask: int) -> None:
    open_to_all(tmp_path)
    code, _, err = run(tmp_path, "record", target.pid, "-d", "0.6", "-o", "rec", umask=umask)
    assert (code, err) == (0, "")
    assert len(list((tmp_path / "rec").rglob("*"))) > 5
    assert readable_to(0, tmp_path / "rec")
    assert readable_to(NOBODY, tmp_path / "rec") == []
    for path in (tmp_path / "rec", *(tmp_path / "rec").rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    code, out, err = run(tmp_path, "report", "rec", waitspy=AS_NOBODY)
    assert (code, out) == (1, "")
    said_well(err, "Permission denied", "read it as the user who recorded it")


def test_a_recording_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir(mode=0o700)
    (tmp_path / "rec" / "meta.json").write_text("{}")
    open_to_all(tmp_path)
    code, _, err = run(tmp_path, "report", "rec", waitspy=AS_NOBODY)
    assert code == 1
    said_well(err, "Permission denied")
