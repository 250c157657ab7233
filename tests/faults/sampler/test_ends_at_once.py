"""py-spy ends at once, says that all went well, and has written nothing.

It is tried again more and more rarely, and the missing stacks are one loss; the rest is recorded.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.faults.sampler.fakes import looked_beside, run_with, script
from tests.live.session import BY_PYSPY, load, meta


def test_a_pyspy_that_does_nothing(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    pyspy = script("exit 0")
    code, out, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "1.4", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert (loss.what, loss.why) == ("stacks", "py-spy ended with code 0")
    assert loss.remedy == "try 'waitspy doctor' on this process"
    assert loss.why in out
    assert 2 <= len(meta(tmp_path / "rec")["segments"]) <= 4
    looked_beside(recording)
