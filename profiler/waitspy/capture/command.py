"""``record -- COMMAND``: starts it as it would run without waitspy, and passes signals on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence

import psutil

from waitspy.capture.signals import Received, Signals
from waitspy.errors import TargetError
from waitspy.kernel import procfs
from waitspy.model.clock import NS

_GRACE_NS = 10 * NS
_ORPHANS_NS = NS // 2  # what the command has told to end gets so long to do it
_LOOK_NS = NS // 50


class Command:
    """A started command; it shares our terminal, process group and standard streams.

    ``mask`` are the signals that it starts with blocked: those that waitspy itself was started
    with.

    Raises:
        TargetError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str], mask: Iterable[int] = ()) -> None:
        def before_exec() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

        try:
            self._process = subprocess.Popen(list(argv), preexec_fn=before_exec)  # noqa: PLW1509
        except (OSError, subprocess.SubprocessError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise TargetError(
                f"cannot start {procfs.shown(argv[0])}: {why}",
                "give the command as the shell would find it, after --",
            ) from None
        self.pid = self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code (128 + N when killed by signal N), None while it runs."""
        process = self._process
        if process.returncode is None:
            pid, status, _ = os.wait4(self.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
        code = process.returncode
        return 128 - code if code is not None and code < 0 else code

    def pass_on(self, received: Received) -> None:
        """Forwards a signal, unless the terminal has sent it to the command as well."""
        if self.exit_code is not None:
            return
        if not received.from_terminal or os.getpgid(self.pid) != os.getpgrp():
            self._send(received.number)

    def wait(self, signals: Signals, deadline_ns: int | None) -> bool:
        """Waits for its end, passing signals on; whether it ended by itself in time.

        A second signal that asks for the end is not passed on: it ends the waiting.
        """
        asked = 0
        while self.exit_code is None:
            now_ns = time.monotonic_ns()
            if deadline_ns is not None and now_ns >= deadline_ns:
                return False
            received = signals.wait_until(now_ns + _LOOK_NS)
            if received is None:
                continue
            asked += received.ends
            if asked > 1:
                return False
            self.pass_on(received)
        return True

    def end(self, signals: Signals) -> None:
        """Ends it and what it has started: SIGTERM, and SIGKILL after ten seconds.

        A signal that asks for the end meanwhile takes the next step at once. What it started
        is left alone when it has ended already by itself.
        """
        if self.exit_code is not None:
            return
        below = _below(self.pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._send(number)
            if _until(lambda: self.exit_code is not None, signals, _GRACE_NS):
                break
        # Servers tell their workers to end, but a shell ends without telling what it runs.
        if _until(lambda: not _alive(below), signals, _ORPHANS_NS):
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in _alive(below):  # some may run as another user, whom we may not signal
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            if _until(lambda: not _alive(below), signals, _GRACE_NS):
                return

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # as after sudo
            os.kill(self.pid, number)


def _until(true: Callable[[], bool], signals: Signals, within_ns: int) -> bool:
    """Whether it became true in that time, and before a signal asked for the end."""
    deadline_ns = time.monotonic_ns() + within_ns
    while not true():
        now_ns = time.monotonic_ns()
        received = signals.wait_until(min(deadline_ns, now_ns + _LOOK_NS))
        if now_ns >= deadline_ns or (received is not None and received.ends):
            return False
    return True


def _below(pid: int) -> list[psutil.Process]:
    """Everything below a process; each knows its pid again only as long as it is the same one."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _alive(known: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [process for process in known if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
