"""Files are read with the rights of another user: by one thread, for as long as it reads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from waitspy.kernel import file_rights, procfs
from waitspy.kernel.file_rights import FileRights

pytestmark = pytest.mark.ptrace

NOBODY = 65534
GROUP = 12345
ALL = (1 << 41) - 1


def rights(uid: int, *groups: int, capabilities: int = 0) -> FileRights:
    return FileRights(uid, uid, groups, capabilities)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for above in (tmp_path, *tmp_path.parents):
        if above.owner() == "root" and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)
    return tmp_path


def file(folder: Path, mode: int, gid: int = 0) -> Callable[[], str]:
    made = folder / f"{mode:o}-{gid}"
    made.write_text("a secret")
    made.chmod(mode)
    os.chown(made, 0, gid)
    return made.read_text


def test_what_its_user_may_not_read_is_not_read(folder: Path) -> None:
    for mode, gid in ((0o600, 0), (0o640, GROUP)):
        with pytest.raises(PermissionError):
            file_rights.reading(rights(NOBODY), file(folder, mode, gid))
    assert file_rights.reading(rights(NOBODY), file(folder, 0o644)) == "a secret"
    assert file_rights.reading(rights(NOBODY, GROUP), file(folder, 0o640, GROUP)) == "a secret"


def test_a_root_without_capabilities_reads_what_it_owns_only(folder: Path) -> None:
    others = file(folder, 0o600)
    os.chown(folder / "600-0", NOBODY, NOBODY)
    with pytest.raises(PermissionError):
        file_rights.reading(rights(0), others)
    assert file_rights.reading(rights(0, capabilities=ALL), others) == "a secret"


def test_only_the_thread_that_reads_has_these_rights(folder: Path) -> None:
    secret = file(folder, 0o600)
    meanwhile, seen = threading.Event(), threading.Event()

    def read() -> bool:
        meanwhile.set()
        return seen.wait(10)

    told: list[str] = []

    def look() -> None:
        meanwhile.wait(10)
        told.append(secret())
        seen.set()

    beside = threading.Thread(target=look)
    beside.start()
    assert file_rights.reading(rights(NOBODY), read)
    beside.join()
    assert (told, secret()) == (["a secret"], "a secret")
    assert os.stat("/proc/self").st_uid == os.geteuid(), "its files in /proc are still its own"
    assert threading.active_count() == 1


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_rights, "_MOST_S", 0.05)
    end = threading.Event()
    with pytest.raises(TimeoutError):
        file_rights.reading(rights(NOBODY), end.wait)
    end.set()


def test_the_rights_of_a_process() -> None:
    own = file_rights.of(os.getpid())
    assert own == FileRights(
        os.geteuid(), os.getegid(), tuple(os.getgroups()), procfs.read_status(os.getpid()).cap_eff
    )
    becomes = f"os.setgroups([{GROUP}, 7]); os.setgid({NOBODY}); os.setuid({NOBODY})"
    child = subprocess.Popen(
        [sys.executable, "-c", f"import os; {becomes}; print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        child.stdout.readline()
        found = file_rights.of(child.pid)
        assert (found.uid, found.gid, set(found.groups)) == (NOBODY, NOBODY, {GROUP, 7})
        assert found.capabilities == 0
    finally:
        child.communicate(b"\n")
