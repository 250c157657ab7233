"""The command lines that multiprocessing gives to the processes which it starts.

They are alike in every program: they tell what a process is for, and nothing of whose it is.
"""

from __future__ import annotations

import re

TRACKER = re.compile(r"(?:resource|semaphore)_tracker import main|loky\.backend\.resource_tracker")
FORKSERVER = re.compile(r"\.forkserver import main")
SPAWNED = re.compile(r"\.spawn import spawn_main|loky\.backend\.popen_loky")


def says_nothing(command: str) -> bool:
    """Whether a command line is one of those."""
    return any(one.search(command) for one in (TRACKER, FORKSERVER, SPAWNED))
