"""The file system has an error and becomes read-only while it is recorded, or was read-only before.

The recording ends early with what to do; what was written before can be reported on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.disk.disks import mounted
from tests.live.running import wait_until
from tests.live.session import finished, flushed_s, load, losses, run, said_well, sampled, session


@pytest.mark.may_skip
def test_one_that_becomes_read_only(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    if not shutil.which("mkfs.ext4"):
        pytest.skip("there is no mkfs.ext4")
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    options = ("loop", "errors=remount-ro")
    with mounted(tmp_path / "disk", *options, kind="ext4", what=str(image)) as disk:
        with session(tmp_path, "record", target.pid, "-d", "50", "-o", "disk/rec") as waitspy:
            sampled(disk / "rec")
            wait_until(lambda: flushed_s(disk / "rec") > 0.5, "nothing was written")
            found = ["findmnt", "-no", "SOURCE", str(disk)]
            device = subprocess.run(found, capture_output=True, text=True, check=True).stdout
            fail = Path("/sys/fs/ext4", Path(device.strip()).name, "trigger_fs_error")
            fail.write_text("1")
            code, out, err = finished(waitspy)
        assert code == 1
        said_well(err, "disk/rec ended early: Read-only file system", "stays writable")
        assert "recording: disk/rec" in out
        recording = load(disk / "rec")
        assert losses(recording)
        assert recording.workers[0].states
        assert run(tmp_path, "report", "disk/rec")[0] == 0


@pytest.mark.may_skip
def test_one_that_is_read_only(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with mounted(tmp_path / "disk", "ro") as disk:
        code, out, err = run(tmp_path, "record", target.pid, "-d", "1", "-o", "disk/rec")
        assert (code, out) == (1, "")
        said_well(err, "disk/rec: Read-only file system", "-o")
        assert os.listdir(disk) == []
