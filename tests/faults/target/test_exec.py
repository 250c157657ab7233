"""A server becomes another program by exec while it is recorded, and keeps its pid.

It is told as two programs: what each of them starved, with its own lines, and nothing across.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.target.served import functions, lost, report, untouched
from tests.live.harms import harms
from tests.live.running import TARGETS, Target, said, starving, target, wait_until
from tests.live.session import finished, flushed_s, run, session
from tests.live.session import load as recording
from tests.live.web import load
from waitspy.render import REPORTS

pytestmark = pytest.mark.alone

_NEAR_S = 0.1


def recorded_across_exec(server: Target, folder: Path, seconds: float, before_s: float) -> str:
    """What is said of that long a recording, in which exec is called so long after its start."""
    args = ("record", "-d", seconds, "-o", "rec", "--min-stall", "0.2", server.pid)
    # with pauses: who accepts is known once it has waited for a connection
    clients = load(server.ready["port"], "/", 4, pause_s=0.04)
    with clients, session(folder, *args) as waitspy:
        wait_until(lambda: flushed_s(folder / "rec") > before_s, "nothing was written")
        os.kill(server.pid, signal.SIGUSR1)
        code, out, err = finished(waitspy)
    untouched(server.pid)
    assert (code, err) == (0, "")
    return out


def are_two(told: dict[str, Any], pid: int) -> None:
    assert lost(told) == []
    assert [worker["pid"] for worker in told["workers"]] == [pid] * 2
    assert "exec" in told["workers"][0]["exit"]
    assert told["workers"][1]["exit"] is None


def test_a_process_that_calls_exec_is_told_as_two_programs(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "reloaded_server.py"]) as server:
        recorded_across_exec(server, tmp_path, seconds=2.4, before_s=0.9)
    told = report(tmp_path)
    are_two(told, server.pid)
    assert "block_after" in {f["blame"]["function"] for f in starving(told) if f["blame"]}
    both = {"block_before", "block_after"}
    before, after = recording(tmp_path / "rec").workers
    assert functions(before) & both == {"block_before"}
    assert functions(after) & both == {"block_after"}


@pytest.mark.slow
def test_both_programs_of_a_process_that_calls_exec_are_told(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "reloaded_server.py"]) as server:
        out = recorded_across_exec(server, tmp_path, seconds=6, before_s=1.5)
        server.read_log()
    assert "block_before" in out
    assert "block_after" in out
    told = report(tmp_path)
    are_two(told, server.pid)
    check(told, server)
    for form in REPORTS:
        assert run(tmp_path, "report", "rec", "--format", form)[::2] == (0, "")
    assert run(tmp_path, "flamegraph", "rec", "--weight", "wall", "-o", "f.svg")[::2] == (0, "")


def check(told: dict[str, Any], server: Target) -> None:
    """One finding a program, each with its own harms."""
    by_name = {finding["blame"]["function"]: finding for finding in starving(told)}
    assert by_name.keys() == {"block_before", "block_after"}, said(told)
    assert len(starving(told)) == 2, said(told)
    (exec_s,) = (line["exec"] for line in server.logged if "exec" in line)
    for name, again in (("block_before", False), ("block_after", True)):
        finding = by_name[name]
        truth = harms([line for line in server.logged if line.get("again") is again], told)
        assert finding["kind"] == "accept-backlog"
        assert finding["pids"] == [server.pid]
        assert finding["wait"]["call"] == "time.sleep"
        assert finding["longest_s"] == pytest.approx(0.5, abs=_NEAR_S), json.dumps(finding)
        assert len(truth) >= 2
        whole_s = sum(end - start for start, end in truth)
        # The first one may have begun before the process was looked at.
        assert finding["starved_s"] == pytest.approx(whole_s, abs=0.3), f"{truth} {said(told)}"
        for episode in finding["episodes"]:
            assert (episode["start_s"] > exec_s) == again, f"{exec_s} {said(told)}"
            assert again or episode["end_s"] < exec_s + _NEAR_S, f"{exec_s} {said(told)}"
