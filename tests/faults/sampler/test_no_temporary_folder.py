"""The folder for temporary files is full, may not be written, or runs no programs.

py-spy samples and writes as ever: nothing is lost.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.disk.disks import mounted
from tests.live.session import BY_PYSPY, environment, has_stacks, load, run


@pytest.mark.may_skip
@pytest.mark.parametrize(
    "options", ["size=4k,nr_inodes=1", "ro", "noexec"], ids=["full", "read-only", "noexec"]
)
def test_py_spy_does_without(tmp_path: Path, target: subprocess.Popen[str], options: str) -> None:
    with mounted(tmp_path / "temporary", options) as folder:
        env = environment(TMPDIR=str(folder))
        args = (*BY_PYSPY, target.pid, "-d", "0.8", "-o", "rec")
        code, _, err = run(tmp_path, *args, env=env)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    has_stacks(recording)
