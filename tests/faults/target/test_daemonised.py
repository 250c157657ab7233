"""A server daemonises: it forks twice, and the process that was started ends.

By pid or port the daemon is recorded like any other server. A command of waitspy's that does so ends for it with its
own exit code; what it has started is left alone, and told where it is known.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.target.served import BLOCKED, SERVER, answers, blocks, lost, recorded, untouched
from tests.live.running import client, stop_tree, wait_until
from tests.live.session import load, run, session

DAEMON = """
import os, runpy, sys, time
told, script, *arguments = sys.argv[1:]
time.sleep(0.3)
if os.fork():
    os._exit(9)
os.setsid()
if os.fork():
    os._exit(0)
os.dup2(os.open(told, os.O_CREAT | os.O_WRONLY), 1)
os.dup2(1, 2)
print('{"pid": %d}' % os.getpid(), flush=True)
sys.argv[:] = [script, *arguments]
runpy.run_path(script, run_name="__main__")
"""


def command(told: Path) -> tuple[str, ...]:
    return sys.executable, "-c", DAEMON, str(told), str(SERVER), *BLOCKED


@contextlib.contextmanager
def told_in(path: Path) -> Iterator[tuple[int, int]]:
    """Pid and port of the daemon, once it serves; afterwards it is ended."""
    wait_until(lambda: path.exists() and path.read_text().count("\n") == 2, "no daemon")
    first, second = path.read_text().splitlines()
    pid = int(json.loads(first)["pid"])
    try:
        yield pid, int(json.loads(second)["port"])
    finally:
        stop_tree(pid)


@pytest.mark.parametrize("by", ["pid", pytest.param("port", marks=pytest.mark.slow)])
def test_a_daemon_is_recorded(tmp_path: Path, by: str) -> None:
    # Any way to run a command to its end.
    with session(tmp_path, *command(tmp_path / "told"), waitspy=()) as first:
        assert first.wait(60) == 9
    with told_in(tmp_path / "told") as (pid, port), client(port):
        assert psutil.Process(pid).ppid() != first.pid
        told = recorded(tmp_path, pid if by == "pid" else f":{port}")
        blocks(tmp_path, told, pid)
        assert lost(told) == []
        untouched(pid)
        answers(port)


def test_a_command_that_daemonises_ends_and_its_daemon_goes_on(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "record", "-o", "rec", "--", *command(tmp_path / "told"))
    with told_in(tmp_path / "told") as (pid, port):
        answers(port)
        untouched(pid)
    assert code == 9
    assert "exited with code 9" in out
    assert not err or f"waitspy record {pid}" in err  # where it was seen below the command
    assert load(tmp_path / "rec").losses == ()


def test_workers_that_outlive_the_command_are_named_and_left_alone(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\n"
        "if child := os.fork():\n"
        "    print('child', child, flush=True); time.sleep(0.5); sys.exit(9)\n"
        "os.close(1); os.close(2); time.sleep(60)\n"
    )
    code, out, err = run(tmp_path, "record", "-o", "rec", "--", sys.executable, "-c", script)
    child = psutil.Process(int(out.split()[1]))
    try:
        assert code == 9
        assert child.is_running()
        assert child.status() in {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}
        assert f"waitspy record {child.pid}" in err
        assert {w.worker.pid for w in load(tmp_path / "rec").workers} >= {child.pid}
    finally:
        child.kill()
        child.wait()
