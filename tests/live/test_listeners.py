"""Which threads accept connections, where several might."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, starved_by_itself, starving, target
from tests.live.web import load
from tests.pythons import marks
from tests.remote.interpreters import Python, found
from waitspy.remote.end_users import ACCEPTS
from waitspy.remote.reader import Reader

pytestmark = pytest.mark.ptrace

TARGET = TARGETS / "served_beside.py"


@pytest.mark.parametrize(
    "python",
    [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()],
)
def test_which_threads_accept(python: Python) -> None:
    with target([python.path, str(TARGET), 0], env=python.environment) as process:
        ends, cases = Reader(process.pid).ends, process.ready["cases"]
        for name in ("served", "aside"):
            fd, tid = cases[name]
            while not (seen := ends.receiving(fd, names=ACCEPTS)):
                time.sleep(0.01)  # its thread has not begun
            assert [one.tid for one in seen] == [tid], name
        assert ends.receiving(cases["none"][0], names=ACCEPTS) == []


def test_the_thread_that_serves_is_blamed_and_not_the_main_thread(tmp_path: Path) -> None:
    with target([sys.executable, TARGET, 0.5]) as server, load(server.ready["port"], "/", 4):
        report = record(server.pid, tmp_path / "rec", seconds=3)
        serving = server.ready["cases"]["served"][1]
    (finding,) = starved_by_itself(report)
    assert (finding["kind"], finding["verdict"]) == ("accept-backlog", "starving"), said(report)
    assert finding["blame"]["function"] == "answer"
    assert finding["threads"] == [serving]
    assert finding["share"] > 0.7


@pytest.mark.alone
def test_a_quick_server_beside_such_a_main_thread_is_none(tmp_path: Path) -> None:
    with target([sys.executable, TARGET, 0]) as server, load(server.ready["port"], "/", 4):
        report = record(server.pid, tmp_path / "rec", seconds=3)
    assert starving(report) == [], said(report)
