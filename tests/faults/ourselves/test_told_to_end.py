"""waitspy is told to end by a signal: Ctrl-C, a service manager, a terminal that hangs up.

It ends with exit code 0 and reports; the recording is whole and has lost nothing.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.live.session import (
    finished,
    has_stacks,
    lasting,
    load,
    sampled,
    session,
)

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_it_and_keeps_everything(
    tmp_path: Path, target: subprocess.Popen[str], number: signal.Signals
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        lasting(0.5)
        waitspy.send_signal(number)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    assert "recording: rec" in out
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    assert recording.info.duration_s < 40
    has_stacks(recording)
