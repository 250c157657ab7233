"""Content security policies for pages that carry all they need: nothing is loaded or sent."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable


def policy(*, script: str, style: str, more: tuple[str, ...] = ()) -> str:
    """A policy with these source lists; ``more`` are whole directives."""
    rules = (
        "default-src 'none'",
        f"script-src {script}",
        f"style-src {style}",
        *more,
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def hashes(texts: Iterable[str]) -> str:
    """The source list that allows inline elements with exactly these texts."""
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in digests)
