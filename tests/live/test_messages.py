"""Threads that read messages from connections which their process has opened itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, starving, target

pytestmark = pytest.mark.ptrace

TARGET = TARGETS / "messages.py"


@pytest.mark.parametrize("kind", ["held-up", "behind"])
def test_messages_lie_unread_while_their_reader_is_held_up(kind: str, tmp_path: Path) -> None:
    with target([sys.executable, TARGET, kind]) as process:
        report = record(process.pid, tmp_path / "rec", seconds=6)
        port = process.ready["ports"][kind]
    assert starving(report) == [], said(report)
    (told,) = report["waiting"]["messages"]
    assert told["peer"] == f"127.0.0.1:{port}"
    assert told["longest_s"] >= 1
    reader = told["reader"]
    assert (reader["function"], reader["source"].strip()) == ("work", "time.sleep(WORK_S)")
    assert reader["awaits"].startswith("time.sleep")


def test_what_may_lie_unread_is_not_told(tmp_path: Path) -> None:
    kinds = ["prompt", "farewell", "ticket", "rows", "download"]
    with target([sys.executable, TARGET, *kinds]) as process:
        report = record(process.pid, tmp_path / "rec", seconds=6)
    assert starving(report) == [], said(report)
    assert "messages" not in report["waiting"], report["waiting"]["messages"]
