"""There is space on the disk, but no more files can be made.

It is said with what to do: either nothing is left behind, or what was recorded can be reported on.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.disk.disks import mounted
from tests.live.session import load, losses, run, said_well


@pytest.mark.may_skip
@pytest.mark.parametrize("inodes", [2, 4, 8])
def test_no_more_files(tmp_path: Path, target: subprocess.Popen[str], inodes: int) -> None:
    with mounted(tmp_path / "disk", "size=4m", f"nr_inodes={inodes}") as disk:
        code, _, err = run(tmp_path, "record", target.pid, "-d", "1", "-o", "disk/rec")
        assert code == 1
        said_well(err, "disk/rec", "No space left", "free some space")
        if (disk / "rec").exists():
            recording = load(disk / "rec")
            assert [loss for loss in losses(recording) if "No space left" in loss]
            assert run(tmp_path, "report", "disk/rec")[0] == 0
        else:
            assert "cannot" in err
