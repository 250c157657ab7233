"""Python stacks: what a thread was in the middle of."""

from __future__ import annotations

import msgspec


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One Python frame; ``file`` is the path inside the target, ``line`` None when not known."""

    function: str
    file: str
    line: int | None = None


Stack = tuple[Frame, ...]
"""Frames, root first, without process and thread roots."""
