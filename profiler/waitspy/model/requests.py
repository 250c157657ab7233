"""What a server owed its clients, as recorded."""

from __future__ import annotations

import msgspec


class RequestsEvent(msgspec.Struct, frozen=True, gc=False):
    """A row about the connections that came in by one port.

    On ``owed`` of them the client has spoken last, on ``late`` of these for --min-stall and more;
    it did so at ``since_ns`` on the one that waits the longest, None where none does. ``owed`` is
    None when it could not be seen. Only one of the processes that share a port says so.

    ``outside`` connections have waited to be accepted for --min-stall and more since their client
    last spoke: since ``outside_since_ns`` the one that waits the longest, on average since
    ``outside_mean_ns``. ``let_in`` of those seen outside before are not there any more; they had
    waited since ``let_in_mean_ns`` on average.

    What the row before says was seen last at ``before_until_ns``, None where that is not known.
    """

    at_ns: int
    port: int
    owed: int | None = None
    late: int | None = None
    since_ns: int | None = None
    outside: int | None = None
    outside_since_ns: int | None = None
    outside_mean_ns: int | None = None
    let_in: int = 0
    let_in_mean_ns: int | None = None
    before_until_ns: int | None = None
