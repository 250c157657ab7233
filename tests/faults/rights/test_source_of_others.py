"""A server without rights says that its code is in files that only root may read.

waitspy, run as root, shows lines only of what the server's own user may read, and its recording is
private.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, target

_CODE = "def work(time):\n    while True:\n        time.sleep(0.01)  # {}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that everybody may search."""
    for above in (tmp_path, *tmp_path.parents):
        if above.stat().st_uid == os.geteuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)
    return tmp_path


def test_a_target_cannot_make_root_read_for_it(folder: Path) -> None:
    fine, secret = folder / "fine.py", folder / "secret.py"
    fine.write_text(_CODE.format("anybody may read this"))
    fine.chmod(0o644)
    secret.write_text(_CODE.format("a password"))
    secret.chmod(0o600)
    strange = {name: folder / f"{name}.py" for name in ("link", "folder", "fifo", "kernel")}
    strange["link"].symlink_to(secret)
    strange["folder"].mkdir()
    os.mkfifo(strange["fifo"])
    strange["kernel"].symlink_to("/proc/version")
    argv = [sys.executable, TARGETS / "strange_sources.py", fine, secret, *strange.values()]
    with target(argv) as server:
        record(server.pid, folder / "rec", seconds=1)
    lines = json.loads((folder / "rec" / "sources.json").read_text())
    assert lines[str(fine)]["3"] == "        time.sleep(0.01)  # anybody may read this"
    assert lines.keys() & {str(path) for path in (secret, *strange.values())} <= {
        str(strange["kernel"])
    }
    assert not lines.get(str(strange["kernel"]))
    for path in ((folder / "rec"), *(folder / "rec").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, f"others may read {path}"
        assert path.is_dir() or b"password" not in path.read_bytes()
