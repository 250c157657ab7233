"""waitspy and all that it has started are killed at once, as when a container is.

What the kernel and the target's memory told can be read up to the last second; the report tells that waitspy was killed,
and that the stacks are lost. The target works on.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil

from tests.live.running import wait_until
from tests.live.session import (
    BY_PYSPY,
    flushed_s,
    lasting,
    load,
    losses,
    no_spy_is_left,
    run,
    sampled,
    session,
    spies,
)  # fmt: skip


def test_what_was_seen_can_be_read(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, *BY_PYSPY, target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        wait_until(lambda: flushed_s(tmp_path / "rec") > 0.5, "nothing was written")
        lasting(0.2)
        everyone = [waitspy.pid, *(p.pid for p in psutil.Process(waitspy.pid).children())]
        assert len(everyone) > 1
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped, nobody learns of another's end
            for pid in everyone:
                os.kill(pid, number)
        waitspy.wait()
        no_spy_is_left(target.pid)
    recording = load(tmp_path / "rec")
    (worker,) = recording.workers
    assert worker.states
    assert recording.info.duration_s > 0.5
    told = losses(recording)
    assert [line for line in told if "everything after" in line and "waitspy was killed" in line]
    assert [line for line in told if "stacks" in line], told
    code, out, err = run(tmp_path, "report", "rec")
    assert (code, err) == (0, "")
    assert "waitspy was killed" in " ".join(out.split())
    assert spies(target.pid) == []
