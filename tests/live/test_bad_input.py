"""What a user can get wrong: each ends with one line of what and one line of what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live.session import (
    environment,
    load,
    losses,
    run,
    running_target,
    said_well,
)
from tests.live.started import started


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    yield
    after = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
    assert not after


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
        refused(tmp_path, "record", sleeper.pid, parts=(str(sleeper.pid), "not a Python process"))
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


def test_an_output_that_exists(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "precious").write_text("mine")
    code, _, err = run(tmp_path, "record", target.pid, "-d", "0.2", "-o", "rec")
    assert code == 1
    said_well(err, "rec", "exists", "-o")
    assert os.listdir(tmp_path / "rec") == ["precious"]


def test_an_output_inside_a_file(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    (tmp_path / "file").write_text("mine")
    code, _, err = run(tmp_path, "record", target.pid, "-d", "0.2", "-o", "file/rec")
    assert code == 1
    said_well(err, "file/rec", "-o")


def test_a_command_is_not_started_when_its_recording_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    code, _, err = run(tmp_path, "record", "-o", "rec", "--", "touch", "started")
    assert code == 1
    said_well(err, "exists")
    assert not (tmp_path / "started").exists()


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


# --- py-spy ----------------------------------------------------------------------------------------


def other_python(folder: Path, pyspy: str | None) -> tuple[list[str], dict[str, str]]:
    """A Python that finds this py-spy (a script) beside it, or none; and its environment."""
    tools = folder / "bin"
    tools.mkdir()
    (tools / "python").symlink_to(os.path.realpath(sys.executable))
    if pyspy is not None:
        (tools / "py-spy").write_text(pyspy)
        (tools / "py-spy").chmod(0o755)
    packages = Path(pytest.__file__).parents[1]
    home = os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))
    env = environment(PATH="/usr/bin:/bin", PYTHONHOME=home)
    env["PYTHONPATH"] += f":{packages}"
    return [str(tools / "python"), "-m", "waitspy"], env


def run_with(folder: Path, pyspy: str | None, *args: object) -> subprocess.CompletedProcess[str]:
    argv, env = other_python(folder, pyspy)
    return subprocess.run(
        [*argv, *(str(arg) for arg in args)],
        cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_without_pyspy(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    assert shutil.which("py-spy", path="/usr/bin:/bin") is None
    done = run_with(tmp_path, None, "record", target.pid, "-d", "1", "-o", "rec")
    assert (done.returncode, done.stdout) == (1, "")
    said_well(done.stderr, "py-spy", "pip install py-spy")
    assert not (tmp_path / "rec").exists()


REFUSING = """#!/bin/sh
echo 'Error: this machine is not for me' >&2
exit 1
"""
DYING = """#!/bin/sh
kill -SEGV $$
"""


@pytest.mark.ptrace
@pytest.mark.parametrize(
    ("seconds", "pyspy", "why"),
    [
        ("0.1", REFUSING, "this machine is not for me"),
        ("0.1", DYING, "SIGSEGV"),
        ("3.5", REFUSING, "this machine is not for me"),  # time for five attempts
    ],
    ids=["refuses", "dies", "refuses for long"],
)
def test_a_pyspy_that_fails_is_a_loss(
    tmp_path: Path, target: subprocess.Popen[str], seconds: str, pyspy: str, why: str
) -> None:
    done = run_with(tmp_path, pyspy, "record", target.pid, "-d", seconds, "-o", "rec")
    assert (done.returncode, done.stderr) == (0, "")
    recording = load(tmp_path / "rec")
    (told,) = losses(recording)
    assert f"stacks of pid {target.pid}" in told
    assert why in told
    assert why in done.stdout
    # What needs no py-spy is there.
    assert recording.workers[0].states


@pytest.mark.ptrace
def test_a_pyspy_that_is_no_program(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    done = run_with(tmp_path, "#!/no/such/shell\n", "record", target.pid, "-d", "0.2", "-o", "rec")
    assert done.returncode == 0
    told = losses(load(tmp_path / "rec"))
    assert [line for line in told if "cannot be started" in line], told


@pytest.mark.ptrace
def test_one_worker_that_pyspy_refuses_does_not_stop_the_others(tmp_path: Path) -> None:
    script = (
        "import os, time\n"
        "first = os.fork()\n"
        "second = first and os.fork()\n"
        "if second: print('ready', first, second, flush=True)\n"
        "time.sleep(60)\n"
    )
    with started([sys.executable, "-c", script], ready="ready") as (process, line):
        refused_pid = line.split()[1]
        spy = shutil.which("py-spy", path=os.path.dirname(sys.executable))
        choosy = (
            "#!/bin/sh\n"
            f'case " $* " in *" {refused_pid} "*) echo "Error: not this one" >&2; exit 1;; esac\n'
            f'exec {spy} "$@"\n'
        )
        done = run_with(tmp_path, choosy, "record", process.pid, "-d", "1.5", "-o", "rec")
    assert done.returncode == 0, done.stderr
    recording = load(tmp_path / "rec")
    assert len(recording.workers) == 3
    sampled = {w.worker.pid for w in recording.workers if w.segments}
    assert len(sampled) == 2
    assert int(refused_pid) not in sampled
    assert [loss.pid for loss in recording.losses] == [int(refused_pid)]
    assert "not this one" in done.stdout


def test_the_doctor_says_what_is_wrong_with_pyspy(tmp_path: Path) -> None:
    done = run_with(tmp_path, REFUSING, "doctor")
    assert done.returncode == 1
    assert "this machine is not for me" in done.stdout
