"""Signals, taken one by one between ticks instead of interrupting anything.

While a capture runs, its signals are blocked and fetched with sigtimedwait(2), which is also the
capture's sleep; so no step is ever cut in half, and the sender of each signal is known.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_TAKEN = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
    signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
)  # fmt: skip
_SI_KERNEL = 0x80  # include/uapi/asm-generic/siginfo.h: sent by the kernel, here by the terminal


@dataclass(frozen=True, slots=True)
class Received:
    """One signal; ``from_terminal`` means that the whole foreground group got it as well."""

    number: signal.Signals
    from_terminal: bool


class Signals:
    """Context in which signals are fetched with ``wait``; afterwards they act as before."""

    def __enter__(self) -> Self:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, _TAKEN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self.wait_until(0) is not None:  # what came too late must not act now
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def wait_until(self, deadline_ns: int) -> Received | None:
        """The next signal, or None when the monotonic deadline has passed."""
        left_s = max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9)
        got = signal.sigtimedwait(_TAKEN, left_s)
        if got is None:
            return None
        return Received(signal.Signals(got.si_signo), got.si_code == _SI_KERNEL)
