"""The clock of the machine is set an hour back or an hour forward during a recording.

The recording is as long as it was, a stall is told as long as it was, and nobody else is accused. A source file that
then seems newer than the program that runs is told as not to be trusted, and not shown.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.ourselves.servers import (
    HEALTHY,
    STALLING,
    is_cleared,
    is_told_to_sleep,
    judged,
    loop,
    recorded,
)
from tests.live.running import ROOT
from tests.live.session import environment, finished, sampled, session
from waitspy.model.judged import Report

STEPPING = pytest.mark.parametrize("step_s", [-3600, 3600])
STEPS = """
import os, time
step_s, now, asked = float(os.environ["STEP_S"]), os.environ["STEP_NOW"], os.environ["ASKED"]

def stepping(real, one_s, is_wall):
    def told(*args):
        if not is_wall(*args) or not os.path.exists(now):
            return real(*args)
        open(asked, "w").close()
        return real(*args) + type(one_s)(step_s * one_s)
    return told

REAL = time.CLOCK_REALTIME
time.time = stepping(time.time, 1.0, lambda: True)
time.time_ns = stepping(time.time_ns, 10**9, lambda: True)
time.clock_gettime = stepping(time.clock_gettime, 1.0, lambda clock: clock == REAL)
time.clock_gettime_ns = stepping(time.clock_gettime_ns, 10**9, lambda clock: clock == REAL)
"""


def stepping(folder: Path, step_s: int) -> dict[str, str]:
    """The environment in which a Python sees the clock step as soon as there is a file ``now``."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(STEPS)
    path = f"{folder / 'site'}:{ROOT}/profiler:{ROOT}/scenarios"
    files = {"STEP_NOW": str(folder / "now"), "ASKED": str(folder / "asked")}
    return environment(PYTHONPATH=path, STEP_S=str(step_s), **files)


def recorded_stepping(folder: Path, step_s: int, *mode: object) -> tuple[Report, str]:
    args = ("record", "-d", "1.2", "-o", "rec")
    env = stepping(folder, step_s)
    with loop(*mode) as pid, session(folder, *args, pid, env=env) as waitspy:
        sampled(folder / "rec")
        (folder / "now").touch()
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    report = judged(folder / "rec")
    assert report.recording.duration_s == pytest.approx(1.2, abs=0.5)
    return report, out


@STEPPING
def test_a_stall_is_told_as_it_was(tmp_path: Path, step_s: int) -> None:
    report, out = recorded_stepping(tmp_path, step_s, *STALLING)
    is_told_to_sleep(report)
    assert report.losses == ()
    assert "time.sleep(HARM_S)" in out


@STEPPING
def test_who_is_well_is_not_accused(tmp_path: Path, step_s: int) -> None:
    report, out = recorded_stepping(tmp_path, step_s, *HEALTHY)
    is_cleared(report, out)


@STEPPING
def test_a_clock_that_has_stepped_before_dates_no_file_wrongly(tmp_path: Path, step_s: int) -> None:
    (tmp_path / "now").touch()
    with loop(*STALLING) as pid:
        report, out = recorded(tmp_path, pid, env=stepping(tmp_path, step_s))
    is_told_to_sleep(report)
    assert (tmp_path / "asked").exists()
    lost = [loss.why for loss in report.losses]
    assert ("time.sleep(HARM_S)" in out) == (lost == [])
    assert all(why.startswith("changed since the process began") for why in lost)
