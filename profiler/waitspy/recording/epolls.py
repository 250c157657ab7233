"""The stream ``epoll``: when I/O waited uncollected, and in which sockets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from waitspy.model.columns import int64s, thin
from waitspy.model.epolls import EpollEvent, EpollEvents, UnreadSocket
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


class EpollColumns:
    """Takes a stream's rows, part by part, and makes columns of them."""

    def __init__(self) -> None:
        self._parts = [EpollEvents.of().columns]
        self._others: dict[int, EpollEvent] = {}
        self._many = 0

    def take(self, rows: Sequence[EpollRow]) -> None:
        """The next rows."""
        for n, row in enumerate(rows, self._many):
            if not isinstance(row, EpollReady):
                self._others[n] = _other(row)
        self._many += len(rows)
        ready = [row.is_ready if type(row) is EpollReady else None for row in rows]
        at_ns, epfds = [row.at_ns for row in rows], [row.epfd for row in rows]
        self._parts.append((int64s(at_ns), int64s(epfds), int64s(ready)))

    def events(self) -> EpollEvents:
        """All that they tell."""
        at_ns, epfds, ready = map(np.concatenate, zip(*self._parts, strict=True))
        return EpollEvents((at_ns, thin(epfds), ready), self._others)


def _other(row: EpollOpened | EpollUnread | EpollClosed) -> EpollEvent:
    match row:
        case EpollUnread():
            return EpollEvent(row.at_ns, row.epfd, unread=row.sockets)
        case EpollOpened():
            return EpollEvent(row.at_ns, row.epfd, share=row.share)
        case EpollClosed():
            return EpollEvent(row.at_ns, row.epfd, closed=True)
