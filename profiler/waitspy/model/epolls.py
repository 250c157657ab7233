"""What was recorded of epoll descriptors, and of the unread sockets behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from waitspy.model.columns import Int64s, int64s
from waitspy.model.event_columns import EventColumns


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


class EpollEvents(EventColumns[EpollEvent]):
    """The events of a process's epolls; columns are times, descriptors, and ``ready`` as 0 or 1."""

    __slots__ = ()

    @classmethod
    def of(cls, events: Iterable[EpollEvent] = ()) -> EpollEvents:
        """The columns of those events."""
        rows = list(events)
        columns = (
            int64s(event.at_ns for event in rows),
            int64s(event.epfd for event in rows),
            int64s(event.ready for event in rows),
        )
        return cls(columns, {n: event for n, event in enumerate(rows) if event.ready is None})

    @property
    def epfd(self) -> Int64s:
        """The descriptors."""
        return self.columns[1]

    @property
    def ready(self) -> Int64s:
        """Whether events wait uncollected, 0 or 1; ``UNKNOWN`` where it is about something else."""
        return self.columns[2]

    @property
    def shares(self) -> Iterator[tuple[int, int]]:
        """Descriptors, each with the number of its open file description."""
        return ((e.epfd, e.share) for e in self.others.values() if e.share is not None)

    @property
    def looks(self) -> Iterator[tuple[EpollEvent, tuple[UnreadSocket, ...]]]:
        """The events that tell unread sockets, with these."""
        return ((e, e.unread) for e in self.others.values() if e.unread is not None)

    def behind(self, epfd: int) -> EpollEvents:
        """Those of one descriptor."""
        return self.kept(self.epfd == epfd)

    def _event(self, *row: int) -> EpollEvent:
        at_ns, epfd, ready = row
        return EpollEvent(at_ns, epfd, ready=bool(ready))
