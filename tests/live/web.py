"""The FastAPI app of the tests under its servers, and clients that keep asking."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tests.live.running import ROOT, TARGETS, stop_tree, target
from tests.remote.interpreters import Python

_APP = "tests.live.targets.fastapi_app:app"


@contextlib.contextmanager
def gunicorn(loop: str) -> Iterator[int]:
    """Four uvicorn workers under gunicorn, on ``asyncio`` or ``uvloop``; gives the port."""
    worker = (
        "uvicorn.workers.UvicornWorker" if loop == "uvloop" else "uvicorn.workers.UvicornH11Worker"
    )
    port = free_port()
    argv = ["gunicorn", "-w", "4", "-k", worker, "-b", f"127.0.0.1:{port}", _APP]
    with _server(argv, "Application startup complete", times=4):
        yield port


@contextlib.contextmanager
def uvicorn(python: Python | None = None) -> Iterator[tuple[int, int]]:
    """One uvicorn, on that interpreter instead of ours; gives its pid and port."""
    port = free_port()
    argv = ["uvicorn", "--port", str(port), _APP]
    with _server(argv, "Uvicorn running", times=1, python=python) as pid:
        yield pid, port


@contextlib.contextmanager
def load(port: int, path: str, concurrency: int = 12, pause_s: float = 0) -> Iterator[None]:
    """So many clients, each with one request at a time, and so long a pause after it."""
    with target([sys.executable, TARGETS / "http_load.py", port, path, concurrency, pause_s]):
        yield


@contextlib.contextmanager
def _server(
    argv: Sequence[str], ready: str, *, times: int, python: Python | None = None
) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable if python is None else python.path, "-m", *argv],
        cwd=ROOT,
        env=None if python is None else python.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        seen = 0
        while seen < times:
            line = process.stderr.readline()
            assert line, f"{argv[0]} ended"
            seen += line.count(ready)
        yield process.pid
    finally:
        stop_tree(process.pid)
        process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
