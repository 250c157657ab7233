"""Runs targets and waitspy as a user would, and reads what both say."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import psutil

from waitspy.kernel import procfs
from waitspy.model import syscalls
from waitspy.render.reports.json_report import schema

TARGETS = Path(__file__).parent / "targets"
ROOT = Path(__file__).parents[2]
WAITSPY = (sys.executable, "-m", "waitspy")
_PATIENCE_S = 60.0


@dataclass
class Target:
    """A started target: what its first line said, and what it has logged since."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    logged: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def read_log(self, pid: int | None = None) -> list[dict[str, Any]]:
        """Ends the target, or that process of it, and gives everything that it has logged."""
        os.kill(pid or self.pid, signal.SIGTERM)
        out, _ = self.process.communicate(timeout=_PATIENCE_S)
        self.logged += [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return self.logged


@contextlib.contextmanager
def target(argv: Sequence[object], **more: Any) -> Iterator[Target]:
    """Starts a target and waits for its first line, a JSON object; stops its whole tree after."""
    process = subprocess.Popen(
        [str(part) for part in argv],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **{"stdin": subprocess.DEVNULL, **more},
    )
    try:
        yield Target(process, json.loads(_first_line(process)))
    finally:
        stop_tree(process.pid)
        with contextlib.suppress(ProcessLookupError):  # children that outlived it
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextlib.contextmanager
def client(port: int, *, connections: int = 2, gap_s: float = 0.005) -> Iterator[None]:
    """A process that keeps asking a target's line server, so that there is always I/O to serve."""
    argv = [sys.executable, str(TARGETS / "client.py"), str(port), str(connections), str(gap_s)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        _first_line(process)
        yield
    finally:
        stop_tree(process.pid)
        process.communicate()


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(_PATIENCE_S):
            raise TimeoutError(f"{process.args!r} did not get ready")
    line = process.stdout.readline()
    assert line, f"{process.args!r} ended with {process.wait()}"
    return line


def stop_tree(pid: int) -> None:
    """Ends a process and all below it, also when it replaces workers that die."""
    tree: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        found = [psutil.Process(pid)]
        while found:  # stopped, nobody can start another one
            for one in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGSTOP)
            tree += found
            found = [one for one in tree[0].children(recursive=True) if one not in tree]
    for one in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(tree, timeout=_PATIENCE_S)


def waitspy(*args: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command line to its end."""
    return subprocess.run(
        [*WAITSPY, *(str(arg) for arg in args)],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S * 2,
        check=False,
        cwd=ROOT,
        **more,
    )


def record(what: object, folder: Path, *options: object, seconds: float = 3.0) -> dict[str, Any]:
    """Records a target and gives the JSON report, checked against its schema."""
    done = waitspy("record", what, "-d", seconds, "-o", folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_report(folder)


def read_report(folder: Path) -> dict[str, Any]:
    done = waitspy("report", folder, "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    assert isinstance(report, dict)
    return report


def starving(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [f for f in report["findings"] if f["verdict"] == "starving"]


def said(report: dict[str, Any]) -> str:
    """The findings in short, for assertion messages."""
    return json.dumps(
        [
            {k: f.get(k) for k in ("kind", "verdict", "blame", "wait", "starved_s", "episodes")}
            for f in report["findings"]
        ],
        indent=1,
    )


def wait_until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


def starved_by_itself(report: dict[str, Any]) -> list[dict[str, Any]]:
    """What starves but for the CPU, which tests beside this one may take: where one is not alone."""
    return [f for f in starving(report) if f["kind"] != "no-cpu"]


def futexes(pid: int) -> dict[int, int]:
    """The address at which each thread waits that does so in a futex."""
    found = {}
    for tid in procfs.threads(pid):
        with open(f"/proc/{pid}/task/{tid}/syscall") as file:
            number, *arguments = file.read().split()
        if number.isdigit() and syscalls.name(int(number), os.uname().machine) == "futex":
            found[tid] = int(arguments[0], 16)
    return found
