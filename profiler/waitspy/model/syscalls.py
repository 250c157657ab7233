"""System call numbers by machine: those that a waiting thread is commonly blocked in.

Sources: Linux 6.12 arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h
(the table that aarch64 uses; it has no poll, select, accept, fork-era calls of its own).
"""

from __future__ import annotations

import platform
from collections.abc import Container, Mapping

_X86_64 = {
    0: "read", 1: "write", 7: "poll", 17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev",
    23: "select", 34: "pause", 35: "nanosleep", 42: "connect", 43: "accept", 44: "sendto",
    45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 61: "wait4", 65: "semop", 72: "fcntl",
    73: "flock", 74: "fsync", 75: "fdatasync", 128: "rt_sigtimedwait", 130: "rt_sigsuspend",
    162: "sync", 202: "futex", 208: "io_getevents", 219: "restart_syscall", 220: "semtimedop",
    230: "clock_nanosleep", 232: "epoll_wait", 243: "mq_timedreceive", 247: "waitid",
    257: "openat", 270: "pselect6", 271: "ppoll", 275: "splice", 281: "epoll_pwait",
    288: "accept4", 299: "recvmmsg", 307: "sendmmsg", 426: "io_uring_enter",
    441: "epoll_pwait2",
}  # fmt: skip

_AARCH64 = {
    22: "epoll_pwait", 25: "fcntl", 32: "flock", 56: "openat", 63: "read", 64: "write",
    65: "readv", 66: "writev", 67: "pread64", 68: "pwrite64", 72: "pselect6", 73: "ppoll",
    76: "splice", 81: "sync", 82: "fsync", 83: "fdatasync", 95: "waitid", 98: "futex",
    101: "nanosleep", 115: "clock_nanosleep", 128: "restart_syscall", 133: "rt_sigsuspend",
    137: "rt_sigtimedwait", 183: "mq_timedreceive", 192: "semtimedop", 193: "semop",
    202: "accept", 203: "connect", 206: "sendto", 207: "recvfrom", 211: "sendmsg",
    212: "recvmsg", 242: "accept4", 243: "recvmmsg", 260: "wait4", 269: "sendmmsg",
    426: "io_uring_enter", 441: "epoll_pwait2",
}  # fmt: skip

TABLES: Mapping[str, Mapping[int, str]] = {"x86_64": _X86_64, "aarch64": _AARCH64}

EPOLL_WAITS = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2"})
ACCEPTS = frozenset({"accept", "accept4"})
POLLS = EPOLL_WAITS | {"poll", "ppoll", "select", "pselect6"}


def name(number: int | None, arch: str) -> str | None:
    """The call's name; None when the number is unknown (or None, or outside any call: -1)."""
    return None if number is None else TABLES.get(arch, {}).get(number)


def numbers(names: Container[str], arch: str | None = None) -> frozenset[int]:
    """Those of the calls with these names; of this machine by default."""
    table = TABLES.get(arch or platform.machine(), {})
    return frozenset(number for number, call in table.items() if call in names)


def epoll_waits(arch: str | None = None) -> frozenset[int]:
    """Numbers of the calls with which a thread waits on an epoll; of this machine by default."""
    return numbers(EPOLL_WAITS, arch)


def accepts(arch: str) -> frozenset[int]:
    """Numbers of the calls with which a thread accepts a connection."""
    return numbers(ACCEPTS, arch)


def futexes() -> frozenset[int]:
    """Numbers of the calls with which a thread of this machine waits for a lock or a signal."""
    return numbers({"futex"})
