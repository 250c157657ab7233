"""The stream ``datagrams``: what lay unread in sockets for datagrams, named by inode."""

from __future__ import annotations

from waitspy.model.datagrams import DatagramEvent
from waitspy.model.ranges import Count
from waitspy.recording.rows import Row, reader


class DatagramsFound(Row, frozen=True, tag="socket"):
    """The process holds such a socket that has a name and no peer."""

    inode: Count
    name: str
    fd: Count


class DatagramsUnread(Row, frozen=True, tag="unread"):
    """So much is unread in it; see ``DatagramEvent``."""

    inode: Count
    size: Count
    dropped: Count | None = None
    taken: Count | None = None


class DatagramsLooked(Row, frozen=True, tag="readers"):
    """Who reads from it, as a look told while something was unread."""

    inode: Count
    in_loop: bool
    readers: tuple[tuple[Count, Count], ...] = ()
    asking: tuple[Count, ...] = ()


class DatagramsClosed(Row, frozen=True, tag="closed"):
    """The process holds it no longer."""

    inode: Count


DatagramRow = DatagramsFound | DatagramsUnread | DatagramsLooked | DatagramsClosed
READER = reader(DatagramRow)


def event(row: DatagramRow) -> DatagramEvent:
    """The event that a row tells of."""
    at_ns, inode = row.at_ns, row.inode
    match row:
        case DatagramsFound():
            return DatagramEvent(at_ns, inode, name=row.name, fd=row.fd)
        case DatagramsUnread():
            return DatagramEvent(
                at_ns, inode, unread=row.size, dropped=row.dropped, taken=row.taken
            )
        case DatagramsLooked():
            return DatagramEvent(
                at_ns,
                inode,
                looked=True,
                in_loop=row.in_loop,
                readers=row.readers,
                asking=row.asking,
            )
        case DatagramsClosed():
            return DatagramEvent(at_ns, inode, closed=True)
