"""The folder in which waitspy is started no longer exists.

It is said with what to do, and nothing is recorded.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.live.session import (
    environment,
    said_well,
)


def test_a_working_directory_that_is_gone(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    # The shell has a current directory that no longer exists when waitspy starts.
    line = f'rmdir {folder}; exec "$0" -m waitspy record {target.pid} -d 0.2'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    said_well(done.stderr, "-o")
