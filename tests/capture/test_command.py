"""Which processes a command leaves to be ended, whatever they are called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.live.running import wait_until
from waitspy.capture.command import _alive, _below


def test_what_is_below_is_alive_until_it_has_ended(tmp_path: Path) -> None:
    hostile = os.fsencode(tmp_path) + b"/a) R 1\n\xff("
    os.symlink("/bin/sleep", hostile)
    child = subprocess.Popen([hostile, b"60"])
    try:
        wait_until(lambda: child.pid in psutil.pids(), "it did not start")
        mine = [one for one in _below(os.getpid()) if one.pid == child.pid]
        assert [one.pid for one in _alive(mine)] == [child.pid]
    finally:
        child.kill()
    wait_until(lambda: not _alive(mine), "a zombie counts as alive")
    assert child.wait() < 0
    assert _alive(mine) == []
    assert _below(child.pid) == []


def test_another_process_under_the_same_pid_is_not_the_one_that_was_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = psutil.Process()
    assert _alive([before]) == [before]
    monkeypatch.setattr(before, "_ident", (before.pid, -1.0))  # it began at another time
    assert _alive([before]) == []
