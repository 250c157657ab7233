"""The two ends of a connection that a task waits to have room in.

The task stands in a method of what writes there: ``self`` is a local of a suspended coroutine,
hence exact. It leads to the transport, which notes both addresses when it is made; below TLS there
is another one. uvloop's transports, written in C, do not tell.
"""

from __future__ import annotations

import contextlib

from waitspy.kernel.nettable import Ends
from waitspy.model.unsent import drain_of
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Unreadable
from waitspy.remote.values import StandingTask

_DEEPEST = 4  # transports below each other


class Drains:
    """Reads them of one process.

    Raises:
        OSError: from every method.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._objects = frames.objects

    def ends(self, task: StandingTask) -> Ends | None:
        """Those of the connection that a task waits for; None: of none, or not known."""
        for coroutine, code, _ in task.steps:
            with contextlib.suppress(Unreadable, KeyError, ValueError):
                method = drain_of(self._frames.code(code))
                if method is not None:
                    first = self._frames.first_local(coroutine)
                    mine = self._objects.attributes(first, {method.transport})
                    return self._ends(mine[method.transport])
        return None

    def _ends(self, transport: int) -> Ends | None:
        for _ in range(_DEEPEST):
            found = self._objects.attributes(transport, {"_ssl_protocol", "_extra"})
            if "_ssl_protocol" not in found:
                break
            protocol = self._objects.attributes(found["_ssl_protocol"], {"_transport"})
            transport = protocol["_transport"]
        names = {"sockname", "peername"}
        extra = self._objects.named(self._objects.dict_items(found["_extra"]), names)
        return Ends(*self._address(extra["sockname"]), *self._address(extra["peername"]))

    def _address(self, name: int) -> tuple[str, int]:
        """Host and port; of IPv6 there is more, which does not matter."""
        host, port, *_ = self._objects.sequence(name, 4)
        return self._objects.text(host), self._objects.integer(port)
