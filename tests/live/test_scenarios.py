"""Each variant of each scenario, under load and recorded as a user would, says what its TRUTH says."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.live.running import read_report, said, starving, waitspy
from waitspy_scenarios import SCENARIOS, Expected
from waitspy_scenarios.piscina_buffer.__main__ import DELAY_S

# Alone: their servers, clients and upstreams share one machine, and what tests beside them take from
# an upstream is a true wait of a healthy server.
pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_MIN_STALL_S = 0.1
_LEAST_BLAME = 0.7  # of the starved time lies under the blamed frame; the rest is sampling's edges

_ALWAYS = {
    "gunicorn-slow-upstream": {"gthread-healthy"},
}
"""One that is well; the others are slow: ``make scenarios``. Ways to starve are in tests of their own."""

VARIANTS = [
    pytest.param(
        name,
        variant,
        id=f"{name}:{variant}",
        marks=[] if variant in _ALWAYS.get(name, ()) else [pytest.mark.slow],
    )
    for name, scenario in SCENARIOS.items()
    for variant in scenario.truth
]


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_the_report_says_what_is_true(name: str, variant: str, tmp_path: Path) -> None:
    expected = SCENARIOS[name].truth[variant]
    folder = tmp_path / "rec"
    done = waitspy("scenario", "run", name, "--profile", "-o", folder, "--", *expected.options)
    assert done.returncode == 0, done.stdout + done.stderr
    report = read_report(folder)
    if expected.hidden is not None:
        told = [why for worker in report["workers"] for why in worker["oracles"].values()]
        assert any(expected.hidden in why for why in told), told
    found = [finding for finding in report["findings"] if counts(finding, expected)]
    if expected.kind is None or (not expected.required and not found):
        assert found == [], said(report)
        return
    assert {finding["kind"] for finding in found} == {expected.kind}, said(report)
    # Where an episode shows nobody to blame, it is a finding beside the one of its kind.
    blamed = [finding for finding in found if finding["blame"] is not None]
    assert len(blamed) == 1, said(report)
    check(blamed[0], expected, said(report))
    starved_s = sum(finding["starved_s"] for finding in found)
    share = blamed[0]["blame"]["share"] * blamed[0]["starved_s"] / starved_s
    assert share >= _LEAST_BLAME, said(report)


def counts(finding: dict[str, Any], expected: Expected) -> bool:
    """Whether it is neither what may come with the finding, nor our machine's business."""
    if finding["verdict"] == "latent":  # it kept nobody waiting: here, threads that start slowly
        return False
    return finding["kind"] not in expected.also | {"no-cpu"}


def check(finding: dict[str, Any], expected: Expected, shown: str) -> None:
    if expected.root is not None:
        assert finding["chain"][-1]["function"] == expected.root, shown
    assert (finding["kind"], finding["verdict"]) == (expected.kind, expected.verdict), shown
    blame = finding["blame"]
    assert blame["function"] == expected.function, shown
    assert expected.file is None or blame["file"] == str(expected.path), shown
    assert blame["share"] >= _LEAST_BLAME, shown
    if expected.source is not None:
        assert blame["source"] == expected.source, shown
    if expected.wait is not None:
        assert finding["wait"]["kind"] == expected.wait, shown
    assert {victim["kind"] for victim in finding["victims"]} & expected.victims, finding["victims"]
    if expected.victim is not None:
        names = [victim["name"] for victim in finding["victims"]]
        assert any(expected.victim in name for name in names), names
    assert len(finding["pids"]) >= expected.processes, shown
    if expected.longest_s is not None:
        assert finding["longest_s"] <= expected.longest_s, shown
    if expected.share is not None and expected.load_s is not None:
        starved = {episode["pid"] for episode in finding["episodes"]}
        share = finding["starved_s"] / len(starved) / expected.load_s
        assert expected.share[0] <= share <= expected.share[1], (share, shown)


@pytest.mark.slow
def test_the_seconds_of_unread_answers_are_those_of_the_log_of_piscinas_workers(
    tmp_path: Path,
) -> None:
    log, folder = tmp_path / "exports.json", tmp_path / "rec"
    run = ("scenario", "run", "piscina-buffer", "--profile", "-o", folder)
    done = waitspy(*run, "--", "--seconds", "12", "--json", log)
    assert done.returncode == 0, done.stdout + done.stderr
    unread: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for one in json.loads(log.read_text()):
        if one["ended_s"] - one["began_s"] > DELAY_S + _MIN_STALL_S:
            unread[one["tid"]].append((one["began_s"] + DELAY_S, one["ended_s"]))
    found = starving(read_report(folder))
    said_of: dict[int, float] = defaultdict(float)
    for finding in found:
        assert finding["kind"] == "parked-loop", said(read_report(folder))
        for episode in finding["episodes"]:
            said_of[episode["tid"]] += episode["end_s"] - episode["start_s"]
    assert unread
    true_s = {tid: covered_s(spans) for tid, spans in unread.items()}
    assert said_of == pytest.approx(true_s, rel=0.1), said(read_report(folder))


def covered_s(spans: list[tuple[float, float]]) -> float:
    """How long at least one of them lasts."""
    total, until = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
