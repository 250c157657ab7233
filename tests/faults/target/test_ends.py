"""A worker ends by itself while it is recorded, at the end of its work.

The recording ends with it, keeps everything, and says that it ended; a command's exit code is passed on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.session import finished, load, sampled, session, stack_seconds
from tests.live.started import started, tell

WORK = """
import sys, time
print("ready", flush=True)
def work():
    sys.stdin.readline()
    time.sleep(0.3)
work()
sys.exit(4)
"""


def test_a_worker_that_ends_by_itself_ends_the_recording(tmp_path: Path) -> None:
    with (
        started([sys.executable, "-c", WORK]) as (mine, _),
        session(tmp_path, "record", mine.pid, "-d", "50", "-o", "rec") as waitspy,
    ):
        sampled(tmp_path / "rec")
        tell(mine, "end")
        code, out, err = finished(waitspy)
        assert mine.wait() == 4
    assert (code, err) == (0, "")
    assert "exited" in out
    ended_well(tmp_path / "rec", "exited")


@pytest.mark.parametrize("own", [0, 4])
def test_a_command_that_ends_by_itself_gives_its_code(tmp_path: Path, own: int) -> None:
    argv = (sys.executable, "-c", WORK.replace("sys.exit(4)", f"sys.exit({own})"))
    args = ("record", "-o", "rec", "--", *argv)
    with session(tmp_path, *args, stdin=-1) as waitspy:
        sampled(tmp_path / "rec")
        assert waitspy.stdin is not None
        waitspy.stdin.write("end\n")
        waitspy.stdin.flush()
        code, _, err = finished(waitspy)
    assert (code, err) == (own, "")
    ended_well(tmp_path / "rec", f"exited with code {own}")


def ended_well(folder: Path, how: str) -> None:
    recording = load(folder)
    assert recording.losses == ()
    assert recording.info.duration_s < 40
    (worker,) = recording.workers
    assert worker.exit == how
    assert stack_seconds(recording) > 0.2
