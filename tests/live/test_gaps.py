"""waitspy is stopped for a while in the middle of a recording: what it did not see, it claims not."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live.running import TARGETS, client, read_report, said, starving, target, wait_until
from tests.live.session import finished, flushed_s, load, sampled, session
from tests.live.web import load as requests

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_STOPPED_S = 1.5


@contextmanager
def executor(case: str) -> Iterator[int]:
    with target([sys.executable, TARGETS / "pools.py", case]) as pool:
        yield pool.pid


@contextmanager
def listener(seconds: float) -> Iterator[int]:
    """One process that takes so long for a request, and four clients."""
    argv = [sys.executable, TARGETS / "sync_server.py", 1, seconds]
    with target(argv) as server, requests(server.ready["port"], "/", 4):
        yield server.pid


@contextmanager
def loop(*mode: object) -> Iterator[int]:
    argv = [sys.executable, TARGETS / "loop_server.py", *mode]
    with target(argv) as server, client(server.ready["port"]):
        yield server.pid


def stopped_meanwhile(pid: int, folder: Path) -> dict[str, Any]:
    """The report of four seconds, in the second of which waitspy was stopped."""
    with session(folder, "record", pid, "-d", "4", "-o", "rec") as waitspy:
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
    return read_report(folder / "rec")


@pytest.mark.parametrize(
    "healthy",
    [
        pytest.param(executor("one-thread"), id="executor"),
        pytest.param(listener(0.03), id="listener"),
        pytest.param(loop("healthy", 0, 0.2), id="loop"),
    ],
)
def test_who_is_well_is_not_accused_of_the_time_in_between(healthy: Any, tmp_path: Path) -> None:
    with healthy as pid:
        report = stopped_meanwhile(pid, tmp_path)
    assert report["findings"] == [], said(report)


@pytest.mark.parametrize(
    ("blocked", "kind"),
    [
        pytest.param(executor("deadlock"), "exhausted-pool", id="executor"),
        pytest.param(listener(60), "accept-backlog", id="listener"),
        pytest.param(loop("sleep", 60, 0.1), "blocked-loop", id="loop"),
    ],
)
def test_who_stood_in_one_call_all_the_time_is_told_once(
    blocked: Any, kind: str, tmp_path: Path
) -> None:
    with blocked as pid:
        report = stopped_meanwhile(pid, tmp_path)
    (finding,) = starving(report)
    assert finding["kind"] == kind, said(report)
    (episode,) = finding["episodes"]
    recorded_s = report["recording"]["duration_s"]
    # It lasts to the end, and began before waitspy did, or while it looked for the first time.
    assert episode["end_s"] - episode["start_s"] > recorded_s - 0.5, said(report)
