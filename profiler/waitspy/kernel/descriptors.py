"""File descriptors of another process: a duplicate of one, and whether two are the same file.

Needs PTRACE_MODE_ATTACH on the process and Linux 5.6 (pidfd_getfd(2), kcmp(2)).
"""

from __future__ import annotations

import os

from waitspy.kernel import calls


def duplicate(pid: int, fd: int) -> int:
    """A descriptor of ours for the file behind ``fd`` of ``pid``; the caller closes it.

    Raises:
        OSError: no such process or descriptor, no permission, or a kernel older than 5.6.
    """
    pidfd = os.pidfd_open(pid)
    try:
        return calls.pidfd_getfd(pidfd, fd)
    finally:
        os.close(pidfd)


def same_file(pid: int, fd: int, other_pid: int, other_fd: int) -> bool | None:
    """Whether two descriptors share one open file description; None when it cannot be told."""
    try:
        return calls.kcmp_file(pid, fd, other_pid, other_fd) == 0
    except OSError:
        return None


def epoll_fds(pid: int) -> tuple[int, ...]:
    """The process's epoll descriptors, ascending.

    Raises:
        OSError: the process is gone or may not be looked into.
    """
    folder = f"/proc/{pid}/fd"
    found = []
    for name in os.listdir(folder):
        try:
            if os.readlink(f"{folder}/{name}") == "anon_inode:[eventpoll]":
                found.append(int(name))
        except OSError:  # closed meanwhile
            continue
    return tuple(sorted(found))
