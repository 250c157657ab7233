"""The disk is full before the recording begins.

It is said at once, and nothing is left behind.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.disk.disks import fill
from tests.live.session import (
    run,
    said_well,
)


@pytest.mark.may_skip
def test_a_disk_that_is_full_from_the_start(
    tmp_path: Path, small_disk: Path, target: subprocess.Popen[str]
) -> None:
    fill(small_disk)
    code, out, err = run(tmp_path, "record", target.pid, "-d", "1", "-o", "disk/rec")
    assert (code, out) == (1, "")
    said_well(err, "disk/rec", "No space left")
    assert os.listdir(small_disk) == ["filler"]
