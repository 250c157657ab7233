"""Who has the lock on a file for which a thread waits (flock(2), and the locks of fcntl(2)).

The kernel knows the process. Of its threads it is the only one, or the one with a variable that
leads to that file: this is a hint. Of a process that is not watched no more is known than that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from waitspy.kernel import file_locks, pipe_fds, procfs
from waitspy.model import syscalls
from waitspy.model.wait_for import Holder, WaitEdge
from waitspy.oracles.other_ends import Readable
from waitspy.oracles.reading import TRANSIENT
from waitspy.remote.memory import Unavailable

_SET_AND_WAIT = frozenset({7, 38})  # F_SETLKW, F_OFD_SETLKW: include/uapi/asm-generic/fcntl.h


class FileLocks:
    """Finds them among all processes."""

    def __init__(self) -> None:
        self._of_fcntl = syscalls.numbers({"fcntl"})
        self.calls = self._of_fcntl | syscalls.numbers({"flock"})
        """The numbers of the calls in which a thread may wait for such a lock."""

    def of(
        self, process: Readable, tids: Iterable[int], every: Mapping[int, Readable]
    ) -> Iterator[WaitEdge]:
        """What those threads wait for that stand in such a call, where it is known who has it.

        Raises:
            OSError: the process is ending, or the kernel does not tell of locks.
        """
        watched = process.watched
        table = file_locks.read()
        for tid in tids:
            fd = self._wanted(watched.pid, tid)
            if fd is None:
                continue
            inode = os.stat(f"{procfs.PROC}/{watched.pid}/fd/{fd}").st_ino
            has = file_locks.holder(table, watched.pid, inode)
            if has is None:
                continue
            link = procfs.link(watched.pid, f"fd/{fd}")
            holders = tuple(_holders(has, watched.pid, tid, link, every.get(has)))
            if holders and watched.stood(tid):
                yield WaitEdge(tid, "file-lock", inode, holders, whole=True)

    def _wanted(self, pid: int, tid: int) -> int | None:
        """The descriptor of the file for whose lock a thread waits."""
        with suppress(ProcessLookupError):  # it has ended
            call = pipe_fds.call(pid, tid)
            if call is None or call.number not in self.calls:
                return None
            waits = call.number not in self._of_fcntl or call.args[1] in _SET_AND_WAIT
            return call.args[0] if waits else None
        return None


def _holders(has: int, pid: int, tid: int, link: str, process: Readable | None) -> Iterator[Holder]:
    """The threads of the process that has the lock, others than the one that waits."""
    other = None if has == pid else has
    if process is None:
        yield Holder(has, "owner", pid=has)
        return
    with suppress(*TRANSIENT, OSError, Unavailable):  # it is ending, or changes
        threads = {*process.reader.ends.threads()} - {tid}
        if len(threads) == 1:
            yield Holder(threads.pop(), "owner", pid=other)
            return
        fds = [fd for fd, to in procfs.fds(has).items() if to == link]
        users = {use.tid for use in process.reader.ends.using(fds)} & threads
        yield from (Holder(user, "reach", pid=other) for user in sorted(users))
