"""One child process of waitspy: started so that it cannot outlive us, reaped with its CPU time."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from typing import IO

from waitspy.kernel import procfs
from waitspy.recording.files import TRACE_BYTES

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_NICENESS = os.getpriority(os.PRIO_PROCESS, 0)  # of waitspy as it was started
_NICER = 10  # so much nicer is who can wait: it gets a tenth of what another one does


@contextlib.contextmanager
def _as_children_begin(keep: Sequence[int]) -> Iterator[None]:
    """What is started within it inherits what suits a helper; this process is as before after it.

    A fork that sets this up by itself would copy all our page tables, and have us wait for it.
    """
    for fd in keep:
        os.set_inheritable(fd, True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    umask = os.umask(0o077)  # what it writes is as private as the recording
    try:
        # Nobody reads more of it, and it must fill neither the disk nor, by what it says, memory.
        if soft == resource.RLIM_INFINITY or soft > TRACE_BYTES:
            resource.setrlimit(resource.RLIMIT_FSIZE, (TRACE_BYTES, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        os.umask(umask)
        for fd in keep:
            os.set_inheritable(fd, False)


@functools.cache
def _lifeline() -> tuple[int, int]:
    """The ends of a pipe of which only this process has the one for writing: it ends with us."""
    return os.pipe()


def _tie(pid: int, reader: int) -> None:
    """Has the kernel send SIGINT to a child when this process ends, however it does: py-spy then
    detaches and writes. ``reader`` is an end of the lifeline that the child has, too.
    """
    fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
    fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGINT)
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_RDONLY | os.O_ASYNC)


def _above_the_first(fd: int, ours: contextlib.ExitStack) -> int:
    """A duplicate that is none of the first three, which a child has for its own; with some of them
    closed, ours may be among them.
    """
    duplicate = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    ours.callback(os.close, duplicate)
    return duplicate


def _make_nicer(pid: int, nicer: int) -> None:
    nice = _NICENESS + nicer
    with contextlib.suppress(OSError):  # it has ended
        for tid in procfs.threads(pid):
            os.setpriority(os.PRIO_PROCESS, tid, nice)
    # Each child has a session of its own (see below). Where the kernel shares the CPU out to
    # sessions first (sched(7), autogroup), one would count as much as a whole server, nice or not.
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as f:
        f.write(str(min(19, max(0, nice))))


class Child:
    """A helper process; its output goes to the given files, and it has the descriptors of ``keep``.

    One that ``can_wait`` leaves the CPU to others where that is scarce.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        stdout: IO[bytes],
        stderr: IO[bytes],
        *,
        can_wait: bool = False,
        keep: Sequence[int] = (),
    ) -> None:
        # RUST_BACKTRACE and RUST_LOG would bury py-spy's errors in other lines.
        env = {k: v for k, v in os.environ.items() if not k.startswith("RUST_")}
        with contextlib.ExitStack() as ours:
            tie = os.open(f"/proc/self/fd/{_lifeline()[0]}", os.O_RDONLY | os.O_CLOEXEC)
            ours.callback(os.close, tie)
            tie, out, err = (
                _above_the_first(fd, ours) for fd in (tie, stdout.fileno(), stderr.fileno())
            )
            with _as_children_begin((tie, *keep)):
                self.pid = os.posix_spawnp(
                    argv[0],
                    list(argv),
                    env,
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_DUP2, out, 1),
                        (os.POSIX_SPAWN_DUP2, err, 2),
                    ],
                    setsid=True,
                    # The capture blocks signals to take them one by one; children must not
                    # inherit that, nor what Python ignores.
                    setsigmask=(),
                    setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
                )
            # By now the exec has happened, as with vfork(2).
            self.started_ns = time.monotonic_ns()
            with contextlib.suppress(OSError):  # without it, it ends only when its time is up
                _tie(self.pid, tie)
        _make_nicer(self.pid, _NICER if can_wait else 0)
        self._code: int | None = None
        self._cpu_ns = 0

    def poll(self) -> int | None:
        """The exit code (negative: the signal), None while it runs."""
        if self._code is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                self._cpu_ns = int((usage.ru_utime + usage.ru_stime) * 1e9)
        return self._code

    def catches(self, number: signal.Signals) -> bool:
        """Whether it has a handler for a signal by now."""
        try:
            with open(f"/proc/{self.pid}/status", "rb") as f:
                rows = dict(
                    line.split(b":\t", 1) for line in f.read().splitlines() if b":\t" in line
                )
            return bool(int(rows[b"SigCgt"], 16) >> (number - 1) & 1)
        except (OSError, KeyError):
            return False

    def stopped(self) -> bool:
        """Whether somebody has stopped it."""
        try:
            return procfs.read_stat(self.pid).state == "T"
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def cpu_ns(self) -> int:
        """CPU time used so far."""
        if self._code is None:
            with contextlib.suppress(OSError):
                self._cpu_ns = max(self._cpu_ns, time.clock_gettime_ns(procfs.cpu_clock(self.pid)))
        return self._cpu_ns

    def rss_bytes(self) -> int:
        """Resident memory of its own now, without the pages of files, which all that run the same
        program share; 0 once it has ended.
        """
        if self._code is not None:
            return 0
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as f:
                _, resident, shared = f.read().split()[:3]
                return (int(resident) - int(shared)) * _PAGE_BYTES
        except (OSError, ValueError):
            return 0
