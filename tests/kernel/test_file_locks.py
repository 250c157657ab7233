"""Who has the lock on a file for which a process waits, by the kernel's table."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from waitspy.kernel import file_locks

TABLE = b"""\
1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF
2: FLOCK  ADVISORY  WRITE 3517 08:01:2531448 0 EOF
2: -> FLOCK  ADVISORY  WRITE 3518 08:01:2531448 0 EOF
2:   -> FLOCK  ADVISORY  WRITE 3519 08:01:2531448 0 EOF
3: OFDLCK ADVISORY  WRITE -1 08:01:77 0 EOF
3: -> OFDLCK ADVISORY  WRITE 3520 08:01:77 0 EOF
4: FLOCK  ADVISORY  WRITE 3521 08:01:78 0 EOF
5: -> LEASE  BREAKING  READ x 08:01:78 0 EOF
6: -> FLOCK  ADVISORY
7: -> FLOCK  ADVISORY  WRITE 3522 08:01:79 0 EOF
"""


@pytest.mark.parametrize(
    ("pid", "inode", "has"),
    [
        (3518, 2531448, 3517),
        (3519, 2531448, 3517),  # behind another one
        (3518, 2531452, None),  # another file
        (3517, 2531448, None),  # it has it itself
        (3520, 77, None),  # the lock of an open file is nobody's
        (3522, 79, None),  # nobody has that number
    ],
)
def test_who_has_what_a_process_waits_for(pid: int, inode: int, has: int | None) -> None:
    assert file_locks.holder(TABLE, pid, inode) == has
    assert file_locks.holder(b"", pid, inode) is None


@pytest.mark.parametrize("call", ["flock", "lockf"])
def test_a_process_that_waits(call: str, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as held:
        getattr(fcntl, call)(held, fcntl.LOCK_EX)
        code = f"import fcntl, sys; fcntl.{call}(open(sys.argv[1], 'w'), fcntl.LOCK_EX)"
        with subprocess.Popen([sys.executable, "-c", code, str(path)]) as waits:
            inode = os.stat(path).st_ino
            while file_locks.holder(file_locks.read(), waits.pid, inode) is None:
                assert waits.poll() is None
                time.sleep(0.01)
            assert file_locks.holder(file_locks.read(), waits.pid, inode) == os.getpid()
            waits.kill()
