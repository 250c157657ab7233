"""py-spy is stopped (SIGSTOP) while it samples, or at its end.

It is let go on and replaced, and nothing is lost.
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
)


def test_a_stopped_pyspy_goes_on_and_nothing_is_lost(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    with session(tmp_path, *BY_PYSPY, target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        (spy,) = spies(target.pid)
        spy.suspend()
        wait_until(lambda: len(meta(tmp_path / "rec")["segments"]) >= 2, "no new segment")
        wait_until(lambda: spies(target.pid) and spy not in spies(target.pid), "it goes on")
        lasting(0.5)
        for one in spies(target.pid):
            one.suspend()  # this time at the end
        waitspy.send_signal(signal.SIGINT)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, ""), out
    assert losses(load(tmp_path / "rec")) == []
    has_stacks(load(tmp_path / "rec"))
