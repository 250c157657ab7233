"""File descriptors of another process: a duplicate of one, and whether two are the same file.

Needs PTRACE_MODE_ATTACH on the process and Linux 5.6 (pidfd_getfd(2), kcmp(2)).
"""

from __future__ import annotations

import ctypes
import os
import platform

_PIDFD_GETFD = 438  # the same on every architecture, include/uapi/asm-generic/unistd.h
_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
_KCMP_FILE = 0  # include/uapi/linux/kcmp.h

_libc = ctypes.CDLL(None, use_errno=True)


def duplicate(pid: int, fd: int) -> int:
    """A descriptor of ours for the file behind ``fd`` of ``pid``; the caller closes it.

    Raises:
        OSError: no such process or descriptor, no permission, or a kernel older than 5.6.
    """
    pidfd = os.pidfd_open(pid)
    try:
        got = int(_libc.syscall(_PIDFD_GETFD, pidfd, fd, 0))
        if got < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(pidfd)
    os.set_inheritable(got, False)
    return got


def same_file(pid: int, fd: int, other_pid: int, other_fd: int) -> bool | None:
    """Whether two descriptors share one open file description; None when it cannot be told."""
    if _KCMP is None:
        return None
    got = int(_libc.syscall(_KCMP, pid, other_pid, _KCMP_FILE, fd, other_fd))
    return got == 0 if got >= 0 else None


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
