"""Threads that read datagrams by themselves: who they are, and whether they let some lie."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, starved_by_itself, starving, target
from tests.pythons import marks
from tests.remote.interpreters import Python, found
from waitspy.remote.memory import Torn
from waitspy.remote.reader import Reader

pytestmark = pytest.mark.ptrace

TARGET = TARGETS / "datagrams.py"


@pytest.mark.parametrize(
    "python",
    [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()],
)
def test_which_threads_read_datagrams(python: Python) -> None:
    with target([python.path, str(TARGET), "readers"], env=python.environment) as process:
        ends, cases = Reader(process.pid).ends, process.ready["cases"]
        for name in ("attribute", "global", "variable"):
            fd, tid = cases[name]
            while not (seen := ends.receiving(fd)):
                time.sleep(0.01)  # its thread has not begun
            assert [(one.tid, one.asks) for one in seen] == [(tid, False)], name
        fd, tid = cases["client"]
        assert [(one.tid, one.asks) for one in ends.receiving(fd)] == [(tid, True)]
        assert ends.receiving(cases["none"][0]) == []
        with pytest.raises(Torn):
            ends.receiving(fd, 0)


def test_datagrams_lie_unread_while_their_only_reader_sleeps(tmp_path: Path) -> None:
    with target([sys.executable, TARGET, 0.5]) as process:
        report = record(process.pid, tmp_path / "rec", seconds=2)
        port = process.ready["port"]
    (finding,) = starved_by_itself(report)
    assert (finding["kind"], finding["verdict"]) == ("accept-backlog", "starving"), said(report)
    assert finding["blame"]["function"] == "handle"
    name = f"datagrams unread on UDP 127.0.0.1:{port}"
    assert {(v["kind"], v["name"]) for v in finding["victims"]} == {("io", name)}
    assert finding["share"] > 0.7


def test_a_reader_that_keeps_up_lets_none_lie(tmp_path: Path) -> None:
    with target([sys.executable, TARGET, 0.01]) as process:
        report = record(process.pid, tmp_path / "rec", seconds=2)
    assert starving(report) == [], said(report)
    assert "unread" not in report["waiting"]
