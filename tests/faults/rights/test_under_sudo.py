"""waitspy runs under sudo, or what sudo leaves in the environment is nonsense.

The recording belongs in the end to who has called sudo, and to nobody else; nonsense changes no
owner and ends nothing.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.rights.becoming import open_to_all, readable_to
from tests.live.session import environment, load, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="is sudo's root")
CALLER = 4711


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(p.lstat().st_uid, p.lstat().st_gid) for p in (folder, *folder.rglob("*"))}


def record(folder: Path, pid: int, uid: str, gid: str) -> Path:
    env = environment(SUDO_UID=uid, SUDO_GID=gid)
    code, _, err = run(folder, "record", pid, "-d", "0.6", "-o", "rec", env=env)
    assert (code, err) == (0, "")
    assert load(folder / "rec").losses == ()
    return folder / "rec"


def test_it_belongs_to_the_caller(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    open_to_all(tmp_path)
    rec = record(tmp_path, target.pid, str(CALLER), "4712")
    assert owners(rec) == {(CALLER, 4712)}
    assert len(readable_to(CALLER, rec)) == len(list(rec.rglob("*"))) + 1
    assert readable_to(CALLER + 1, rec) == []


@pytest.mark.parametrize(
    ("uid", "gid"), [("-1", "-1"), ("x", "1"), ("", ""), ("9" * 400, "1"), ("4294967295", "1")]
)
def test_nonsense_changes_no_owner(
    tmp_path: Path, target: subprocess.Popen[str], uid: str, gid: str
) -> None:
    assert {uid for uid, _ in owners(record(tmp_path, target.pid, uid, gid))} == {0}
