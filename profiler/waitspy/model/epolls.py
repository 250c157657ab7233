"""What was recorded of epoll descriptors, and of the unread sockets behind them."""

from __future__ import annotations

from typing import Literal

import msgspec


class UnreadSocket(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A socket of a loop that holds data, connections to accept or an end-of-file, not yet read.

    ``size`` is in bytes, or connections for a listener; ``inbound`` says that its local port is
    one that somebody listens on, so that the peer is a client. ``read_bytes`` is how much has been
    read from a connection so far: it grows when, and only when, the connection is served.
    """

    inode: int
    kind: Literal["tcp", "listener", "eof"]
    size: int
    local: str
    peer: str
    inbound: bool = False
    read_bytes: int | None = None


class EpollEvent(msgspec.Struct, frozen=True, gc=False):
    """A change of one epoll descriptor of a process.

    ``ready`` says whether events wait uncollected; None when this event is not about that.
    ``share`` names the open file description: descriptors with the same number, also of other
    processes, are the same epoll. ``unread`` lists its sockets that hold something to read, at
    the times when that was looked up.
    """

    at_ns: int
    epfd: int
    ready: bool | None = None
    closed: bool = False
    share: int | None = None
    unread: tuple[UnreadSocket, ...] | None = None
