"""Threads that wait for connections of a pool, from the recording to the report; and harmless twins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.running import TARGETS, WAITSPY, record, said, starved_by_itself, target

pytestmark = pytest.mark.ptrace


def recorded(story: str, folder: Path, seconds: float = 3) -> dict[str, Any]:
    with target([sys.executable, TARGETS / "connections.py", story]) as program:
        return record(program.pid, folder, seconds=seconds)


def test_connections_kept_over_a_slow_call_blame_that(tmp_path: Path) -> None:
    report = recorded("held", tmp_path / "rec")
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-connections", said(report)
    assert finding["blame"]["function"] == "ask_model"
    assert finding["detail"] == "QueuePool: 3 of 3 connections are lent"
    lending = finding["lending"]
    assert (lending["pool"], lending["limit"], lending["lent"]) == ("QueuePool", 3, 3)
    assert lending["waiting"]["kind"] == "thread"
    assert 3 <= lending["waiting"]["count"] <= 5
    told = {(to["function"], to["how"]) for to in lending["to"]}
    assert ("ask_model", "with") in told
    waiter, root = finding["chain"]
    assert waiter["waits_for"]["kind"] == "connections"
    assert waiter["waits_for"]["taken"]["source"] == "with Session(engine) as db:"
    assert (root["function"], root["source"]) == ("ask_model", "time.sleep(HELD_S)")
    text = subprocess.check_output([*WAITSPY, "report", tmp_path / "rec"], text=True)
    assert "of 3 held by ask_model" in text


def test_a_variable_that_leads_to_a_connection_is_a_hint(tmp_path: Path) -> None:
    report = recorded("variable", tmp_path / "rec")
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-connections", said(report)
    assert finding["blame"]["function"] == "ask_model"
    assert finding["blame"]["hint"] is True
    text = subprocess.check_output([*WAITSPY, "report", tmp_path / "rec"], text=True)
    assert "held by ask_model" in text
    assert "to be held by ask_model" in text


def test_connections_that_were_kept_elsewhere_are_lent_to_nobody_known(tmp_path: Path) -> None:
    report = recorded("leaked", tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-connections", said(report)
    assert finding["detail"].endswith("to whom is not known")
    assert finding["blame"]["function"] == "leaked"
    assert finding["lending"]["to"] == []


def test_threads_that_have_all_and_want_another_are_a_deadlock(tmp_path: Path) -> None:
    report = recorded("nested", tmp_path / "rec", seconds=2)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "deadlock", said(report)
    assert {link["function"] for link in finding["chain"]} == {"nested"}


@pytest.mark.parametrize("story", ["given_back", "batch"])
def test_what_waits_for_no_connection_or_on_purpose_is_no_finding(
    story: str, tmp_path: Path
) -> None:
    report = recorded(story, tmp_path / "rec")
    assert starved_by_itself(report) == [], said(report)
    assert [f for f in report["findings"] if f["verdict"] == "late"] == []


def test_connections_that_suspended_requests_keep_are_theirs(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "lent_to_tasks.py"]) as program:
        report = record(program.pid, tmp_path / "rec", seconds=3)
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "exhausted-connections", said(report)
    assert finding["blame"]["function"] == "query"
    assert finding["lending"]["waiting"] == {"kind": "thread", "count": 3}
    (lent,) = finding["lending"]["to"]
    assert (lent["what"], lent["count"], lent["how"]) == ("task", 3, "with")
    assert lent["function"] in {"get_db", "answer"}
