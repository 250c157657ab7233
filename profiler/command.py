"""``record -- COMMAND``: starts it as it would run without waitspy, and passes signals on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence

from profiler.errors import TargetError
from profiler.stopping import Received

_GRACE_S = 10.0


def _before_exec() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


class Command:
    """A started command; it shares our terminal, process group and standard streams.

    Raises:
        TargetError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(list(argv), preexec_fn=_before_exec)  # noqa: PLW1509
        except OSError as error:
            raise TargetError(
                f"cannot start {argv[0]}: {error.strerror}",
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
        if self.exit_code is None and not received.from_terminal:
            os.kill(self.pid, received.number)

    def end(self) -> None:
        """Ends it: SIGTERM, and SIGKILL when it has not ended after ten seconds."""
        deadline = time.monotonic() + _GRACE_S
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGTERM)
        while self.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGKILL)
            while self.exit_code is None:
                time.sleep(0.02)
