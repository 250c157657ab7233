"""The harms that a target logged, and whether a finding tells them right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.live.running import said, starving
from waitspy.model.clock import NS
from waitspy.recording import loading

_BOUND_S = 0.060
_SURE_S = 0.15


def harms(log: list[dict[str, Any]], report: dict[str, Any]) -> list[tuple[float, float]]:
    """The harms inside the recording, clipped to it."""
    start = report["recording"]["monotonic_start_s"]
    end = start + report["recording"]["duration_s"]
    spans = [(max(h["start"], start), min(h["end"], end)) for h in log]
    return [(a, b) for a, b in spans if b - a > 0.1]


def check(
    report: dict[str, Any],
    truth: list[tuple[float, float]],
    finding: dict[str, Any],
    *,
    attached_within_s: float = 0.0,
) -> None:
    """Seconds within 10 %, each episode's bounds within 60 ms of a harm's.

    What a recording of many workers sees of one begins ``attached_within_s`` later at most.
    """
    assert truth
    whole = sum(b - a for a, b in truth)
    close = pytest.approx(whole, rel=0.10, abs=attached_within_s)
    assert finding["starved_s"] == close, f"{truth} {said(report)}"
    assert finding["occurrences"] == len(finding["episodes"])
    # A harm cut by the recording's edge to about --min-stall may count or not.
    sure_s = report["recording"]["monotonic_start_s"] + attached_within_s
    unsure = [(a, b) for a, b in truth if b - a < _SURE_S or a < sure_s]
    sure = [span for span in truth if span not in unsure]
    episodes = [
        e
        for e in finding["episodes"]
        if not any(abs(e["end_s"] - b) <= _BOUND_S for _, b in unsure)
    ]
    assert len(episodes) == len(sure), f"{truth} {said(report)}"
    assert finding["longest_s"] == pytest.approx(max(b - a for a, b in truth), abs=_BOUND_S * 2)
    length = report["recording"]["duration_s"]
    assert finding["share"] == pytest.approx(finding["starved_s"] / length, rel=1e-3)
    for episode, (start, end) in zip(episodes, sorted(sure), strict=True):
        assert abs(episode["start_s"] - start) <= _BOUND_S, f"{truth} {said(report)}"
        assert abs(episode["end_s"] - end) <= _BOUND_S, f"{truth} {said(report)}"


def blamed(report: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The starving findings; nobody is blamed only for what had ended before the first sample."""
    recorded = loading.load(str(folder))
    first_s = {
        worker.worker.pid: min(
            (i.start_ns for s in worker.segments for t in s.threads for i in t.intervals),
            default=recorded.info.end_ns,
        )
        / NS
        for worker in recorded.workers
        if worker.segments
    }
    found = []
    for finding in starving(report):
        if finding["blame"] is not None:
            found.append(finding)
            continue
        ends = [(e["end_s"], first_s[e["pid"]]) for e in finding["episodes"]]
        assert all(end_s <= sampled_s for end_s, sampled_s in ends), f"{ends} {said(report)}"
    return found
