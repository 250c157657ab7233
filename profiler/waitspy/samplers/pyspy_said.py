"""What py-spy says: its last words when it ends, and the stacks of a dump."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from contextlib import suppress
from typing import IO

from waitspy.model.stacks import Frame, Stack
from waitspy.recording.dumps import DumpRow

_LAST_BYTES = 1 << 16  # errors and the count of samples come last
_LONGEST_WHY = 300


def scratch() -> IO[bytes]:
    """A nameless file for what a helper says; in memory where possible, as disks fill up."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("py-spy"), "w+b")
    return tempfile.TemporaryFile()


def last_words(said: IO[bytes]) -> str:
    """The end of what it said."""
    said.seek(max(0, size(said) - _LAST_BYTES))
    return said.read(_LAST_BYTES).decode("utf-8", "replace")


def size(file: IO[bytes]) -> int:
    """How many bytes there are by now."""
    return os.fstat(file.fileno()).st_size


def read_dump(raw: bytes, at_ns: int, until_ns: int) -> DumpRow:
    """The stacks of a dump.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is none.
    """
    stacks: dict[int, Stack] = {}
    gil_tid = None
    threads = json.loads(raw.decode("utf-8", "replace"))
    pthreads = any(thread["os_thread_id"] is None for thread in threads)
    for thread in threads:
        tid = int(thread["thread_id" if pthreads else "os_thread_id"])
        frames = reversed(thread["frames"])
        stacks[tid] = tuple(Frame(f["name"], f["filename"], f["line"] or None) for f in frames)
        if thread.get("owns_gil"):
            gil_tid = tid
    return DumpRow(at_ns, stacks, gil_tid, until_ns)


def not_started(error: Exception) -> str:
    """Why there is none."""
    return f"py-spy cannot be started: {getattr(error, 'strerror', None) or error}"


def _signal_name(number: int) -> str:
    if number == signal.SIGXFSZ:
        return "SIGXFSZ, as what it wrote became too large"
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def why(code: int, said: str) -> str:
    """Why one failed, by its exit code and its last words."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("Error:", "Reason:"))]
    if errors:
        told = "; ".join(line.split(":", 1)[1].strip() for line in errors)
        return f"py-spy: {told[:_LONGEST_WHY]}"
    if code < 0:
        return f"py-spy was killed by {_signal_name(-code)}"
    return f"py-spy ended with code {code}" + (f": {lines[-1][:_LONGEST_WHY]}" if lines else "")
