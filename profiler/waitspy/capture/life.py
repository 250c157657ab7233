"""Whether a process that was attached is still there: its number may be another's by now."""

from __future__ import annotations

import os
import select
from contextlib import suppress


class Life:
    """That of one process, from when this was made on."""

    def __init__(self, pid: int) -> None:
        self._pidfd: int | None = None
        self._poll = select.poll()
        with suppress(OSError):  # it is gone, or Linux is older than 5.3: scans tell, later
            self._pidfd = os.pidfd_open(pid)
            self._poll.register(self._pidfd, select.POLLIN)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Nobody asks any more."""
        if self._pidfd is not None:
            self._poll.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
