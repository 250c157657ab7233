"""HOME is not set, or leads to a folder that does not exist or cannot be written; so does TMPDIR.

A stall is found and reported, and nothing is written but the recording.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.ourselves.handicapped import mounted, needs_mount
from tests.faults.ourselves.servers import STALLING, is_told_to_sleep, loop, recorded
from tests.live.session import environment


@pytest.mark.parametrize(
    "home",
    [
        None,
        pytest.param("", marks=pytest.mark.slow),
        pytest.param("/no/such/home", marks=pytest.mark.slow),
        pytest.param("/proc", marks=pytest.mark.slow),
    ],
)
def test_a_stall_is_found(tmp_path: Path, home: str | None) -> None:
    env = environment(TMPDIR="/no/such/folder")
    env.pop("HOME", None)
    with loop(*STALLING) as pid:
        report, _ = recorded(tmp_path, pid, env=env | ({} if home is None else {"HOME": home}))
    is_told_to_sleep(report)
    assert report.losses == ()
    assert os.listdir(tmp_path) == ["rec"]


@pytest.mark.may_skip
@needs_mount
def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    with loop(*STALLING) as pid:
        # What is in it is there (a Python may be), and nothing can be added.
        waitspy = mounted("mount --bind /root /root", "mount -o remount,bind,ro /root")
        report, _ = recorded(tmp_path, pid, waitspy=waitspy, env=environment(HOME="/root"))
    is_told_to_sleep(report)
    assert report.losses == ()
