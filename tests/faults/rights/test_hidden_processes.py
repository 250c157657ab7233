"""/proc shows a user only their own processes (hidepid).

What is hidden is not guessed at: one clear error says that there is no such process for this user,
and the doctor names hidepid and what to change; root sees all.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.rights.becoming import open_to_all, seeing
from tests.live.running import WAITSPY
from tests.live.session import AS_NOBODY, load, run, said_well

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts /proc anew")


@pytest.mark.parametrize("hidepid", ["invisible", "noaccess"])
def test_a_user_is_told_and_root_records(
    tmp_path: Path, target: subprocess.Popen[str], hidepid: str
) -> None:
    open_to_all(tmp_path)
    nobody = seeing(AS_NOBODY, hidepid)
    code, out, err = run(tmp_path, "record", target.pid, "-d", "0.5", waitspy=nobody)
    assert (code, out) == (1, "")
    said_well(err, str(target.pid))
    assert os.listdir(tmp_path) == []
    code, out, err = run(tmp_path, "doctor", target.pid, waitspy=nobody)
    assert (code, err) == (1, "")
    assert "hidepid" in out
    root = seeing(WAITSPY, hidepid)
    code, _, err = run(tmp_path, "record", target.pid, "-d", "0.6", "-o", "rec", waitspy=root)
    assert (code, err) == (0, "")
    assert load(tmp_path / "rec").losses == ()
