"""Whether the observer goes before others on a busy machine: only while it times a stall.

Usually it runs as it was started. Raised all the time, it would take the core that a server at its
limit needs; made nice, it would be late, and what it has not seen it may not tell. While something
waits and is not served, late looks would make less sure when that ends, and who had the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_RAISED = -10


@contextmanager
def precedence() -> Iterator[Callable[[bool], None]]:
    """Gives what raises our priority, where that is allowed, or takes that back.

    What we start runs as before.
    """
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    now_raised = False

    def timing(stall: bool) -> None:
        nonlocal now_raised
        if stall == now_raised:
            return
        now_raised = stall
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, min(usual, _RAISED) if stall else usual)

    try:
        yield timing
    finally:
        timing(False)
