"""What a user can get wrong: each ends with one line of what and one line of what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.session import (
    nothing_left_behind,
    run,
    running_target,
    said_well,
)
from tests.live.started import started


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture(scope="module")
def target() -> Iterator[subprocess.Popen[str]]:
    with running_target() as process:
        yield process


def ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def refused(folder: Path, *args: object, parts: tuple[str, ...] = ()) -> str:
    """Runs into an error of the tool: exit 1, two lines, no recording."""
    code, out, err = run(folder, *args)
    assert (code, out) == (1, "")
    said_well(err, *parts)
    assert os.listdir(folder) == []
    return err


@pytest.mark.parametrize("command", [("workers",), ("record", "-d", "1")])
def test_no_such_pid(tmp_path: Path, command: tuple[str, ...]) -> None:
    pid = ended_pid()
    refused(tmp_path, *command, pid, parts=(str(pid),))


def test_a_pid_that_is_not_python(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        refused(
            tmp_path,
            "record",
            sleeper.pid,
            parts=(str(sleeper.pid), "neither a Python nor a Node.js process"),
        )
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_port_that_nobody_listens_on(tmp_path: Path) -> None:
    port = free_port()
    refused(tmp_path, "record", f":{port}", parts=(str(port), "listen"))


@pytest.mark.parametrize("port", [":0", ":99999", ":http", ":"])
def test_what_is_no_port(tmp_path: Path, port: str) -> None:
    refused(tmp_path, "record", port, parts=(port, ":8000"))


def test_a_pattern_that_matches_nothing(tmp_path: Path) -> None:
    refused(tmp_path, "record", "no-such-server-anywhere", parts=("no-such-server-anywhere",))


def test_a_pattern_that_matches_several(tmp_path: Path) -> None:
    mark = f"several-{os.getpid()}"
    script = "print('ready', flush=True); import time; time.sleep(60)"
    # Two parents, or they would be one service.
    first, second = (
        ["sh", "-c", f"'{sys.executable}' -c \"{script}\" {mark} {which}; :"]
        for which in ("one", "two")
    )
    with started(first), started(second):
        err = refused(tmp_path, "record", f"{mark} (one|two)$", parts=("matches 2", "PID"))
    assert mark in err


def test_waitspy_does_not_find_itself(tmp_path: Path) -> None:
    refused(tmp_path, "record", "a-word-only-in-my-own-arguments")


def test_an_empty_target(tmp_path: Path) -> None:
    refused(tmp_path, "record", "")


# --- --fail-on -------------------------------------------------------------------------------------

STARVING = """
import asyncio, sys, threading, time

async def serve(reader, writer):
    while await reader.read(1):
        pass

def block():
    time.sleep(0.4)
    asyncio.get_running_loop().call_later(0.1, block)

def ask(port):
    import socket
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while True:
            connection.send(b"x")
            time.sleep(0.02)

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    threading.Thread(target=ask, args=(port,), daemon=True).start()
    asyncio.get_running_loop().call_later(0.1, block)
    print("ready", flush=True)
    await asyncio.sleep(float(sys.argv[1]))

asyncio.run(main())
sys.exit(int(sys.argv[2]))
"""


@pytest.mark.ptrace
def test_fail_on_exits_3_only_when_it_is_met(tmp_path: Path) -> None:
    with started([sys.executable, "-c", STARVING, "60", "0"]) as (process, _):
        common = ("record", process.pid, "-d", "1", "--fail-on")
        met, out, _ = run(tmp_path, *common, "any", "-o", "any")
        unmet, _, _ = run(tmp_path, *common, "blocked-loop:99", "--fail-on", "gil-bound")
    assert "block" in out
    assert (met, unmet) == (3, 0)


@pytest.mark.ptrace
@pytest.mark.parametrize(("own", "code"), [(0, 3), (7, 7)])
def test_a_commands_own_code_comes_first(tmp_path: Path, own: int, code: int) -> None:
    argv = (sys.executable, "-c", STARVING, "1.5", own)
    assert run(tmp_path, "record", "--fail-on", "any", "--", *argv)[0] == code


@pytest.mark.ptrace
def test_fail_on_says_where_nothing_could_have_starved(tmp_path: Path) -> None:
    code, out, err = run(
        tmp_path,
        "record",
        "--fail-on",
        "any",
        "--",
        sys.executable,
        "-c",
        "import time; time.sleep(1)",
    )
    assert code == 0
    assert out.startswith("starvation could not be judged: no event loop")
    assert "nothing was watched that could have starved" in err
