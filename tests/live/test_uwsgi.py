"""uWSGI's workers: it forks without telling Python, and accepts in C."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, said, starving, stop_tree
from tests.live.web import free_port, load
from waitspy.target import discover

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_WORKERS = 2


@contextlib.contextmanager
def uwsgi(*options: str) -> Iterator[tuple[int, int]]:
    """A master and its workers; gives pid and port."""
    port = free_port()
    argv = ["uwsgi_python3", "--http-socket", f"127.0.0.1:{port}", "--processes", str(_WORKERS)]
    argv += ["--master", "--wsgi-file", str(TARGETS / "wsgi_bank.py"), *options]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        seen = 0
        while seen < _WORKERS:
            line = process.stderr.readline()
            assert line, "uwsgi ended"
            seen += "spawned uWSGI worker" in line
        yield process.pid, port
    finally:
        stop_tree(process.pid)
        process.communicate()


@pytest.mark.parametrize(
    "options",
    [(), pytest.param(("--enable-threads",), marks=pytest.mark.slow)],
    ids=["", "threads"],
)
def test_a_slow_call_keeps_all_workers_from_accepting(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with uwsgi(*options) as (pid, port), load(port, "/"):
        report = record(f":{port}", tmp_path / "rec")
        assert [worker.role for worker in discover.find(str(pid))] == ["master", "worker", "worker"]
    (finding,) = starving(report)
    assert finding["kind"] == "accept-backlog", said(report)
    assert finding["blame"]["function"] == "ask_the_bank", said(report)
    assert finding["blame"]["line"] == 13, said(report)
    assert len(finding["pids"]) == _WORKERS
    assert [loss for loss in report["losses"] if loss.get("pid")] == []


def test_workers_that_nobody_asks_are_silent(tmp_path: Path) -> None:
    with uwsgi() as (_, port):
        report = record(f":{port}", tmp_path / "rec", seconds=2.0)
    assert starving(report) == []
    assert [loss for loss in report["losses"] if loss.get("pid")] == []
