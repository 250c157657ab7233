"""Python stacks: what a thread was in the middle of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """One Python frame; ``file`` is the path inside the target, ``line`` None when not known."""

    function: str
    file: str
    line: int | None = None


Stack = tuple[Frame, ...]
"""Frames, root first, without process and thread roots."""
