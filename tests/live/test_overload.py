"""Loops that run callbacks all along: late where there are too many, else nothing is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, target
from tests.live.web import load

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

MANY = TARGETS / "many_callbacks.py"


@pytest.mark.parametrize(("mode", "function"), [("overloaded", "crunch"), ("naps", "nap")])
def test_too_many_short_callbacks_are_late(mode: str, function: str, tmp_path: Path) -> None:
    with target([sys.executable, MANY, mode]) as loop:
        report = record(loop.pid, tmp_path / "rec", seconds=3)
    found = [f for f in report["findings"] if f["kind"] != "no-cpu"]
    assert [(f["kind"], f["verdict"]) for f in found] == [("overloaded-loop", "late")], said(report)
    (finding,) = found
    assert finding["blame"]["function"] == function
    assert finding["share"] > 0.5
    assert all(episode["served"] > 0 for episode in finding["episodes"])
    assert {victim["kind"] for victim in finding["victims"]} == {"callback"}


def test_workers_that_compute_let_connections_in_late(tmp_path: Path) -> None:
    server = [sys.executable, TARGETS / "sync_server.py", 1, 0.05, "computes"]
    with target(server) as master, load(master.ready["port"], "/", 8):
        report = record(master.pid, tmp_path / "rec", seconds=3)
    (finding,) = (f for f in report["findings"] if f["kind"] != "no-cpu")
    assert (finding["kind"], finding["verdict"]) == ("accept-backlog", "late"), said(report)
    assert finding["blame"]["function"] == "compute"
    assert finding["wait"]["kind"] == "on-cpu"
    assert finding["share"] > 0.5
    assert {victim["kind"] for victim in finding["victims"]} == {"connection"}
    assert finding["victims"][0]["waited_s"] / finding["victims"][0]["count"] > 0.1


def test_a_loop_that_is_busy_but_fair_keeps_nobody_waiting(tmp_path: Path) -> None:
    with target([sys.executable, MANY, "fair"]) as loop:
        report = record(loop.pid, tmp_path / "rec", seconds=3)
    assert [f for f in report["findings"] if f["kind"] != "no-cpu"] == [], said(report)
