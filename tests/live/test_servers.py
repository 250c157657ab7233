"""A real server: gunicorn with uvicorn workers, found by its port, under load."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.running import (
    ROOT,
    TARGETS,
    client,
    record,
    said,
    starving,
    stop_tree,
    target,
    wait_until,
)

pytestmark = pytest.mark.ptrace

_BLOCKING = "    time.sleep(0.5)"


@contextlib.contextmanager
def gunicorn(loop: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    worker = (
        "uvicorn.workers.UvicornWorker" if loop == "uvloop" else "uvicorn.workers.UvicornH11Worker"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-w", "4", "-k", worker, "-b", f"127.0.0.1:{port}",
         "tests.live.targets.fastapi_app:app"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        ready = 0
        while ready < 4:
            line = process.stderr.readline()
            assert line, "gunicorn ended"
            ready += "Application startup complete" in line
        yield port
    finally:
        stop_tree(process.pid)
        process.communicate()


@contextlib.contextmanager
def load(port: int, path: str) -> Iterator[None]:
    argv = [sys.executable, TARGETS / "http_load.py", str(port), path, "12"]
    with target(argv):
        yield


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_blocking_endpoint_is_one_finding_over_all_workers(loop: str, tmp_path: Path) -> None:
    with gunicorn(loop) as port, load(port, "/blocking"):
        report = record(f":{port}", tmp_path / "rec", seconds=10)
    (finding,) = starving(report)
    assert finding["kind"] == "blocked-loop", said(report)
    assert finding["blame"]["function"] == "blocking"
    assert finding["blame"]["source"] == "time.sleep(0.5)"
    line = (TARGETS / "fastapi_app.py").read_text().splitlines()[finding["blame"]["line"] - 1]
    assert line == _BLOCKING
    workers = {w["pid"] for w in report["workers"] if w["role"] == "worker"}
    assert len(workers) == 4
    assert set(finding["pids"]) == workers, said(report)
    assert finding["wait"]["call"] == "time.sleep"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_the_same_endpoint_that_awaits_gives_no_finding(loop: str, tmp_path: Path) -> None:
    with gunicorn(loop) as port, load(port, "/awaiting"):
        report = record(f":{port}", tmp_path / "rec", seconds=6)
    assert report["findings"] == [], said(report)


def test_a_stopped_server_had_no_cpu(tmp_path: Path) -> None:
    """SIGSTOP for half a second: late, but never blamed on the program."""
    argv = [sys.executable, TARGETS / "loop_server.py", "healthy", "0", "0.2"]
    with target(argv) as server, client(server.ready["port"]):
        stopper = subprocess.Popen(
            [sys.executable, TARGETS / "stopper.py", str(server.pid), "0.5", "0.7"],
            stdout=subprocess.PIPE,
        )
        try:
            report = record(server.pid, tmp_path / "rec", seconds=4)
        finally:
            stop_tree(stopper.pid)
            stopper.communicate()
            wait_until(lambda: server.process.poll() is None, "the server lives")
    (finding,) = starving(report)
    assert finding["kind"] == "no-cpu", said(report)
    assert finding["blame"] is None
    assert finding["longest_s"] == pytest.approx(0.5, abs=0.1)
