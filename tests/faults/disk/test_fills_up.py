"""The disk fills up while it is recorded.

The recording ends early with what to do; all that was written before can be reported on.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.disk.disks import fill
from tests.live.session import (
    finished,
    load,
    losses,
    run,
    said_well,
    sampled,
    session,
)


@pytest.mark.may_skip
def test_a_disk_that_fills_up_ends_the_recording(
    tmp_path: Path, small_disk: Path, target: subprocess.Popen[str]
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "disk/rec") as waitspy:
        sampled(small_disk / "rec")
        time.sleep(0.5)
        fill(small_disk)
        code, out, err = finished(waitspy)
    assert code == 1
    said_well(err, "ended early", "No space left", "free some space")
    assert "disk/rec" in out
    recording = load(small_disk / "rec")
    assert [loss for loss in losses(recording) if "No space left" in loss], losses(recording)
    assert 0.3 < recording.info.duration_s < 40
    assert recording.workers[0].states
    assert run(tmp_path, "report", "disk/rec")[0] == 0
