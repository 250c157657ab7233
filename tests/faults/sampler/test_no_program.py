"""What is called py-spy is no program of this machine, or is removed while it is used.

The recording goes on to its end with all that needs no stacks, and says that py-spy cannot be started and why.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.faults.sampler.fakes import looked_beside, run_with, script
from tests.live.session import BY_PYSPY, load, losses


def test_a_pyspy_that_is_no_program(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    args = (*BY_PYSPY, target.pid, "-d", "0.2", "-o", "rec")
    code, _, err = run_with(tmp_path, "#!/no/such/shell\n", *args)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (told,) = losses(recording)
    assert told.startswith(f"stacks of pid {target.pid}: py-spy cannot be started: No such file")
    looked_beside(recording)


def test_a_pyspy_that_is_removed_meanwhile(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    pyspy = script('rm -- "$0"; exit 7')
    code, _, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", "0.8", "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (told,) = losses(recording)
    assert told.startswith(f"stacks of pid {target.pid}: py-spy cannot be started: No such file")
    looked_beside(recording)
