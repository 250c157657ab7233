"""One child process of waitspy: started so that it cannot outlive us, reaped with its CPU time."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from typing import IO

from waitspy.kernel import calls, procfs
from waitspy.recording.files import TRACE_BYTES

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_NICENESS = os.getpriority(os.PRIO_PROCESS, 0)  # of waitspy as it was started
_NICER = 10  # so much nicer is who can wait: it gets a tenth of what another one does


def _before_exec(nicer: int) -> None:
    os.umask(0o077)  # what it writes is as private as the recording
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS + nicer)
    # Each child has a session of its own (see below). Where the kernel shares the CPU out to
    # sessions first (sched(7), autogroup), one would count as much as a whole server, nice or not.
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as f:
        f.write(str(min(19, max(0, _NICENESS + nicer))))
    # Nobody reads more of it, and it must fill neither the disk nor, by what it says, the memory.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft == resource.RLIM_INFINITY or soft > TRACE_BYTES:
        resource.setrlimit(resource.RLIMIT_FSIZE, (TRACE_BYTES, hard))
    # The capture blocks signals to take them one by one; children must not inherit that.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with contextlib.suppress(OSError):
        calls.end_with_parent(signal.SIGINT)  # py-spy then detaches and writes


def cpu_clock(pid: int) -> int:
    """The clock id of a process's CPU time: the kernel's MAKE_PROCESS_CPUCLOCK(pid, SCHED).

    include/linux/posix-timers_types.h, Linux 6.12.
    """
    return (~pid << 3) | 2


class Child:
    """A helper process; its output goes to the given files, and it has the descriptors of ``keep``.

    One that ``can_wait`` leaves the CPU to others where that is scarce.

    Raises:
        OSError: it cannot be started.
        subprocess.SubprocessError: the same, after the fork.
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
        self.spawned_ns = time.monotonic_ns()
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=env,
            start_new_session=True,
            pass_fds=keep,
            # waitspy starts no threads but those that read a file, for which it waits
            preexec_fn=partial(_before_exec, _NICER if can_wait else 0),  # noqa: PLW1509
        )
        # Popen returns when the exec has happened (its error pipe closed).
        self.started_ns = time.monotonic_ns()
        self.pid = self._process.pid
        self._cpu_ns = 0

    def poll(self) -> int | None:
        """The exit code (negative: the signal), None while it runs."""
        process = self._process
        if process.returncode is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                self._cpu_ns = int((usage.ru_utime + usage.ru_stime) * 1e9)
        return process.returncode

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
        if self._process.returncode is None:
            with contextlib.suppress(OSError):
                self._cpu_ns = max(self._cpu_ns, time.clock_gettime_ns(cpu_clock(self.pid)))
        return self._cpu_ns

    def rss_bytes(self) -> int:
        """Resident memory now; 0 once it has ended."""
        if self._process.returncode is not None:
            return 0
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as f:
                return int(f.read().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0
