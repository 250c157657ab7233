"""waitspy is killed in the middle of a recording, as by kill -9.

The recording can be read up to its last second and tells that waitspy was killed; py-spy ends by itself, and the target works on.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.live.running import wait_until
from tests.live.session import (
    flushed_s,
    has_stacks,
    lasting,
    load,
    losses,
    no_spy_is_left,
    run,
    sampled,
    session,
    still_works,
)
from waitspy.model.clock import NS


@pytest.mark.parametrize("options", [(), ("--blocking",)], ids=["nonblocking", "blocking"])
def test_a_killed_waitspy_leaves_a_recording_and_a_running_target(
    tmp_path: Path, target: subprocess.Popen[str], options: tuple[str, ...]
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec", *options) as waitspy:
        sampled(tmp_path / "rec")
        # What was seen so far is written down once a second; the first look writes at once.
        wait_until(lambda: flushed_s(tmp_path / "rec") > 0.5, "nothing was written")
        lasting(0.5)
        killed_ns = time.monotonic_ns()
        waitspy.kill()
        waitspy.wait()
        no_spy_is_left(target.pid)
    still_works(target)
    recording = load(tmp_path / "rec")
    assert [loss for loss in losses(recording) if "everything after" in loss and "killed" in loss]
    has_stacks(recording)
    assert recording.workers[0].states
    assert recording.info.duration_s > 0.5
    assert killed_ns - recording.info.end_ns < 1.5 * NS
    (worker,) = recording.workers
    ends = [states[-1].at_ns for states in worker.states.values()]
    assert max(ends) <= recording.info.end_ns < max(ends) + NS // 2  # the target never rests
    code, out, err = run(tmp_path, "report", "rec")
    assert (code, err) == (0, "")
    assert "waitspy was killed" in " ".join(out.split())
