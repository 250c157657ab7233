"""waitspy runs as root of a user namespace of its own, and the server outside of it.

Its capabilities do not count there: one clear error and the doctor say so, and nothing is written.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.live.running import WAITSPY
from tests.live.session import run, said_well

UNSHARE = ("unshare", "--user", "--map-root-user")


@pytest.fixture(autouse=True)
def _may_make_one() -> None:
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"may not make a user namespace: {done.stderr}")


@pytest.mark.may_skip
def test_it_says_where_its_rights_end(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    inside = (*UNSHARE, *WAITSPY)
    code, out, err = run(tmp_path, "record", target.pid, "-d", "0.5", waitspy=inside)
    assert (code, out) == (1, "")
    said_well(err, "it lives in another user namespace", "run waitspy on the host with sudo")
    assert os.listdir(tmp_path) == []
    code, out, err = run(tmp_path, "doctor", target.pid, waitspy=inside)
    assert (code, err) == (1, "")
    assert "user namespace" in out
