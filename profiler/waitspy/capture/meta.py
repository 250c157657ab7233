"""What meta.json says of the machine, of a worker, and of waitspy's own memory."""

from __future__ import annotations

import os
import platform
import socket
from datetime import datetime
from typing import Any

from waitspy.kernel import procfs
from waitspy.model.processes import Worker


def clock(monotonic_ns: int) -> dict[str, Any]:
    """What the clock of the recording shows now, beside the time that the machine's logs tell."""
    return {"monotonic_ns": monotonic_ns, "wall": datetime.now().astimezone().isoformat()}


def host() -> dict[str, Any]:
    """This machine."""
    return {
        "name": socket.gethostname(),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "cpus": os.cpu_count() or 1,
    }


def worker_row(worker: Worker, now_ns: int) -> dict[str, Any]:
    """The worker's row, without what is unknown."""
    values = {name: getattr(worker, name) for name in Worker.__dataclass_fields__}
    row = {name: value for name, value in values.items() if value is not None}
    return {**row, "attached_ns": now_ns, "oracles": {}}


def own_peak_rss_bytes() -> int | None:
    """The most memory that this process has had at once; None where the kernel does not say.

    Not what ``getrusage`` tells: that is never less than what its parent had when it was started.
    """
    try:
        return procfs.read_status(os.getpid()).peak_rss_bytes
    except (OSError, ValueError):
        return None
