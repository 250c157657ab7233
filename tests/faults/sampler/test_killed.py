"""py-spy is killed while it samples.

Sampling goes on with a new one; what was lost is told with its cause; the target works on.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.live.running import wait_until
from tests.live.session import (
    BY_PYSPY,
    finished,
    has_stacks,
    lasting,
    load,
    losses,
    meta,
    sampled,
    session,
    spies,
    stack_seconds,
)


def test_a_killed_pyspy_is_replaced(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, *BY_PYSPY, target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        lasting(1.2)
        (spy,) = spies(target.pid)
        spy.kill()
        wait_until(lambda: len(meta(tmp_path / "rec")["segments"]) == 2, "no new segment")
        sampled(tmp_path / "rec")
        lasting(0.5)
        waitspy.send_signal(signal.SIGINT)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = losses(recording)
    assert "SIGKILL" in loss
    assert "sampling went on" in loss
    assert len(recording.workers[0].segments) == 1
    has_stacks(recording)
    assert stack_seconds(recording) > 0.3
    assert "SIGKILL" in out
