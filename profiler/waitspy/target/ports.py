"""Finds out which TCP ports are listened on, in which network namespace, and by whom."""

from __future__ import annotations

import os
from collections.abc import Collection

from waitspy.kernel import nettable, procfs


def namespace(pid: int) -> int | None:
    """The network namespace of the process; None when this user may not see it."""
    try:
        return procfs.namespace(pid, "net")
    except (ProcessLookupError, PermissionError):
        return None


def by_namespace(
    ports: Collection[int] | None = None,
) -> dict[int, tuple[int, tuple[nettable.TcpRow, ...]]]:
    """Listening sockets (on these local ports, default all) by the inode of their network
    namespace, after one pid that lives in it; this process's own namespace comes first.

    Namespaces without such a socket, or that this user may not see, are left out.
    """
    rows: dict[int, tuple[int, tuple[nettable.TcpRow, ...]]] = {}
    looked: set[int] = set()
    for pid in (os.getpid(), *sorted(procfs.pids())):
        inode = namespace(pid)
        if inode is None or inode in looked:
            continue
        try:
            found = nettable.listening(pid, ports)
        except (ProcessLookupError, PermissionError):
            continue
        looked.add(inode)
        if found:
            rows[inode] = pid, found
    return rows


def holders(inodes: set[int]) -> tuple[set[int], int]:
    """The processes that hold any of these sockets, this one left out; and the number of those
    whose descriptors this user may not see.
    """
    links = {f"socket:[{inode}]" for inode in inodes}
    found, hidden = set(), 0
    for pid in procfs.pids() - {os.getpid()}:
        try:
            if not links.isdisjoint(procfs.fds(pid).values()):
                found.add(pid)
        except ProcessLookupError:
            continue
        except PermissionError:
            hidden += 1
    return found, hidden
