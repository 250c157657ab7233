"""The recording's folder is removed or renamed meanwhile, or a link to another folder is put in its place.

A renamed one is finished where it is and the report says where; nothing is written through the link; a removed one is told as lost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.session import finished, load, said_well, sampled, session


@pytest.mark.parametrize("linked", [False, True], ids=["renamed", "a link in its place"])
def test_a_renamed_one_is_finished(
    tmp_path: Path, target: subprocess.Popen[str], linked: bool
) -> None:
    with session(tmp_path, "record", target.pid, "-d", "1.5", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        (tmp_path / "rec").rename(tmp_path / "moved")
        if linked:
            (tmp_path / "victim").mkdir()
            (tmp_path / "rec").symlink_to("victim")
        code, out, err = finished(waitspy)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"recording: {tmp_path / 'moved'}"
    recording = load(tmp_path / "moved")
    assert recording.losses == ()
    assert recording.workers[0].segments
    if linked:
        assert os.listdir(tmp_path / "victim") == []
    else:
        assert os.listdir(tmp_path) == ["moved"]


def test_a_removed_one_is_lost(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    with session(tmp_path, "record", target.pid, "-d", "50", "-o", "rec") as waitspy:
        sampled(tmp_path / "rec")
        shutil.rmtree(tmp_path / "rec")
        code, out, err = finished(waitspy)
    assert (code, out) == (1, "")
    said_well(err, "the recording rec is lost", "No such file", "nobody removes")
    assert "/proc/" not in err
    assert os.listdir(tmp_path) == []
