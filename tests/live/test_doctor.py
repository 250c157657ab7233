"""waitspy.target.doctor on a real target: rights, descriptors, and stacks that are really read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.running import ROOT, WAITSPY
from tests.live.started import started
from waitspy.kernel import procfs
from waitspy.target import doctor, interpreter

pytestmark = pytest.mark.ptrace

LOOP = """
import asyncio, sys
def wait():
    print('ready', flush=True)
    sys.stdin.read()
async def main():
    await asyncio.get_running_loop().run_in_executor(None, wait)
asyncio.run(main())
"""


def checks_of(pid: int) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.examine(str(pid))}


def test_a_server_with_an_event_loop() -> None:
    with started([sys.executable, "-c", LOOP]) as (process, _):
        checks = checks_of(process.pid)
        assert checks["target"].status == "ok"
        assert checks["target"].found == "processes: 1, Python: 1, attachable: 1"
        worker = checks[f"pid {process.pid}"]
        assert worker.status == "ok"
        version = ".".join(map(str, sys.version_info[:3]))
        for part in ("worker", f"CPython {version}", "1 epoll descriptor", "waitspy's network"):
            assert part in worker.found
        stacks = checks[f"pid {process.pid} stacks"]
        assert (stacks.status, stacks.found) == ("ok", "read 2 of 2 threads")
        others = checks[f"pid {process.pid} stacks by py-spy"]
        assert (others.status, others.found) == ("ok", "py-spy read 2 threads")
        assert procfs.read_stat(process.pid).state not in "tT", "it was not left stopped"
        assert procfs.read_status(process.pid).tracer_pid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_right_to_read_memory_alone_is_not_enough_for_another_users_process() -> None:
    nobody = (
        "import ctypes, os, sys; os.setresuid(65534, 65534, 65534)\n"
        "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"  # PR_SET_DUMPABLE, which setresuid takes away
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    only_ptrace = ["setpriv", "--inh-caps", "-all", "--bounding-set", "-all,+sys_ptrace"]
    with started([sys.executable, "-c", nobody]) as (process, _):
        done = subprocess.run(
            [*only_ptrace, *WAITSPY, "doctor", str(process.pid)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "attachable: 0" in done.stdout
    assert "not its files in /proc" in done.stdout
    assert "CAP_DAC_READ_SEARCH" in done.stdout


@pytest.mark.parametrize("own", [False, True])
def test_stacks_that_nobody_can_read_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    broken = tmp_path / "py-spy"
    broken.write_text("#!/bin/sh\necho 'Error: no such luck' >&2; exit 1\n")
    broken.chmod(0o755)
    if not own:
        monkeypatch.setattr(doctor, "open_reader", lambda _: "it is a secret")
    with started([sys.executable, "-c", LOOP]) as (process, _):
        by_own = checks_of(process.pid)[f"pid {process.pid} stacks"]
        assert by_own.status == ("ok" if own else "warn"), "py-spy can"
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        checks = checks_of(process.pid)
        by_own = checks[f"pid {process.pid} stacks"]
        others = checks[f"pid {process.pid} stacks by py-spy"]
    if not own:
        assert (by_own.status, by_own.found) == ("fail", "it is a secret")
    assert (others.status, others.found) == ("warn", "Error: no such luck")
    assert others.remedy


def test_a_python_that_is_too_old_fails_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "OLDEST", (3, 99))
    monkeypatch.setattr(interpreter, "NEWEST", (3, 99))
    with started([sys.executable, "-c", LOOP]) as (process, _):
        checks = checks_of(process.pid)
        assert checks["target"].status == "fail"
        worker = checks[f"pid {process.pid}"]
        assert worker.status == "fail"
        assert "is older than" in worker.found
        assert worker.remedy
        assert f"pid {process.pid} stacks" not in checks
