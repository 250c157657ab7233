"""Lists in messages: one line for each thing, so that they can be read. Pure."""

from __future__ import annotations

from collections.abc import Iterable

LISTED = 6
"""How many things a message lists."""


def lines(first: str, things: Iterable[str]) -> str:
    """A hint of several lines: what to do, then what there is to choose from."""
    known = list(things)
    more = [f"and {len(known) - LISTED} more"] if len(known) > LISTED else []
    return "\n".join([f"{first}:", *known[:LISTED], *more])
