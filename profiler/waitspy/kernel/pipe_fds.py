"""Pipes between processes: which ends a process has, and which threads stand in calls on them.

Sources: proc_pid_fd(5), proc_pid_fdinfo(5) and proc_pid_syscall(5) of Linux man-pages 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from waitspy.kernel import descriptors, procfs

_MOST_THREADS = 64
"""Threads of one process that are looked at; of one with more nothing is said."""

_ACCESS, _READ_ONLY, _WRITE_ONLY = 3, 0, 1  # O_ACCMODE and its values: fcntl.h of Linux


@dataclass(frozen=True, slots=True)
class PipeEnd:
    """A descriptor of a pipe; one that was opened for both is both ends."""

    fd: int
    pipe: int
    reads: bool
    writes: bool


@dataclass(frozen=True, slots=True)
class Call:
    """The system call that a thread is blocked in, with its first arguments.

    ``marks`` are equal as long as the thread has not run; it is then one and the same call.
    """

    number: int
    args: tuple[int, ...]
    marks: bytes


def ends(pid: int) -> tuple[PipeEnd, ...]:
    """The pipes that a process has open.

    Raises:
        OSError: it is gone, or may not be looked into.
    """
    found = []
    for fd, link in procfs.fds(pid).items():
        pipe = procfs.parse_pipe(link)
        if pipe is not None and (one := end(pid, fd, pipe)) is not None:
            found.append(one)
    return tuple(found)


def end(pid: int, fd: int, pipe: int) -> PipeEnd | None:
    """Which end of that pipe a descriptor is; None: it was closed meanwhile.

    Raises:
        OSError: the process may not be looked into.
    """
    try:
        flags = _flags(procfs.read(pid, f"fdinfo/{fd}"))
    except ProcessLookupError:  # closed meanwhile
        return None
    access = flags & _ACCESS
    return PipeEnd(fd, pipe, access != _WRITE_ONLY, access != _READ_ONLY)


def _flags(fdinfo: bytes) -> int:
    """The octal number of the line ``flags:``."""
    for line in fdinfo.splitlines():
        name, _, value = line.partition(b":")
        if name == b"flags":
            return int(value, 8)
    raise ValueError("fdinfo without flags")


def of_fd(pid: int, fd: int) -> int | None:
    """The pipe behind a descriptor, None where that is something else, or closed.

    Raises:
        OSError: the process may not be looked into.
    """
    try:
        return procfs.parse_pipe(procfs.link(pid, f"fd/{fd}"))
    except ProcessLookupError:
        return None


def watching(pid: int, fd: int) -> Iterator[int]:
    """The epolls of the process that watch that descriptor.

    Raises:
        OSError: it is gone, or may not be looked into.
    """
    for epfd in descriptors.epoll_fds(pid):
        yield from (epfd for one in _interests(pid, epfd) if one == fd)


def all_watched(pid: int) -> frozenset[int]:
    """The descriptors that some epoll of the process watches; errors as above."""
    epfds = descriptors.epoll_fds(pid)
    return frozenset(fd for epfd in epfds for fd in _interests(pid, epfd))


def _interests(pid: int, epfd: int) -> Iterator[int]:
    """The descriptors that an epoll watches."""
    with suppress(ProcessLookupError):  # closed meanwhile
        for line in procfs.read(pid, f"fdinfo/{epfd}").splitlines():
            parts = line.split()
            if len(parts) > 1 and parts[0] == b"tfd:":
                yield int(parts[1])


def calls(pid: int) -> dict[int, Call] | None:
    """In what each thread of a process is blocked; None while one runs, or there are too many.

    Raises:
        OSError: it is gone, or may not be looked into.
    """
    tids = procfs.threads(pid)
    if not 0 < len(tids) <= _MOST_THREADS:
        return None
    found = {}
    for tid in tids:
        marks = procfs.switch_counts(procfs.read(pid, f"task/{tid}/status"))
        stands_in = parse_call(procfs.read(pid, f"task/{tid}/syscall"), marks)
        if stands_in is None:
            return None
        found[tid] = stands_in
    return found


def call(pid: int, tid: int) -> Call | None:
    """The call that a thread is blocked in, without marks.

    Raises:
        OSError: it has ended, or may not be looked into.
    """
    return parse_call(procfs.read(pid, f"task/{tid}/syscall"), b"")


def parse_call(raw: bytes, marks: bytes) -> Call | None:
    """The call of a syscall file; None for a thread that runs or is outside of any."""
    parts = raw.split()
    if len(parts) < 7 or int(parts[0]) < 0:
        return None
    return Call(int(parts[0]), tuple(int(part, 16) for part in parts[1:7]), marks + b" " + raw)


def may_be_full(pid: int, tid: int) -> bool:
    """Whether a thread in a write to a pipe sleeps as one does before a full one: others are
    stopped, or frozen. A kernel that does not tell its functions' names leaves that open.

    Raises:
        OSError: it is gone, or may not be looked into.
    """
    sleeps_in = procfs.read(pid, f"task/{tid}/wchan")
    return sleeps_in in {b"", b"0"} or b"pipe_write" in sleeps_in
