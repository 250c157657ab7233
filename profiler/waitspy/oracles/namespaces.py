"""The sockets of one network namespace, listed at once for all workers in it: one of them asks.

The others are called when there is something to see. Of a socket that several share, one tells.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from waitspy.kernel import procfs
from waitspy.kernel.sockdiag import SockDiag
from waitspy.model.clock import NS

_TURN_NS = NS // 4  # when who asks does not, as its process has ended, another one does


class Listed(Protocol):
    """A socket that the kernel lists."""

    @property
    def inode(self) -> int:
        """What its descriptors lead to."""
        ...


_S = TypeVar("_S", bound=Listed)


@dataclass(slots=True)
class Namespace(Generic[_S]):
    """Its sockets of one kind as of ``at_ns``, by inode; ``next_ns`` is when to ask again, which
    ``asker`` did last. ``teller`` is which worker tells of a socket; ``known`` is another object
    where some have come or gone.
    """

    number: int
    diag: SockDiag | None
    at_ns: int = 0
    next_ns: int = 0
    sockets: dict[int, _S] = field(default_factory=dict)
    known: frozenset[int] = frozenset()
    teller: dict[int, int] = field(default_factory=dict)
    asker: int | None = None

    def note(self, sockets: Iterable[_S], pid: int, now_ns: int) -> None:
        """These are there now; so a worker has asked."""
        self.sockets = {one.inode: one for one in sockets}
        if self.known != self.sockets.keys():
            self.known = frozenset(self.sockets)
        self.at_ns, self.asker = now_ns, pid

    def ask_soon(self, pid: int, at_ns: int) -> None:
        """A worker asks then at the latest."""
        self.next_ns = min(self.next_ns, at_ns)
        self.asker = pid

    def rests_until_ns(self, pid: int, known: frozenset[int], next_scan_ns: int) -> int:
        """When it is that worker's turn to ask again, or to look for its sockets among those that
        are not ``known`` to it.
        """
        asks_ns = self.next_ns + (0 if self.asker == pid else _TURN_NS)
        return min(asks_ns, next_scan_ns) if known != self.known else asks_ns

    def tell_no_more(self, pid: int, inodes: Iterable[int]) -> None:
        """Leaves it to other workers to tell of these."""
        for inode in inodes:
            if self.teller.get(inode) == pid:
                del self.teller[inode]

    def close(self) -> None:
        """Nobody is left in it."""
        if self.diag is not None:
            self.diag.close()


_N = TypeVar("_N", bound=Namespace[Any])


def entered(pid: int, known: dict[int, _N], begin: Callable[[int], _N]) -> _N | str:
    """The namespace of a process, by its number, which ``begin`` makes where no other worker is in
    it; or why its sockets cannot be seen.
    """
    try:
        number = procfs.namespace(pid, "net")
        if number is None:
            return "its network namespace is not known"
        procfs.fds(pid)
        if number not in known:
            known[number] = begin(number)
        return known[number]
    except ProcessLookupError:
        return "the process is gone"
    except OSError as error:
        return f"/proc/PID/fd or its network tables: {error.strerror}"


def opened(pid: int, ask: Callable[[SockDiag], object]) -> SockDiag | None:
    """What asks; None when another network namespace may not be entered, or there is no answer."""
    try:
        diag = SockDiag(pid)
    except OSError:
        return None
    try:
        ask(diag)
    except (OSError, struct.error):
        diag.close()
        return None
    return diag


def sockets_of(pid: int) -> dict[int, int]:
    """The inodes of a process's sockets, by descriptor; errors are those of ``procfs``."""
    inodes = ((fd, procfs.parse_socket(link)) for fd, link in procfs.fds(pid).items())
    return {fd: inode for fd, inode in inodes if inode is not None}
