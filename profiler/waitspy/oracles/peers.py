"""What the kernel says of the connections of a process: what tasks wait to have room in, and which
socket is at the other end of one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

from waitspy.kernel import nettable
from waitspy.kernel.nettable import Ends
from waitspy.kernel.sockdiag import Sending, SockDiag
from waitspy.model.unsent import Unsent
from waitspy.oracles.allowance import Allowance

_SHARE = 0.005  # of one core, for other ends
_MOST = 16  # connections that are asked about for one place


class Peers:
    """Asks about those of one process; it opens what it asks with when it first does.

    ``next_ns`` is from when on it may be asked for other ends: for these, the kernel lists all
    connections of a machine.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._diag: SockDiag | None = None
        self._refused = False
        self._for_ends = Allowance(_SHARE)
        self.next_ns = 0

    def unsent(self, connections: Iterable[Ends]) -> Unsent | None:
        """What is in their send queues; None: nothing, or that is not known."""
        diag = self._opened()
        found: list[tuple[Sending, Ends]] = []
        for ends in list(dict.fromkeys(connections))[:_MOST] if diag else ():
            assert diag is not None
            said = diag.sending(ends)
            if said is not None and said.unsent_bytes:
                found.append((said, ends))
        if not found:
            return None
        most, to = max(found, key=lambda one: (one[0].is_refused, one[0].unsent_bytes))
        size = sum(one.unsent_bytes for one, _ in found)
        return Unsent(to.peer_text, size, len(found), most.is_refused)

    def other_ends(self, inodes: Iterable[int]) -> dict[int, int]:
        """The socket at the other end of each of those, on this machine and in its network.

        Raises:
            OSError: the process is gone, or may not be looked into.
        """
        diag = self._opened()
        wanted = set(inodes)
        if diag is None or not wanted:
            return {}
        began_ns = time.thread_time_ns()
        found = {one: diag.unix_peer(one) for one in wanted}
        rest = {one for one, other in found.items() if other is None}
        for row in nettable.read_tcp(self._pid, inodes=rest) if rest else ():
            ends = Ends(row.remote, row.remote_port, row.local, row.local_port)
            found[row.inode] = diag.inode(ends)
        spent_ns = time.thread_time_ns() - began_ns
        self.next_ns = self._for_ends.spend(spent_ns, time.monotonic_ns())
        return {one: other for one, other in found.items() if other is not None}

    def _opened(self) -> SockDiag | None:
        if self._diag is None and not self._refused:
            try:
                self._diag = SockDiag(self._pid)
            except OSError:
                self._refused = True
        return self._diag

    def close(self) -> None:
        """Closes what it asks with."""
        if self._diag is not None:
            with suppress(OSError):
                self._diag.close()
            self._diag = None
