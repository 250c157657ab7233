"""What is said where a report is about to be shared."""

from __future__ import annotations

REDACTED = (
    "redacted: command lines, hosts, users, addresses, paths outside the program and texts in its "
    "source are hidden"
)
"""Of a report that was made with ``--redact``."""

PRIVATE = (
    "Before you share this: it tells command lines, the host, addresses of peers, paths and lines "
    "of source. One made with --redact hides them."
)
"""Of one that was not."""
