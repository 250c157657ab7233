"""Selectors that are no event loop of a library: only where clients wait is something starved."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, client, record, said, starved_by_itself, starving, target

pytestmark = pytest.mark.ptrace


@pytest.mark.alone
def test_a_consumer_that_works_on_its_messages_starves_nobody(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "own_selector.py", "client"]) as consumer:
        report = record(consumer.pid, tmp_path / "rec")
    assert starving(report) == [], said(report)


def test_a_server_with_a_select_loop_of_its_own_starves_its_clients(tmp_path: Path) -> None:
    with (
        target([sys.executable, TARGETS / "own_selector.py", "server"]) as server,
        client(server.ready["port"]),
    ):
        report = record(server.pid, tmp_path / "rec")
    (finding,) = starved_by_itself(report)
    assert finding["kind"] == "blocked-loop", said(report)
    assert finding["blame"]["function"] == "answer_slowly", said(report)
    assert finding["wait"]["call"] == "time.sleep"
    assert finding["longest_s"] == pytest.approx(0.5, abs=0.1)
