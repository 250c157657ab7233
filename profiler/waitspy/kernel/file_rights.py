"""Reads files with the rights of a target's user, however much more this process may read.

Which files a target's code is in, the target itself says. Read with the rights of root, they might
be anybody's secrets, and would then stand in a recording.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from waitspy.kernel import calls, procfs

_T = TypeVar("_T")

_MOST_S = 10.0  # a file may be on a server that is gone, or behind a file system of the target's


@dataclass(frozen=True, slots=True)
class FileRights:
    """Whose files a process may read; ``capabilities`` are those that count in this namespace."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: int


def of(pid: int) -> FileRights:
    """The rights that this process has at the moment; raises OSError when it has ended."""
    status = procfs.read_status(pid)
    same = procfs.namespace(pid, "user") == procfs.namespace(os.getpid(), "user")
    capabilities = status.cap_eff if same else 0
    return FileRights(status.uids[3], status.gids[3], status.groups, capabilities)


def reading(rights: FileRights, read: Callable[[], _T]) -> _T:
    """What the function gives, called with these rights and no others.

    Raises:
        OSError: these rights cannot be taken, there is no thread to be had for it, or it takes too
            long; and what the function raises.
    """
    done: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            calls.take_file_rights(rights.uid, rights.gid, rights.groups, rights.capabilities)
            done.append(read())
        except BaseException as error:  # noqa: BLE001  (the caller raises it)
            failed.append(error)

    # The rights are the thread's, and end with it.
    thread = threading.Thread(target=run, name="waitspy-files", daemon=True)
    with calls.staying_dumpable():
        try:
            thread.start()
        except RuntimeError as error:  # so says threading of EAGAIN: RLIMIT_NPROC, pids.max
            raise OSError(errno.EAGAIN, str(error)) from None
        thread.join(_MOST_S)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"a file was not read within {_MOST_S:.0f} s")
    return done[0]
