"""waitspy is stopped five times for three tenths of a second, as on a machine that is suspended.

The report tells for how long nobody looked, and an all-clear says so in its first line. No episode
is made of that time: nobody who is well is accused, and no stall is told longer than it was.
"""

from __future__ import annotations

import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.ourselves.servers import (
    HEALTHY,
    is_told_to_sleep,
    is_well,
    judged,
    loop,
)  # fmt: skip
from tests.live.session import finished, has_stacks, lasting, load, meta, sampled, session
from waitspy.model.judged import Report
from waitspy.render.words import duration

pytestmark = pytest.mark.alone

_STOPS, _STOPPED_S, _BETWEEN_S = 5, 0.3, 0.1


def stop_now_and_then(waitspy: subprocess.Popen[str], folder: Path) -> tuple[str, str]:
    """Stops it from the moment that it samples; the first line and all that is said at the end."""
    sampled(folder / "rec")
    for _ in range(_STOPS):
        waitspy.send_signal(signal.SIGSTOP)
        lasting(_STOPPED_S)
        waitspy.send_signal(signal.SIGCONT)
        lasting(_BETWEEN_S)
    code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    return out.splitlines()[0], out


def judged_with_gaps(pid: int, folder: Path) -> tuple[Report, str]:
    with session(folder, "record", pid, "-d", "3.6", "-o", "rec") as waitspy:
        first_line, out = stop_now_and_then(waitspy, folder)
    report = judged(folder / "rec")
    gaps = [gap for gap in report.recording.gaps if gap[1] - gap[0] > _STOPPED_S * 0.9e9]
    assert len(gaps) == _STOPS
    assert all(a[1] <= b[0] for a, b in pairwise(gaps))
    assert report.recording.unseen_s >= _STOPS * _STOPPED_S * 0.9
    told = f"nobody looked for {duration(report.recording.unseen_s)} of it"
    assert told in out.splitlines()[1]
    assert [loss for loss in report.losses if "waitspy itself did not run" in loss.why]
    return report, first_line


def test_an_all_clear_says_for_how_long_nobody_looked(tmp_path: Path) -> None:
    with loop(*HEALTHY) as pid:
        report, first_line = judged_with_gaps(pid, tmp_path)
    is_well(report)
    assert first_line.startswith("no starvation seen")
    assert f"nobody looked for {duration(report.recording.unseen_s)} of it" in first_line


def test_no_stall_is_told_longer_than_it_was(tmp_path: Path) -> None:
    with loop("sleep", 0.5, 0.3) as pid:
        report, _ = judged_with_gaps(pid, tmp_path)
    is_told_to_sleep(report, at_most_s=0.5)


def test_stacks_are_sampled_on(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, "record", target.pid, "-d", "2.2", "-o", "rec") as waitspy:
        _, out = stop_now_and_then(waitspy, tmp_path)
    assert "recording: rec" in out
    assert meta(tmp_path / "rec")["segments"]
    has_stacks(load(tmp_path / "rec"))
