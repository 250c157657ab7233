"""waitspy has CAP_SYS_PTRACE only: not the right to read others' files, or to take their user's.

It records what that allows and tells what it lacks, or ends in one clear error that names the
missing right; it never reads a source file with more rights than the server's user has.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.rights.becoming import open_to_all, seeing, waitspy
from tests.live.running import TARGETS, target
from tests.live.session import load, run, said_well

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives up capabilities")
_CODE = "def work(time):\n    while True:\n        time.sleep(0.01)  # its own\n"
OTHER = 4711


@pytest.fixture
def source(tmp_path: Path) -> Path:
    open_to_all(tmp_path)
    file = tmp_path / "its_source.py"
    file.write_text(_CODE)
    file.chmod(0o644)
    return file


def test_of_another_user_without_the_right_to_its_files(source: Path) -> None:
    """A server of nobody, looked at by a third user."""
    with target([sys.executable, TARGETS / "strange_sources.py", source]) as server:
        rights = waitspy(uid=OTHER, keep=("sys_ptrace",))
        code, out, err = run(
            source.parent, "record", server.pid, "-d", "0.6", "-o", "rec", waitspy=seeing(rights)
        )
        assert (code, out) == (1, "")
        said_well(err, "CAP_DAC_READ_SEARCH")
        assert not (source.parent / "rec").exists()
        assert psutil.pid_exists(server.pid)


def test_without_the_right_to_become_its_user(source: Path) -> None:
    """All is recorded but the source lines, which would be read with wrong rights."""
    with target([sys.executable, TARGETS / "strange_sources.py", source]) as server:
        rights = waitspy(uid=OTHER, keep=("sys_ptrace", "dac_read_search"))
        code, out, err = run(
            source.parent, "record", server.pid, "-d", "0.8", "-o", "rec", waitspy=seeing(rights)
        )
    assert (code, err) == (0, ""), out
    recording = load(source.parent / "rec")
    assert recording.workers[0].states
    assert [x.remedy for x in recording.losses if x.what == "source lines"] == [
        "run as root or as that user, or with CAP_SETUID and CAP_SETGID"
    ]
    assert str(source) not in recording.sources
    assert "its own" not in out


def test_with_all_that_it_takes(source: Path) -> None:
    with target([sys.executable, TARGETS / "strange_sources.py", source]) as server:
        rights = waitspy(uid=OTHER, keep=("sys_ptrace", "dac_read_search", "setuid", "setgid"))
        code, out, err = run(
            source.parent, "record", server.pid, "-d", "0.8", "-o", "rec", waitspy=seeing(rights)
        )
    assert (code, err) == (0, ""), out
    recording = load(source.parent / "rec")
    assert [x for x in recording.losses if x.what == "source lines"] == []
    assert "its own" in recording.sources[str(source)][3]
