"""The sockets at which a Node.js's inspector listens: no client of the server waits there.

Its loop is one of libuv's on which no JavaScript runs. What the epoll of that watches is its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from waitspy.kernel import descriptors, procfs
from waitspy.kernel.unread_sockets import watched_for_input
from waitspy.remote.libuv import NodeLoops
from waitspy.remote.memory import Unavailable, Unreadable


def find(pid: int, tids: Iterable[int]) -> frozenset[int]:
    """The inodes of what the loops of these threads watch, as far as they are an inspector's."""
    found: set[int] = set()
    with suppress(Unavailable, Unreadable, OSError):
        for loop in NodeLoops(pid).find(descriptors.epoll_fds(pid), sorted(tids)):
            if not loop.runs_javascript:
                found |= _watched_by(pid, loop.epfd)
    return frozenset(found)


def _watched_by(pid: int, epfd: int) -> set[int]:
    fds = watched_for_input(procfs.read(pid, f"fdinfo/{epfd}"))
    inodes = (procfs.parse_socket(procfs.link(pid, f"fd/{fd}")) for fd in fds)
    return {inode for inode in inodes if inode is not None}
