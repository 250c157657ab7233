"""The user may not write where the recording is to be made.

It is said with what to do, and the command that was to be recorded is not started.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.live.session import (
    AS_NOBODY,
    run,
    said_well,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@needs_root
def test_a_folder_that_this_user_may_not_write(tmp_path: Path) -> None:
    for parent in tmp_path.parents[:3]:
        os.chmod(parent, 0o755)
    os.chmod(tmp_path, 0o755)
    code, _, err = run(tmp_path, "record", "--", "touch", "/tmp/never", waitspy=AS_NOBODY)
    assert code == 1
    said_well(err, "Permission denied", "-o")
