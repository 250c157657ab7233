"""py-spy hangs as it starts and never samples.

The recording ends when its time is up, at most ten seconds late, with all that needs no stacks, and says that there are none.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import ENDS_WITHIN_S, looked_beside, run_with, script
from tests.live.session import BY_PYSPY, load


@pytest.mark.parametrize(
    ("hangs", "why"),
    [
        ("exec sleep 600", "py-spy had not attached yet when the recording ended"),
        pytest.param(
            "trap '' INT TERM; while :; do sleep 0.2; done",
            "py-spy did not write within 10 s",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["ends on a signal", "does not end"],
)
def test_one_that_never_gets_ready(
    tmp_path: Path, target: subprocess.Popen[str], hangs: str, why: str
) -> None:
    began_s = time.monotonic()
    args = (*BY_PYSPY, target.pid, "-d", "0.6", "-o", "rec")
    code, out, err = run_with(tmp_path, script(hangs), *args)
    assert (code, err) == (0, "")
    assert time.monotonic() - began_s < ENDS_WITHIN_S
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert (loss.what, loss.why, loss.pid) == ("stacks", why, target.pid)
    assert why in out
    looked_beside(recording)
