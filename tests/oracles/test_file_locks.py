"""Who has the lock on a file for which a thread waits."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.oracles.test_other_ends import ME, Users, at, waiting
from waitspy.model.wait_for import Holder, WaitEdge
from waitspy.oracles.file_locks import FileLocks
from waitspy.oracles.other_ends import Readable

HOLDS = """
import fcntl, sys, signal
file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(file.fileno(), flush=True)
signal.pause()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[int, int, Callable[[], None]]]:
    """A process that has the lock, its descriptor, and what ends it."""
    argv = [sys.executable, "-c", HOLDS, str(tmp_path / "lock")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        yield started.pid, int(started.stdout.readline()), started.kill


def lock(file: IO[str]) -> None:
    fcntl.flock(file, fcntl.LOCK_EX)


def told(tid: int, *others: Readable) -> list[WaitEdge]:
    me = at(ME, Users(tid))
    return list(FileLocks().of(me, [tid], {one.watched.pid: one for one in (me, *others)}))


def test_the_only_thread_of_a_process_has_it(
    holder: tuple[int, int, Callable[[], None]], tmp_path: Path
) -> None:
    pid, _, end = holder
    with (tmp_path / "lock").open("w") as file, waiting(lambda: lock(file)) as tid:
        found = told(tid, at(pid, Users(pid)))
        end()
    inode = os.stat(tmp_path / "lock").st_ino
    assert found == [
        WaitEdge(tid, "file-lock", inode, (Holder(pid, "owner", pid=pid),), whole=True)
    ]


@pytest.mark.parametrize(("using", "tids"), [([8], [8]), ([], [])])
def test_of_several_threads_those_that_use_the_file_seem_to(
    using: list[int],
    tids: list[int],
    holder: tuple[int, int, Callable[[], None]],
    tmp_path: Path,
) -> None:
    pid, fd, end = holder
    users = Users(7, 8, using=using)
    with (tmp_path / "lock").open("w") as file, waiting(lambda: lock(file)) as tid:
        found = told(tid, at(pid, users))
        end()
    assert users.asked == {fd}
    assert [one.holders for one in found] == [
        tuple(Holder(one, "reach", pid=pid) for one in some) for some in [tids] if some
    ]


def test_a_process_that_is_not_watched_is_named(
    holder: tuple[int, int, Callable[[], None]], tmp_path: Path
) -> None:
    pid, _, end = holder
    with (tmp_path / "lock").open("w") as file, waiting(lambda: lock(file)) as tid:
        (found,) = told(tid)
        end()
    assert found.holders == (Holder(pid, "owner", pid=pid),)


def test_who_waits_for_no_lock_is_not_told() -> None:
    assert told(threading.get_native_id()) == []
