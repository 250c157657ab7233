"""The one clock: times are CLOCK_MONOTONIC nanoseconds (``_ns``) or seconds (``_s``)."""

from __future__ import annotations

from datetime import datetime

NS = 1_000_000_000


def to_the_second(time: str) -> str:
    """A time in ISO 8601 as people read it, "2026-01-02 03:04:05 UTC"; another text as it is."""
    try:
        told = datetime.fromisoformat(time)
    except ValueError:
        return time
    return f"{told:%Y-%m-%d %H:%M:%S} {told.tzname() or ''}".rstrip()
