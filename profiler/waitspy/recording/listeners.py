"""The stream ``backlog``: what waited in listening sockets, named by inode, to be accepted."""

from __future__ import annotations

from waitspy.model.listeners import ListenerEvent
from waitspy.model.ranges import Count
from waitspy.recording.rows import Row, reader


class ListenerFound(Row, frozen=True, tag="listens"):
    """The process holds a listening socket."""

    inode: Count
    name: str
    fd: Count


class ListenerWaiting(Row, frozen=True, tag="waiting"):
    """So many connections wait in it."""

    inode: Count
    connections: Count


class ListenerAccepted(Row, frozen=True, tag="accepted"):
    """So many connections that came in there are held by the process, None: not known; and which
    of its threads are in code that accepts there, as far as that was seen.
    """

    inode: Count
    connections: Count | None
    threads: tuple[Count, ...] = ()


class ListenerClosed(Row, frozen=True, tag="closed"):
    """The process holds it no longer."""

    inode: Count


ListenerRow = ListenerFound | ListenerWaiting | ListenerAccepted | ListenerClosed
READER = reader(ListenerRow)


def event(row: ListenerRow) -> ListenerEvent:
    """The event that a row tells of."""
    match row:
        case ListenerWaiting():
            return ListenerEvent(row.at_ns, row.inode, waiting=row.connections)
        case ListenerAccepted():
            return ListenerEvent(
                row.at_ns, row.inode, accepted=row.connections, acceptors=row.threads
            )
        case ListenerFound():
            return ListenerEvent(row.at_ns, row.inode, name=row.name, fd=row.fd)
        case ListenerClosed():
            return ListenerEvent(row.at_ns, row.inode, closed=True)
