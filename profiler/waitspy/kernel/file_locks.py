"""Locks of files: who has the one for which a process waits, by /proc/locks (proc_locks(5)).

A line has a number, the kind of lock, the process, and the file as device and inode. Who waits for
a lock has its number, and an arrow before all else. Processes are told as their pids here.
"""

from __future__ import annotations

from waitspy.kernel import procfs

_WAITS = b"->"
_LEAST = 5  # fields after the number: kind, how strict, for what, process, file


def read() -> bytes:
    """The table of all locks.

    Raises:
        OSError: there is none, or it may not be read.
    """
    with open(f"{procfs.PROC}/locks", "rb") as table:
        return table.read()


def holder(table: bytes, pid: int, inode: int) -> int | None:
    """The process with the lock on that file for which a process waits.

    None: it waits for none, or the lock is one of an open file, which has no process.
    """
    has: dict[bytes, int] = {}
    for line in table.splitlines():
        number, *fields = line.split()
        waits = fields[:1] == [_WAITS]
        fields = fields[1:] if waits else fields
        if len(fields) < _LEAST:
            continue
        try:
            process, file = int(fields[3]), int(fields[4].rpartition(b":")[2])
        except ValueError:
            continue
        if not waits:
            has[number] = process
        elif (process, file) == (pid, inode):
            found = has.get(number, 0)
            return found if found > 0 else None
    return None
