"""Loops without any I/O: what is starved are their timers, read from the target's memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import pythons
from tests.live.harms import blamed
from tests.live.running import TARGETS, record, said, starving, target

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_BOUND_S = 0.060
_SLEEP_S = 0.02  # the heartbeats' own: a timer is due at most this long after the harm began


def _run(mode: str, version: str, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    argv = [pythons.ends()[version], TARGETS / "timer_loop.py", mode, "0.4", "0.3"]
    with target(argv) as loop:
        report = record(loop.pid, folder / "rec", seconds=4)
        log = loop.read_log()
    start = report["recording"]["monotonic_start_s"]
    end = start + report["recording"]["duration_s"]
    # Those at the edges may be too short inside the recording to count.
    return report, [h for h in log if h["start"] > start + 0.02 and h["end"] < end - 0.02]


@pytest.mark.parametrize("version", sorted(pythons.ends()))
@pytest.mark.parametrize(
    ("mode", "kind", "function"),
    [("blocked", "blocked-loop", "hold_up"), ("parked", "parked-loop", "wait_outside")],
)
def test_overdue_timers_are_starved(
    mode: str, kind: str, function: str, version: str, tmp_path: Path
) -> None:
    report, truth = _run(mode, version, tmp_path)
    (finding,) = blamed(report, tmp_path / "rec")
    assert finding["kind"] == kind, said(report)
    assert finding["blame"]["function"] == function, said(report)
    assert len(truth) >= 3
    for harm in truth:
        near = [e for e in finding["episodes"] if abs(e["end_s"] - harm["end"]) <= _BOUND_S]
        assert len(near) == 1, (harm, said(report))
        assert near[0]["start_s"] == pytest.approx(harm["start"] + _SLEEP_S / 2, abs=_BOUND_S)
        assert near[0]["pending_max"] == 3, said(report)
        assert "asyncio" in near[0]["evidence"]
    (victim,) = finding["victims"]
    assert (victim["kind"], victim["name"]) == ("timer", "heartbeat")
    assert victim["count"] == 3 * finding["occurrences"]


@pytest.mark.parametrize("version", sorted(pythons.ends()))
def test_a_loop_left_behind_is_nobody_s(version: str, tmp_path: Path) -> None:
    report, _ = _run("abandoned", version, tmp_path)
    assert report["findings"] == [], said(report)


def test_timers_that_are_served_are_silent(tmp_path: Path) -> None:
    report, _ = _run("healthy", next(iter(sorted(pythons.ends()))), tmp_path)
    assert report["findings"] == [], said(report)


def test_timers_behind_a_busy_callback_are_not_guessed(tmp_path: Path) -> None:
    """A thread that runs cannot be read in full: what its timers wait for stays unknown."""
    report, _ = _run("busy", next(iter(sorted(pythons.ends()))), tmp_path)
    assert all(f["kind"] == "busy-loop" for f in starving(report)), said(report)
