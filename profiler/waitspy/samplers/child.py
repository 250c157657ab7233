"""One child process of waitspy: started so that it cannot outlive us, reaped with its CPU time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO

import psutil

from waitspy.kernel import calls

_NICENESS = os.getpriority(os.PRIO_PROCESS, 0)  # of waitspy as it was started


def _before_exec() -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
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
    """A helper process; its output goes to the given files.

    Raises:
        OSError: it cannot be started.
        subprocess.SubprocessError: the same, after the fork.
    """

    def __init__(self, argv: Sequence[str], stdout: IO[bytes], stderr: IO[bytes]) -> None:
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
            preexec_fn=_before_exec,  # noqa: PLW1509  (waitspy starts no threads)
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
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0
