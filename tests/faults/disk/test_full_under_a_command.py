"""The disk fills up while a command is recorded.

The command goes on undisturbed and its exit code is passed on; the report says what is missing.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.disk.disks import fill
from tests.live.running import wait_until
from tests.live.session import meta, sampled, session


@pytest.mark.may_skip
def test_a_full_disk_does_not_end_the_command(tmp_path: Path, small_disk: Path) -> None:
    script = "import sys; print('ready', flush=True); print(sys.stdin.readline()); sys.exit(6)"
    args = ("record", "-o", "disk/rec", "--", sys.executable, "-c", script)
    with session(tmp_path, *args, stdin=subprocess.PIPE) as waitspy:
        sampled(small_disk / "rec")
        fill(small_disk)
        wait_until(lambda: meta(small_disk / "rec").get("end"), "the recording goes on")
        time.sleep(0.3)  # time in which the command would be ended, if it were
        assert waitspy.stdin is not None
        out, err = waitspy.communicate("still here\n", timeout=60)
    assert "still here" in out
    assert waitspy.returncode == 6
    assert "No space left" in " ".join(out.split())
    assert err == ""
