"""waitspy and its process group get the same signal at once, as timeout(1) and service managers send it.

That counts as one request: all is kept, and nothing is lost.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.live.running import WAITSPY
from tests.live.session import (
    environment,
    has_stacks,
    load,
)


def test_a_signal_sent_twice_at_once_is_one(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    """timeout(1) signals the process and then its group."""
    argv = ["timeout", "2", *WAITSPY, "record", str(target.pid), "-d", "50", "-o", "rec"]
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment(), capture_output=True, text=True,
        timeout=60, check=False, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 124
    recording = load(tmp_path / "rec")
    assert recording.losses == ()
    has_stacks(recording)
    assert "recording: rec" in done.stdout
