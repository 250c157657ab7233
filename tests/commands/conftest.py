"""A recording that was made of a hostile target."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.build import HANDLER, POLL, START_NS, Trace, at
from waitspy.recording.folder import Writer, save_sources


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A second of two threads of one worker, whose command and file names are hostile."""
    path = tmp_path / "rec"
    writer = Writer(
        str(path),
        {
            "clock": {"monotonic_ns": START_NS, "wall": "2026-01-02T03:04:05+00:00"},
            "host": {"name": "web-1\x1b[31m", "kernel": "6.1", "arch": "x86_64", "cpus": 2},
            "target": ":8000\u202e",
            "rate_hz": 100.0,
            "tick_s": 0.01,
            "min_stall_s": 0.1,
        },
    )
    rows = (
        Trace(7)
        .show(1_000, 1, "thread (7): Main", POLL)
        .show(200_000, 1, "thread (7): Main", HANDLER)
    )
    writer.save_file("stacks/7-0.trace.json", rows.end(999_000))
    writer.meta["workers"] = [
        {
            "pid": 7, "ppid": 1, "role": "worker", "command": "python \x1b]0;<b>owned\x07\n…",
            "start_ticks": 5_000, "python": "3.12.1", "framework": "uvicorn", "threads": 2,
            "attached_ns": START_NS, "oracles": {},
        }
    ]  # fmt: skip
    writer.meta["segments"] = [
        {"pid": 7, "n": 0, "file": "7-0.trace.json", "zero_ns": START_NS, "rate_hz": 100}
    ]
    writer.meta["end_ns"] = at(1_000)
    writer.close()
    save_sources(str(path), {"/app/client.py": {41: "    time.sleep(backoff_s)"}})
    return path
