"""Loops without any I/O: what is starved are their timers, read from the target's memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import pythons
from tests.live.harms import blamed
from tests.live.running import TARGETS, record, said, starving, target
from tests.remote import interpreters
from tests.remote.interpreters import Python

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_BOUND_S = 0.060
_SLEEP_S = 0.02  # the heartbeats' own: a timer is due at most this long after the harm began


ENDS = tuple(p for p in interpreters.found() if p.version in pythons.ends())
VERSIONS = [pytest.param(v, marks=pythons.marks(v)) for v in pythons.ends()]
UVLOOP = interpreters.with_modules("uvloop")[-1:]


def _run(mode: str, version: str, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return _recorded(
        [pythons.ends()[version], TARGETS / "timer_loop.py", mode, "0.4", "0.3"], folder
    )


def _recorded(
    argv: Sequence[object], folder: Path, python: Python | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report of four seconds of that target, and the harms that it logged inside them."""
    with target(argv, env=None if python is None else python.environment) as loop:
        report = record(loop.pid, folder / "rec", seconds=4)
        log = loop.read_log()
    start = report["recording"]["monotonic_start_s"]
    end = start + report["recording"]["duration_s"]
    # Those at the edges may be too short inside the recording to count.
    return report, [h for h in log if h["start"] > start + 0.02 and h["end"] < end - 0.02]


@pytest.mark.parametrize("version", VERSIONS)
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
        assert len(near) == 1, f"{harm} {said(report)}"
        assert near[0]["start_s"] == pytest.approx(harm["start"] + _SLEEP_S / 2, abs=_BOUND_S)
        assert near[0]["pending_max"] == 3, said(report)
        assert "asyncio" in near[0]["evidence"]
    (victim,) = finding["victims"]
    assert (victim["kind"], victim["name"]) == ("timer", "heartbeat")
    assert victim["count"] == 3 * finding["occurrences"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_loop_left_behind_is_nobody_s(version: str, tmp_path: Path) -> None:
    report, _ = _run("abandoned", version, tmp_path)
    assert report["findings"] == [], said(report)


def test_timers_that_are_served_are_silent(tmp_path: Path) -> None:
    report, _ = _run("healthy", next(iter(sorted(pythons.ends()))), tmp_path)
    assert report["findings"] == [], said(report)


@pytest.mark.parametrize(
    ("python", "more", "tasks"),
    [
        *(pytest.param(p, (), 0, id=f"{p}", marks=pytest.mark.slow) for p in ENDS[:1]),
        *(pytest.param(p, (), 3_000, id=f"{p}-many") for p in ENDS[-1:]),
        *(pytest.param(p, ("uvloop",), 0, id=f"{p}-uvloop") for p in UVLOOP),
    ],
)
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("blocked", "blocked-loop"),
        pytest.param("naps", "blocked-loop", marks=pytest.mark.slow),
        pytest.param("busy", "busy-loop", marks=pytest.mark.slow),
    ],
)
def test_timers_are_starved_whatever_their_thread_does(
    mode: str, kind: str, tasks: int, python: Python, more: tuple[str, ...], tmp_path: Path
) -> None:
    """It runs, or wakes all the time, while its memory is read; and one look costs no allowance."""
    argv = [python.path, TARGETS / "timer_loop.py", mode, "0.4", "0.3", tasks, *more]
    report, truth = _recorded(argv, tmp_path, python)
    found = starving(report)
    assert [f["kind"] for f in found] == [kind], said(report)
    assert [f["kind"] for f in report["findings"]] == [kind], said(report)  # none is latent
    assert len(truth) >= 3
    for harm in truth:
        near = [e for e in found[0]["episodes"] if abs(e["end_s"] - harm["end"]) <= _BOUND_S]
        assert len(near) == 1, f"{harm} {said(report)}"
        assert near[0]["start_s"] == pytest.approx(harm["start"] + _SLEEP_S / 2, abs=_BOUND_S)
    assert {v["kind"] for v in found[0]["victims"]} <= {"timer", "task", "callback"}
