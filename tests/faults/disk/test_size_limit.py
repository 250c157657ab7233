"""A limit on the size of files is reached while it is recorded, or from the start.

The limit is named with what to do; no signal of it ends waitspy, and what was written before can be reported on.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

from tests.live.running import wait_until
from tests.live.session import finished, flushed_s, load, losses, run, said_well, sampled, session


def test_a_limit_that_is_reached(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        wait_until(lambda: flushed_s(tmp_path / "rec") > 0.5, "nothing was written")
        resource.prlimit(waitspy.pid, resource.RLIMIT_FSIZE, (2048, 2048))
        code, out, err = finished(waitspy)
    assert code == 1
    said_well(err, "the recording rec ended early: File too large", "ulimit -f")
    assert "recording: rec" in out
    recording = load(tmp_path / "rec")
    assert losses(recording)
    assert recording.workers[0].states
    assert 0.3 < recording.info.duration_s < 40
    assert run(tmp_path, "report", "rec")[0] == 0


def test_a_limit_from_the_start(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    limited = ("sh", "-c", 'ulimit -f 8; exec "$@"', "sh", sys.executable, "-m", "waitspy")
    args = ("record", target.pid, "-d", "1", "-o", "rec")
    code, out, err = run(tmp_path, *args, waitspy=limited)
    assert (code, out) == (1, "")
    said_well(err, "cannot write to rec: File too large")
    assert os.listdir(tmp_path) == []
