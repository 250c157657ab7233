"""py-spy does not end, and the user presses Ctrl-C a second time.

The recording ends at once; the stacks that py-spy held are told as lost, with what to do another time.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.live.session import (
    BY_PYSPY,
    finished,
    kept_from_running,
    lasting,
    load,
    losses,
    sampled,
    session,
    spies,
)


def test_a_second_signal_does_not_wait_for_pyspy(
    tmp_path: Path, target: subprocess.Popen[str]
) -> None:
    with session(tmp_path, *BY_PYSPY, target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        with kept_from_running(spies(target.pid)):
            waitspy.send_signal(signal.SIGINT)
            lasting(0.3)
            assert waitspy.poll() is None
            waitspy.send_signal(signal.SIGINT)
            code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    (loss,) = losses(load(tmp_path / "rec"))
    assert f"stacks of pid {target.pid}" in loss
    assert "killed before it could write" in loss
    assert "killed before it could write" in " ".join(out.split())
    assert load(tmp_path / "rec").workers[0].states
