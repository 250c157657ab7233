"""Strategies for what stands in rows, and a row's way to a file and back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from waitspy.recording.rows import Reader, read, written

TIMES = st.integers(0, 2**63 - 1)
COUNTS = st.integers(0, 2**63 - 1)
ADDRESSES = st.integers(0, 2**64 - 1)
TEXTS = st.text(max_size=8)  # by default without surrogates
MAYBE_TEXTS = st.none() | TEXTS


def again(rows: list[Any], reader: Reader) -> list[Any]:
    """Those rows, written and read."""
    found: list[Any] = []
    lines = read(written(rows), reader, found.extend)
    assert (lines.damaged, lines.torn) == (0, False)
    return found
