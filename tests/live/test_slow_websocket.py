"""A task that waits for room in a connection of websockets, whose peer does not read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, target

pytestmark = pytest.mark.ptrace


def test_the_peer_that_does_not_read_is_told(tmp_path: Path) -> None:
    with target([sys.executable, TARGETS / "slow_websocket.py"]) as process:
        report = record(process.pid, tmp_path / "rec", seconds=3)
        port = process.ready["port"]
    places = {place["function"]: place for place in report["waiting"]["places"]}
    unsent = places["sends"]["unsent"]
    assert (unsent["peer"], unsent["reads"]) == (f"127.0.0.1:{port}", False)
    assert unsent["bytes"] > 10_000
