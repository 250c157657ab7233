"""py-spy is not installed.

It is said at once with the command that installs it, and no recording is begun.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.faults.sampler.fakes import run_with
from tests.live.session import said_well


def test_without_pyspy(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    assert shutil.which("py-spy", path="/usr/bin:/bin") is None
    code, out, err = run_with(tmp_path, None, "record", target.pid, "-d", "1", "-o", "rec")
    assert (code, out) == (1, "")
    said_well(err, "py-spy", "pip install py-spy")
    assert os.listdir(tmp_path) == ["bin"]
