"""waitspy itself gets hardly any CPU: it may run only when its core is idle, and two programs keep that busy.

The report tells for how long nobody looked. Who is well is not accused, an all-clear says how little it is worth, and no
stall is told longer than it was.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.ourselves.servers import HEALTHY, by_itself, is_well, judged, loop
from tests.live.session import finished, lasting, sampled, session
from waitspy.kernel import procfs
from waitspy.model.judged import Report
from waitspy.render.words import duration

pytestmark = [
    pytest.mark.alone,
    pytest.mark.may_skip,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only"),
]


@contextmanager
def starved(pid: int, core: int) -> Iterator[None]:
    """Leaves that process what two others leave of a core."""
    for tid in procfs.threads(pid):
        os.sched_setaffinity(tid, {core})
        os.sched_setscheduler(tid, os.SCHED_IDLE, os.sched_param(0))
    spin = [sys.executable, "-c", "while True: pass"]
    hogs = [subprocess.Popen(spin) for _ in range(2)]
    try:
        for hog in hogs:
            os.sched_setaffinity(hog.pid, {core})
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def recorded_starving(folder: Path, *mode: object) -> tuple[Report, str]:
    elsewhere, core = sorted(os.sched_getaffinity(0))[:2]
    with loop(*mode) as pid:
        os.sched_setaffinity(pid, {elsewhere})
        with session(folder, "record", pid, "-d", "2.5", "-o", "rec") as waitspy:
            sampled(folder / "rec")
            with starved(waitspy.pid, core):
                lasting(1.5)
            code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    report = judged(folder / "rec")
    assert report.recording.unseen_s > 0.5
    assert f"nobody looked for {duration(report.recording.unseen_s)} of it" in out
    return report, out


def test_an_all_clear_says_how_little_it_is_worth(tmp_path: Path) -> None:
    report, out = recorded_starving(tmp_path, *HEALTHY)
    is_well(report)
    assert "nobody looked for" in out.splitlines()[0]


def test_no_stall_is_told_longer_than_it_was(tmp_path: Path) -> None:
    report, _ = recorded_starving(tmp_path, "sleep", 0.5, 0.3)
    found = by_itself(report)  # some of it perhaps as latent: that work was due was not seen
    assert {one.kind.name for one in found} == {"blocked-loop"}
    assert {one.blame and one.blame.function for one in found} == {"sleep"}
    assert max(one.longest_s for one in found) < 0.56
