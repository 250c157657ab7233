"""What listening sockets were seen to hold, as recorded."""

from __future__ import annotations

import msgspec


class ListenerEvent(msgspec.Struct, frozen=True, gc=False):
    """A row about one listening socket (by its inode) of a process; one of the fields is set.

    ``name`` and ``fd`` come together. ``waiting`` connections are to be accepted; only one of the
    processes that share a socket says so. ``accepted`` is how many the process holds; with it come
    ``acceptors``, its threads in code that accepts there.
    """

    at_ns: int
    inode: int
    name: str | None = None
    fd: int | None = None
    closed: bool = False
    waiting: int | None = None
    accepted: int | None = None
    acceptors: tuple[int, ...] = ()


def port_of(listener: str) -> int | None:
    """The TCP port of a listening socket, by its name; None: it is a unix socket."""
    port = listener.rpartition(":")[2]
    return int(port) if not listener.startswith(("/", "@")) and port.isdecimal() else None
