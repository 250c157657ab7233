"""What sockets for datagrams were seen to hold, and who reads from them, as recorded."""

from __future__ import annotations

import msgspec


class DatagramEvent(msgspec.Struct, frozen=True, gc=False):
    """A row about one socket for datagrams (by its inode) of a process.

    ``name`` and ``fd`` come together. ``unread`` is zero where nothing is unread, else a size;
    ``dropped`` datagrams found no room so far, and ``taken`` were read in all of its network
    namespace, None where that is not known. A look (``looked``) told that an epoll of the process
    watches the socket (``in_loop``), or else which threads read from it by themselves
    (``readers``, each with the address of a frame that does), or after they have sent something:
    as clients do (``asking``).
    """

    at_ns: int
    inode: int
    name: str | None = None
    fd: int | None = None
    closed: bool = False
    unread: int | None = None
    dropped: int | None = None
    taken: int | None = None
    looked: bool = False
    in_loop: bool = False
    readers: tuple[tuple[int, int], ...] = ()
    asking: tuple[int, ...] = ()
