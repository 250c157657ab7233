"""What lay unread in connections that a process has opened itself, as recorded."""

from __future__ import annotations

import msgspec


class MessageEvent(msgspec.Struct, frozen=True, gc=False):
    """A row about one such connection (by its inode), from which threads read messages.

    ``peer`` is told first, and ``reader`` is a thread that was seen to wait for messages.
    ``unread`` bytes lay in it, ``read`` have been read so far; ``quiet_ns`` is for how long its
    peer had sent nothing before some of them came, zero where that is not known.
    """

    at_ns: int
    inode: int
    peer: str | None = None
    reader: int | None = None
    unread: int | None = None
    read: int = 0
    quiet_ns: int = 0
    closed: bool = False
