"""What the kernel says of connections that tasks wait to have room in."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from waitspy.kernel.nettable import Ends
from waitspy.kernel.sockdiag import Sending, SockDiag
from waitspy.model.unsent import Unsent

_MOST = 16  # connections that are asked about for one place


class Peers:
    """Asks about those of one process; it opens what it asks with when it first does."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._diag: SockDiag | None = None
        self._refused = False

    def unsent(self, connections: Iterable[Ends]) -> Unsent | None:
        """What is in their send queues; None: nothing, or that is not known."""
        if self._diag is None and not self._refused:
            try:
                self._diag = SockDiag(self._pid)
            except OSError:
                self._refused = True
        found: list[tuple[Sending, Ends]] = []
        for ends in list(dict.fromkeys(connections))[:_MOST] if self._diag else ():
            assert self._diag is not None
            said = self._diag.sending(ends)
            if said is not None and said.unsent_bytes:
                found.append((said, ends))
        if not found:
            return None
        most, to = max(found, key=lambda one: (one[0].is_refused, one[0].unsent_bytes))
        size = sum(one.unsent_bytes for one, _ in found)
        return Unsent(to.peer_text, size, len(found), most.is_refused)

    def close(self) -> None:
        """Closes what it asks with."""
        if self._diag is not None:
            with suppress(OSError):
                self._diag.close()
            self._diag = None
