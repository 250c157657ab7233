"""Twisted's reactor is an event loop whose tasks cannot be read: its sockets tell who waits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, starved_by_itself, target
from tests.live.web import load

pytestmark = pytest.mark.ptrace


def test_a_call_that_blocks_the_reactor_is_blamed(tmp_path: Path) -> None:
    server = [sys.executable, TARGETS / "twisted_server.py", "blocks"]
    with target(server) as process, load(process.ready["port"], "/", concurrency=4):
        report = record(process.pid, tmp_path / "rec")
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "blocked-loop", said(report)
    assert finding["blame"]["function"] == "fetch_price", said(report)
    assert "deferToThread" in finding["remedy"] or "deferLater" in finding["remedy"]
    assert "asyncio" not in finding["remedy"]


def test_a_reactor_that_serves_is_silent(tmp_path: Path) -> None:
    server = [sys.executable, TARGETS / "twisted_server.py", "healthy"]
    with target(server) as process, load(process.ready["port"], "/", concurrency=2):
        report = record(process.pid, tmp_path / "rec", seconds=2.0)
    assert starved_by_itself(report) == [], said(report)
