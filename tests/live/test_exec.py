"""A server that becomes another program while it is recorded: two programs with one pid."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.harms import harms
from tests.live.running import TARGETS, Target, read_report, said, starving, target, wait_until
from tests.live.session import finished, flushed_s, run, session
from tests.live.web import load
from waitspy.render import REPORTS

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_NEAR_S = 0.1
RECORD = ("record", "-d", "6", "-o", "rec", "--min-stall", "0.2")


def test_both_programs_of_a_process_that_calls_exec_are_told(tmp_path: Path) -> None:
    with (
        target([sys.executable, TARGETS / "reloaded_server.py"]) as server,
        load(server.ready["port"], "/", 6),
    ):
        with session(tmp_path, *RECORD, server.pid) as waitspy:
            wait_until(lambda: flushed_s(tmp_path / "rec") > 1.5, "nothing was written")
            os.kill(server.pid, signal.SIGUSR1)
            code, out, err = finished(waitspy)
        server.read_log()
    assert (code, err) == (0, "")
    assert "block_before" in out
    assert "block_after" in out
    report = read_report(tmp_path / "rec")
    assert report["losses"] == []
    assert [worker["pid"] for worker in report["workers"]] == [server.pid] * 2
    assert "exec" in report["workers"][0]["exit"]
    assert report["workers"][1]["exit"] is None
    check(report, server)
    for form in REPORTS:
        assert run(tmp_path, "report", "rec", "--format", form)[::2] == (0, "")
    assert run(tmp_path, "flamegraph", "rec", "--weight", "wall", "-o", "f.svg")[::2] == (0, "")


def check(report: dict[str, Any], server: Target) -> None:
    """One finding a program, each with its own harms."""
    told = {finding["blame"]["function"]: finding for finding in starving(report)}
    assert told.keys() == {"block_before", "block_after"}, said(report)
    assert len(starving(report)) == 2, said(report)
    (exec_s,) = (line["exec"] for line in server.logged if "exec" in line)
    for name, again in (("block_before", False), ("block_after", True)):
        finding = told[name]
        truth = harms([line for line in server.logged if line.get("again") is again], report)
        assert finding["kind"] == "accept-backlog"
        assert finding["pids"] == [server.pid]
        assert finding["wait"]["call"] == "time.sleep"
        assert finding["longest_s"] == pytest.approx(0.5, abs=_NEAR_S), json.dumps(finding)
        assert len(truth) >= 2
        whole_s = sum(end - start for start, end in truth)
        # The first one may have begun before the process was looked at.
        assert finding["starved_s"] == pytest.approx(whole_s, abs=0.3), f"{truth} {said(report)}"
        for episode in finding["episodes"]:
            assert (episode["start_s"] > exec_s) == again, f"{exec_s} {said(report)}"
            assert again or episode["end_s"] < exec_s + _NEAR_S, f"{exec_s} {said(report)}"
