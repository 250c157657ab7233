"""A report, a flamegraph or a page is to be written into a pipe, a device, a folder, or onto a full disk.

Pipes and devices get it and stay what they are; where it cannot be written that is said, and what was there before stays whole.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.faults.disk.disks import fill, mounted
from tests.golden.record import folder
from tests.live.session import finished, run, said_well, session

COMMANDS = {
    "report": ("report", folder("blocked")),
    "flamegraph": ("flamegraph", folder("blocked"), "--weight", "wall"),
    "view": ("view", folder("blocked"), "--no-open"),
}
commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


@commands
def test_a_pipe_gets_it(tmp_path: Path, command: tuple[object, ...]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with session(tmp_path, *command, "-o", "pipe") as process:
        with open(tmp_path / "pipe", "rb") as pipe:
            got = pipe.read()
        code, _, err = finished(process)
    assert (code, err) == (0, "")
    assert len(got) > 500
    assert os.listdir(tmp_path) == ["pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@commands
@pytest.mark.parametrize(
    ("place", "why"),
    [("/dev/null", None), ("/dev/full", "No space left"), (".", "directory"), ("no/x", "No such")],
)
def test_what_is_no_file(
    tmp_path: Path, command: tuple[object, ...], place: str, why: str | None
) -> None:
    code, _, err = run(tmp_path, *command, "-o", place)
    if why is None:
        assert (code, err) == (0, "")
    else:
        assert code == 1
        said_well(err, f"cannot write {place}", why, "-o")
    assert os.listdir(tmp_path) == []
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.may_skip
@commands
def test_a_full_disk_keeps_the_old_one(tmp_path: Path, command: tuple[object, ...]) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        (disk / "old").write_text("precious")
        fill(disk)
        code, _, err = run(tmp_path, *command, "-o", "disk/old")
        assert code == 1
        said_well(err, "cannot write disk/old: No space left", "-o")
        assert (disk / "old").read_text() == "precious"
        assert sorted(os.listdir(disk)) == ["filler", "old"]
