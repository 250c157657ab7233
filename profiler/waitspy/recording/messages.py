"""The stream ``messages``: what lay unread in connections that the process has opened itself."""

from __future__ import annotations

from waitspy.model.messages import MessageEvent
from waitspy.model.ranges import Count
from waitspy.recording.rows import Row, reader


class MessagesFound(Row, frozen=True, tag="connection"):
    """A thread of the process reads messages from a connection, by its inode."""

    inode: Count
    peer: str
    tid: Count


class MessagesUnread(Row, frozen=True, tag="unread"):
    """So many bytes are unread in it; see ``MessageEvent``."""

    inode: Count
    size: Count
    read: Count
    quiet_ns: Count = 0


class MessagesClosed(Row, frozen=True, tag="closed"):
    """One side has closed it."""

    inode: Count


MessageRow = MessagesFound | MessagesUnread | MessagesClosed
READER = reader(MessageRow)


def event(row: MessageRow) -> MessageEvent:
    """The event that a row tells of."""
    at_ns, inode = row.at_ns, row.inode
    match row:
        case MessagesFound():
            return MessageEvent(at_ns, inode, peer=row.peer, reader=row.tid)
        case MessagesUnread():
            return MessageEvent(at_ns, inode, unread=row.size, read=row.read, quiet_ns=row.quiet_ns)
        case MessagesClosed():
            return MessageEvent(at_ns, inode, closed=True)
