"""A server that starves nothing, and still does not answer some of its clients."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, target, waitspy

pytestmark = pytest.mark.ptrace

SERVER = (sys.executable, TARGETS / "silent_server.py")
SECONDS = 3.0


def ask(port: int, line: bytes | None, stack: contextlib.ExitStack) -> socket.socket:
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    if line is not None:
        client.sendall(line)
    return client


def test_clients_without_an_answer_are_told_though_nothing_starved(tmp_path: Path) -> None:
    with target(SERVER) as server, contextlib.ExitStack() as stack:
        port = server.ready["port"]
        asked_s = time.monotonic()
        for _ in range(3):
            ask(port, b"silent\n", stack)
        ask(port, None, stack)
        ask(port, b"hello\n", stack).recv(100)
        report = record(server.pid, tmp_path / "rec", seconds=SECONDS)
    assert report["findings"] == [], said(report)
    assert [worker["oracles"]["requests"] for worker in report["workers"]] == ["ok"]
    (owed,) = report["waiting"]["requests"]
    assert (owed["port"], owed["count"], owed["most"]) == (port, 3, 3)
    end_s = report["recording"]["monotonic_start_s"] + report["recording"]["duration_s"]
    assert owed["oldest_s"] == pytest.approx(end_s - asked_s, abs=0.2)
    text = waitspy("report", tmp_path / "rec").stdout
    assert f"but 3 requests on port {port} are owed an answer, the oldest for" in " ".join(
        text.splitlines()[:4]
    )
    assert "\nwhat waits\n" in text


def test_clients_that_are_answered_are_owed_nothing(tmp_path: Path) -> None:
    with target(SERVER) as server, contextlib.ExitStack() as stack:
        port = server.ready["port"]
        for _ in range(3):
            ask(port, b"hello\n", stack).recv(100)
        report = record(server.pid, tmp_path / "rec", seconds=2)
    assert report["waiting"]["requests"] == [{"port": port, "count": 0, "most": 0}]
