"""The one clock: times are CLOCK_MONOTONIC nanoseconds (``_ns``) or seconds (``_s``)."""

from __future__ import annotations

NS = 1_000_000_000
