"""waitspy is stopped for more than a second and goes on, as by Ctrl-Z or a frozen container.

How long it did not look is told as a loss. Who is well is not accused of the time in between; who
stood in one call all the time is told once, from before to after.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ourselves.servers import (
    HEALTHY,
    NEVER_ANSWERING,
    by_itself,
    executor,
    is_well,
    judged,
    listener,
    loop,
)
from tests.live.running import wait_until
from tests.live.session import finished, flushed_s, load, sampled, session
from waitspy.model.judged import Report

pytestmark = pytest.mark.alone

_STOPPED_S = 1.2


def stopped_meanwhile(pid: int, folder: Path) -> Report:
    """What is judged of some seconds, in the second of which waitspy was stopped."""
    with session(folder, "record", pid, "-d", "3", "-o", "rec") as waitspy:
        sampled(folder / "rec")
        wait_until(lambda: flushed_s(folder / "rec") > 0.9, "nothing was written")
        waitspy.send_signal(signal.SIGSTOP)
        time.sleep(_STOPPED_S)
        waitspy.send_signal(signal.SIGCONT)
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    assert "waitspy itself did not run" in " ".join(out.split())
    info = load(folder / "rec").info
    start_ns, end_ns = max(info.gaps, key=lambda gap: gap[1] - gap[0])
    assert (end_ns - start_ns) / 1e9 == pytest.approx(_STOPPED_S, abs=0.2)
    assert info.monotonic_start_ns < start_ns < end_ns < info.end_ns
    return judged(folder / "rec")


@pytest.mark.parametrize(
    "healthy",
    [
        pytest.param(executor("one-thread"), id="executor", marks=pytest.mark.slow),
        pytest.param(listener(0.03), id="listener", marks=pytest.mark.slow),
        pytest.param(loop(*HEALTHY), id="loop"),
    ],
)
def test_who_is_well_is_not_accused_of_the_time_in_between(healthy: Any, tmp_path: Path) -> None:
    with healthy as pid:
        report = stopped_meanwhile(pid, tmp_path)
    is_well(report)


@pytest.mark.parametrize(
    ("blocked", "kind"),
    [
        pytest.param(executor("deadlock"), "deadlock", id="executor"),
        pytest.param(listener(60), "accept-backlog", id="listener", marks=pytest.mark.slow),
        pytest.param(loop(*NEVER_ANSWERING), "blocked-loop", id="loop", marks=pytest.mark.slow),
    ],
)
def test_who_stood_in_one_call_all_the_time_is_told_once(
    blocked: Any, kind: str, tmp_path: Path
) -> None:
    with blocked as pid:
        report = stopped_meanwhile(pid, tmp_path)
    (finding,) = by_itself(report)
    assert (finding.kind.name, finding.verdict) == (kind, "starving")
    (episode,) = finding.episodes
    # It lasts to the end, and began before waitspy did, or while it looked for the first time.
    assert episode.end_s - episode.start_s > report.recording.duration_s - 0.5
