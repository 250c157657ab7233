"""Signals, taken one by one between steps instead of interrupting anything.

From before a command is started or a folder written until the recording is whole, signals are
blocked and fetched with sigtimedwait(2), which is also the capture's sleep; so no step is ever cut
in half, and the sender of each signal is known.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""The signals that ask for the end."""

_TAKEN = (*sorted(ENDING), signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_SI_KERNEL = 0x80  # include/uapi/asm-generic/siginfo.h: sent by the kernel, here by the terminal
_SAME_NS = 100_000_000
"""timeout(1) and service managers signal the process and then its group: that is one request.
Nobody presses Ctrl-C twice within this time."""


@dataclass(frozen=True, slots=True)
class Received:
    """One signal; ``from_terminal`` means that the whole foreground group got it as well."""

    number: signal.Signals
    from_terminal: bool

    @property
    def ends(self) -> bool:
        """It asks for the end."""
        return self.number in ENDING


class Signals:
    """Context in which signals are fetched with ``wait_until``; afterwards they act as before.

    Signals that were ignored before, as nohup(1) does with SIGHUP, stay ignored. Contexts may
    nest. ``before`` is the mask of blocked signals outside, with which to start other programs.
    """

    def __init__(self) -> None:
        self._taken = frozenset(n for n in _TAKEN if signal.getsignal(n) is not signal.SIG_IGN)
        self._last: dict[int, int] = {}
        self.before: frozenset[int] = frozenset()

    def __enter__(self) -> Self:
        self.before = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, self._taken))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self.wait_until(0) is not None:  # what came too late must not act now
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)

    def wait_until(self, deadline_ns: int) -> Received | None:
        """The next signal, or None when the monotonic deadline has passed."""
        while True:
            left_s = max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9)
            got = signal.sigtimedwait(self._taken, left_s)
            if got is None:
                return None
            if got.si_signo not in self._taken:
                continue  # Python says 0 when it was stopped (SIGSTOP, Ctrl-Z) past the deadline
            number = signal.Signals(got.si_signo)
            now_ns = time.monotonic_ns()
            repeated = number in ENDING and now_ns - self._last.get(number, -_SAME_NS) < _SAME_NS
            self._last[number] = now_ns
            if not repeated:
                return Received(number, got.si_code == _SI_KERNEL)
