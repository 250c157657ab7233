"""The databases of the scenarios: they answer, keep to themselves, and nothing of them stays."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.live.running import wait_until
from waitspy_scenarios.serving.databases import start_postgres, start_redis
from waitspy_scenarios.serving.needs import find_command
from waitspy_scenarios.serving.stage import Stage

ROOT = Path(__file__).resolve().parents[2]

_needs_redis = pytest.mark.skipif(not find_command("redis-server"), reason="needs redis-server")
_needs_postgres = pytest.mark.skipif(not find_command("postgres"), reason="needs postgresql")

# PostgreSQL's: length, protocol 3.0, user and its database; it answers R(equest to authenticate).
_STARTUP = b"\0\0\0\x17\0\3\0\0user\0postgres\0\0"

each_database = pytest.mark.parametrize(
    ("start", "hello", "answer"),
    [
        pytest.param(start_redis, b"PING\r\n", b"+PONG", marks=_needs_redis),
        pytest.param(start_postgres, _STARTUP, b"R", marks=_needs_postgres),
    ],
    ids=["redis", "postgres"],
)

_PLAY = """
import sys
from waitspy_scenarios.serving.databases import {start}
from waitspy_scenarios.serving.stage import make_parser, run

async def play(stage):
    await {start}(stage)
    await stage.load()

sys.exit(run(play, make_parser("a story")))
"""


def ask(port: int, hello: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(hello)
        return connection.recv(5)


@each_database
def test_it_answers_and_leaves_nothing_behind(
    start: Callable[[Stage], Awaitable[int]],
    hello: bytes,
    answer: bytes,
) -> None:
    folders: list[Path] = []

    class WatchedStage(Stage):
        def folder(self) -> Path:
            folders.append(super().folder())
            return folders[-1]

    async def play() -> int:
        async with WatchedStage(argparse.Namespace()) as stage:
            port = await start(stage)
            assert ask(port, hello).startswith(answer)
        return port

    port = asyncio.run(play())
    assert [folder for folder in folders if folder.exists()] == []
    assert len(folders) == 1
    with pytest.raises(ConnectionRefusedError):
        ask(port, hello)


@each_database
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_the_program(
    start: Callable[[Stage], Awaitable[int]],
    hello: bytes,
    answer: bytes,
    number: int,
) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)  # pytest's own are closed to PostgreSQL's user
        process = subprocess.Popen(
            [sys.executable, "-c", _PLAY.format(start=start.__name__)],
            env={**os.environ, "TMPDIR": folder},
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        line = process.stderr.readline()
        pid = int(line.rpartition("=")[2].partition(";")[0])
        process.send_signal(number)
        process.communicate(timeout=60)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the server lives")
