"""The connection from which a task waits to read, or in which it waits to have room.

The task stands in a method of what reads or writes there: ``self`` is a local of a suspended
coroutine, hence exact. It leads to the transport, which notes its descriptor and both addresses
when it is made; below TLS there is another one. uvloop's transports, written in C, do not tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from waitspy.kernel.nettable import Ends
from waitspy.model.stream_reads import read_of
from waitspy.model.unsent import drain_of
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Unreadable
from waitspy.remote.values import StandingTask

_DEEPEST = 4  # transports below each other

_FD_NAMES = ("_sock_fd", "_fileno")
"""The descriptor of a transport: Lib/asyncio/selector_events.py, unix_events.py."""


class TaskStreams:
    """Reads them of one process.

    Raises:
        OSError: from every method.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._objects = frames.objects

    def full(self, task: StandingTask) -> Ends | None:
        """Both ends of the connection that a task waits to have room in; None: of none, or not
        known.
        """
        for coroutine, code, _ in task.steps:
            with contextlib.suppress(Unreadable, KeyError, ValueError):
                method = drain_of(self._frames.code(code))
                if method is not None:
                    transport = self._transport(coroutine, (method.transport,))
                    names = {"sockname", "peername"}
                    extra = self._objects.attributes(transport, {"_extra"})["_extra"]
                    both = self._objects.named(self._objects.dict_items(extra), names)
                    return Ends(*self._address(both["sockname"]), *self._address(both["peername"]))
        return None

    def empty(self, task: StandingTask) -> int | None:
        """The descriptor of the connection that a task waits to read from; None: of none, or not
        known.
        """
        for coroutine, code, _ in task.steps:
            with contextlib.suppress(Unreadable, KeyError, ValueError):
                method = read_of(self._frames.code(code))
                if method is not None:
                    transport = self._transport(coroutine, method.transport)
                    for fd in self._objects.attributes(transport, _FD_NAMES).values():
                        return self._objects.integer(fd)
        return None

    def _transport(self, coroutine: int, way: Sequence[str]) -> int:
        """What that way leads to from the first local of a coroutine, or what is below that."""
        at = self._frames.first_local(coroutine)
        for name in way:
            at = self._objects.attributes(at, {name})[name]
        for _ in range(_DEEPEST):
            found = self._objects.attributes(at, {"_ssl_protocol"})
            if "_ssl_protocol" not in found:
                break
            protocol = self._objects.attributes(found["_ssl_protocol"], {"_transport"})
            at = protocol["_transport"]
        return at

    def _address(self, name: int) -> tuple[str, int]:
        """Host and port; of IPv6 there is more, which does not matter."""
        host, port, *_ = self._objects.sequence(name, 4)
        return self._objects.text(host), self._objects.integer(port)
