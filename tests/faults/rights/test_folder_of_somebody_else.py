"""The place of the new recording is a folder of another user, a link, or one that a group may write.

Nothing is recorded into what others can change: it is refused in one clear error, or the recording
in it is private to who has made it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.rights.becoming import NOBODY, readable_to
from tests.live.session import load, run, said_well

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders away")


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o700])
def test_a_folder_that_is_there_is_never_used(
    tmp_path: Path, target: subprocess.Popen[str], mode: int
) -> None:
    """Not even an empty one."""
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec").chmod(mode)
    os.chown(tmp_path / "rec", NOBODY, 0)
    code, out, err = run(tmp_path, "record", target.pid, "-d", "0.5", "-o", "rec")
    assert (code, out) == (1, "")
    said_well(err, "rec exists already")
    assert os.listdir(tmp_path / "rec") == []


@pytest.mark.parametrize("to", ["elsewhere", "nowhere"])
def test_a_link_is_not_followed(tmp_path: Path, target: subprocess.Popen[str], to: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "rec").symlink_to(to)
    code, out, err = run(tmp_path, "record", target.pid, "-d", "0.5", "-o", "rec")
    assert (code, out) == (1, "")
    said_well(err, "rec exists already")
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "rec"]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_inside_of_what_everybody_may_write(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o2777)
    os.chown(place, NOBODY, NOBODY)
    code, _, err = run(place, "record", target.pid, "-d", "0.6", "-o", "rec")
    assert (code, err) == (0, "")
    assert load(place / "rec").losses == ()
    assert readable_to(NOBODY, place / "rec") == []
    for path in (place / "rec", *(place / "rec").rglob("*")):
        assert path.stat().st_uid == 0
        assert path.stat().st_mode & 0o077 == 0, path
