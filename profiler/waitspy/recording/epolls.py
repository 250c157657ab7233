"""The stream ``epoll``: when I/O waited uncollected, and in which sockets."""

from __future__ import annotations

from waitspy.model.epolls import EpollEvent, UnreadSocket
from waitspy.model.ranges import Count
from waitspy.recording.rows import Row, reader


class EpollOpened(Row, frozen=True, tag="open"):
    """There is an epoll; ``share`` is the same for descriptors of the same one."""

    epfd: Count
    share: Count


class EpollReady(Row, frozen=True, tag="ready"):
    """Events wait in it uncollected, or do so no longer."""

    epfd: Count
    is_ready: bool


class EpollUnread(Row, frozen=True, tag="unread"):
    """Its sockets in which something is unread, at a look."""

    epfd: Count
    sockets: tuple[UnreadSocket, ...]


class EpollClosed(Row, frozen=True, tag="closed"):
    """It is no more."""

    epfd: Count


EpollRow = EpollOpened | EpollReady | EpollUnread | EpollClosed
READER = reader(EpollRow)


def event(row: EpollRow) -> EpollEvent:
    """The event that a row tells of."""
    match row:
        case EpollReady():
            return EpollEvent(row.at_ns, row.epfd, ready=row.is_ready)
        case EpollUnread():
            return EpollEvent(row.at_ns, row.epfd, unread=row.sockets)
        case EpollOpened():
            return EpollEvent(row.at_ns, row.epfd, share=row.share)
        case EpollClosed():
            return EpollEvent(row.at_ns, row.epfd, closed=True)
