"""py-spy samples, but does not write when it is asked to, or is killed while it writes.

The recording ends at most ten seconds late, and says truly why the stacks are lost; what else was seen is there.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import ENDS_WITHIN_S, at_its_end, looked_beside, run_with
from tests.live.session import BY_PYSPY, load


@pytest.mark.parametrize(
    ("end", "why"),
    [
        pytest.param(
            "while :; do sleep 0.2; done",
            "py-spy did not write within 10 s",
            marks=pytest.mark.slow,
        ),
        ("kill -KILL $$", "py-spy was killed by SIGKILL"),
        ('echo "[{" > $output; kill -KILL $$', "py-spy was killed by SIGKILL"),
        ("exit 3", "py-spy ended with code 3"),
        ("wrote", "py-spy ended with code 0: Wrote chrome trace. Samples: 30 Errors: 0"),
    ],
    ids=["hangs", "killed before", "killed while", "fails", "writes nothing"],
)
def test_one_that_does_not_write(
    tmp_path: Path, target: subprocess.Popen[str], end: str, why: str
) -> None:
    began_s = time.monotonic()
    args = (*BY_PYSPY, target.pid, "-d", "0.5", "-o", "rec")
    code, out, err = run_with(tmp_path, at_its_end(end), *args)
    assert (code, err) == (0, "")
    assert time.monotonic() - began_s < ENDS_WITHIN_S
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert (loss.what, loss.why, loss.pid) == ("stacks", why, target.pid)
    assert why in " ".join(out.split())
    looked_beside(recording)
