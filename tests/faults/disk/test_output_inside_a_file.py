"""The recording is to be made inside something that is no folder.

It is said with what to do, and the file stays as it was.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.live.session import (
    run,
    said_well,
)


def test_an_output_inside_a_file(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    (tmp_path / "file").write_text("mine")
    code, _, err = run(tmp_path, "record", target.pid, "-d", "0.2", "-o", "file/rec")
    assert code == 1
    said_well(err, "file/rec", "-o")
