"""Only the stacks have no room; everything else can be written.

The recording goes on to its end, and the missing stacks are told with the cause.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.disk.disks import mounted
from tests.live.session import BY_PYSPY, finished, load, sampled, session


@pytest.mark.may_skip
def test_no_room_for_stacks(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, *BY_PYSPY, target.pid, "-d", "1.5", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        with mounted(tmp_path / "rec" / "stacks", "size=4k"):
            (tmp_path / "rec" / "stacks" / "filler").write_bytes(bytes(4096))
            code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert "stacks" in loss.what
    assert "No space left on device" in loss.why
    assert "No space left on device" in " ".join(out.split())
    assert recording.workers[0].states
