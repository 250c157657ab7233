"""The system calls that Python's os module lacks, each with the source of its number.

All of ctypes is here. Every call raises OSError with the kernel's errno.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_PIDFD_GETFD = 438  # one number on every architecture: include/uapi/asm-generic/unistd.h
_OPENAT2 = 437  # the same
_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
# arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h
_KCMP_FILE = 0  # include/uapi/linux/kcmp.h
_RESOLVE_IN_ROOT = 0x10  # include/uapi/linux/openat2.h
_CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
_SETGROUPS, _SETFSUID, _SETFSGID, _CAPGET, _CAPSET = {
    "x86_64": (116, 122, 123, 125, 126),
    "aarch64": (159, 151, 152, 90, 91),
}.get(platform.machine(), (-1,) * 5)  # the same two tables
_CAPABILITY_VERSION_3 = 0x2008_0522  # include/uapi/linux/capability.h
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4  # include/uapi/linux/prctl.h

IOV_MAX = 1024
"""UIO_MAXIOV of include/uapi/linux/uio.h: so many places can be read at once."""

_libc = ctypes.CDLL(None, use_errno=True)
_readv = _libc.process_vm_readv
_readv.restype = ctypes.c_ssize_t
_readv.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong,
]  # fmt: skip


def _checked(got: int) -> int:
    if got < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return got


def process_vm_readv(
    pid: int, addresses: Sequence[int], sizes: Sequence[int], buffer: bytearray, at: int = 0
) -> int:
    """Reads so many bytes from each address of a process into the buffer, one after the other
    from ``at`` on; how many were read before the first one that is not mapped (0: EFAULT).
    """
    count, total = len(addresses), sum(sizes)
    remote = array("Q", bytes(16 * count))
    remote[0::2] = array("Q", addresses)
    remote[1::2] = array("Q", sizes)
    view = (ctypes.c_char * total).from_buffer(buffer, at)
    local = array("Q", [ctypes.addressof(view), total])
    got = int(_readv(pid, local.buffer_info()[0], 1, remote.buffer_info()[0], count, 0))
    if got < 0 and ctypes.get_errno() == errno.EFAULT:
        return 0
    return _checked(got)


class SameReads:
    """Reads of the same places of a process again and again, as ``process_vm_readv`` does: what the
    call needs is made once. For use by one thread, of ``IOV_MAX`` places at the most.
    """

    def __init__(self, pid: int, places: Sequence[tuple[int, int]]) -> None:
        self.size = sum(size for _, size in places)
        self._buffer = (ctypes.c_char * self.size)()
        self._bytes = memoryview(self._buffer).cast("B")
        self._local = array("Q", [ctypes.addressof(self._buffer), self.size])
        self._remote = array("Q", [word for place in places for word in place])
        local, remote = self._local.buffer_info()[0], self._remote.buffer_info()[0]
        self._call = pid, local, 1, remote, len(places), 0

    def read(self) -> bytes:
        """``size`` bytes, of one place after the other; fewer where not all of it is mapped."""
        got = _readv(*self._call)
        if got < 0:
            if ctypes.get_errno() == errno.EFAULT:
                return b""
            _checked(got)
        return self._bytes[:got].tobytes()


class SmallReads(SameReads):
    """Reads of up to ``MOST`` bytes from one place of a process, as ``process_vm_readv`` does, at a
    lower cost: what the call needs is made once. For use by one thread.
    """

    MOST = 4096

    def __init__(self, pid: int) -> None:
        super().__init__(pid, [(0, self.MOST)])

    def read_at(self, address: int, size: int) -> bytes:
        """``size`` bytes; fewer, or none, where not all of it is mapped."""
        self._local[1] = self._remote[1] = size
        self._remote[0] = address
        return self.read()


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A duplicate of that process's descriptor, closed on exec; Linux 5.6."""
    return _checked(int(_libc.syscall(_PIDFD_GETFD, pidfd, fd, 0)))


def kcmp_file(pid: int, fd: int, other_pid: int, other_fd: int) -> int:
    """0 when two descriptors share one open file description, else the order of the two."""
    if _KCMP is None:
        raise OSError(errno.ENOSYS, f"its number is not known for {platform.machine()}")
    return _checked(int(_libc.syscall(_KCMP, pid, other_pid, _KCMP_FILE, fd, other_fd)))


def openat2_in_root(folder: int, path: str, flags: int) -> int:
    """Opens a path as if the folder were the root, links and all; Linux 5.6."""
    how = struct.pack("<QQQ", flags, 0, _RESOLVE_IN_ROOT)  # struct open_how
    return _checked(int(_libc.syscall(_OPENAT2, folder, os.fsencode(path), how, len(how))))


def take_file_rights(uid: int, gid: int, groups: Sequence[int], capabilities: int) -> None:
    """Gives this thread alone that user's rights to files, and no capabilities but those it has of
    the mask; Python's own calls would change all threads.
    """
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    held = ctypes.create_string_buffer(24)  # struct __user_cap_data_struct, twice
    _checked(int(_libc.syscall(_CAPGET, header, held)))
    if tuple(groups) != tuple(os.getgroups()):
        listed = (ctypes.c_uint32 * len(groups))(*groups)
        _checked(int(_libc.syscall(_SETGROUPS, len(groups), listed)))
    for number, wanted in ((_SETFSGID, gid), (_SETFSUID, uid)):
        _libc.syscall(number, wanted)  # its result is the one before, whether it failed or not
        if int(_libc.syscall(number, -1)) & 0xFFFF_FFFF != wanted:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    low, low_permitted, low_inherited, high, *rest = struct.unpack("<6I", held)
    left = low & capabilities & 0xFFFF_FFFF, high & capabilities >> 32
    data = struct.pack("<6I", left[0], low_permitted, low_inherited, left[1], *rest)
    _checked(int(_libc.syscall(_CAPSET, header, data)))


@contextmanager
def staying_dumpable() -> Iterator[None]:
    """A thread that takes other rights hides this process's files in /proc; undoes that after."""
    before = int(_libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0))
    try:
        yield
    finally:
        if before == 1:
            _checked(int(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)))


def enter_network(namespace: int) -> None:
    """Moves this thread into the network namespace behind a descriptor: setns(2)."""
    _checked(int(_libc.setns(namespace, _CLONE_NEWNET)))
