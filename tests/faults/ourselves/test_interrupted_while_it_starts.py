"""waitspy is interrupted at any moment of its start.

Either nothing is kept, nothing is left on the disk and the exit code is 130; or something is kept and reported.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.live.running import wait_until
from tests.live.session import (
    finished,
    lasting,
    load,
    session,
)


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.2, 0.3])
def test_an_interrupt_at_any_moment_of_the_start(
    tmp_path: Path, target: subprocess.Popen[str], delay_s: float
) -> None:
    """Either nothing is kept and it says 130, or something is and it reports that."""
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        # From when Python has started: waitspy cannot help what happens before its first line.
        wait_until(lambda: imports(waitspy.pid), "waitspy did not start")
        lasting(delay_s)
        waitspy.send_signal(signal.SIGINT)
        code, out, err = finished(waitspy)
    assert "Traceback" not in err
    if code == 130:
        assert out == ""
        assert not (tmp_path / "rec").exists()
    else:
        assert code == 0
        assert "recording: rec" in out
        assert load(tmp_path / "rec").info.duration_s < 40


def imports(pid: int) -> bool:
    """It is past its own first lines: ctypes, which it needs, is loaded."""
    return "_ctypes" in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace")
