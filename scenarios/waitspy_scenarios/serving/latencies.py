"""How long requests took: percentiles, and a small table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PERCENTILES = (50, 99)


@dataclass(slots=True)
class Latencies:
    """What the clients of one kind saw: answers (in seconds), failures, and who still waits."""

    answered_s: list[float] = field(default_factory=list)
    failed: int = 0
    waiting: int = 0


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values: the smallest that ``share`` % do not exceed."""
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def format_latencies(seen: Mapping[str, Latencies]) -> str:
    """The table as aligned plain text, one row per kind of request."""
    head = ("", "answered", "failed", "waiting", *(f"p{p} ms" for p in PERCENTILES), "max ms")
    rows = [head, *(_cells(name, latencies) for name, latencies in seen.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        row[0].ljust(widths[0])
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def _cells(name: str, latencies: Latencies) -> tuple[str, ...]:
    ordered = sorted(latencies.answered_s)
    times = [percentile(ordered, share) for share in (*PERCENTILES, 100)] if ordered else []
    shown = [f"{seconds * 1000:.0f}" for seconds in times] or ["-"] * (len(PERCENTILES) + 1)
    counts = (len(ordered), latencies.failed, latencies.waiting)
    return (name, *map(str, counts), *shown)
