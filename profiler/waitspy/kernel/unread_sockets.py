"""Which sockets behind an epoll descriptor hold something that nobody has read yet.

The interest list is ``/proc/PID/fdinfo/EPFD`` (``tfd:`` lines, proc_pid_fdinfo(5)); how much waits
is ``rx_queue`` of the network tables, in which the end of a connection that nobody has read yet
counts as one byte. Unix sockets and pipes are not in those tables: they are
left out, so the list may be empty although something waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Literal

from waitspy.kernel import nettable, procfs
from waitspy.kernel.nettable import TcpRow, TcpState
from waitspy.kernel.sockdiag import SockDiag
from waitspy.model.epolls import UnreadSocket

_ENDED_BY_PEER = frozenset({TcpState.CLOSE_WAIT, TcpState.LAST_ACK, TcpState.CLOSING})
_ENDED = _ENDED_BY_PEER | {TcpState.CLOSE}
_PORTS_FOR_S = 5.0
_MOST = 64  # sockets told of one epoll; more would only repeat themselves


class Sockets:
    """Looks up the unread sockets of one process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ports: frozenset[int] = frozenset()
        self._ports_at_s = -_PORTS_FOR_S
        self._diag: SockDiag | None = None
        with suppress(OSError):
            self._diag = SockDiag(pid)

    def close(self) -> None:
        """Releases what is held."""
        if self._diag is not None:
            self._diag.close()

    def unread(self, epfds: Iterable[int]) -> dict[int, tuple[UnreadSocket, ...]]:
        """Sockets that each of these epolls watches and that hold something, by descriptor; without
        those that cannot be read. The tables of the network, which may be long, are read once.
        """
        watched: dict[int, dict[int, int]] = {}
        for epfd in epfds:
            with suppress(OSError):
                watched[epfd] = self._watched(epfd)
        inodes = {inode for mine in watched.values() for inode in mine}
        try:
            rows = nettable.read_tcp(self._pid, inodes=inodes) if inodes else ()
            ports = self._listening() if rows else frozenset()
        except OSError:
            return {}
        return {epfd: self._unread(rows, mine, ports) for epfd, mine in watched.items()}

    def _watched(self, epfd: int) -> dict[int, int]:
        """The sockets from which an epoll waits for input: inode and descriptor."""
        with open(f"/proc/{self._pid}/fdinfo/{epfd}", "rb") as f:
            fds = watched_for_input(f.read())
        links = ((fd, os.readlink(f"/proc/{self._pid}/fd/{fd}")) for fd in fds)
        inodes = ((procfs.parse_socket(link), fd) for fd, link in links)
        return {inode: fd for inode, fd in inodes if inode is not None}

    def _unread(
        self, rows: Sequence[TcpRow], inodes: Mapping[int, int], ports: frozenset[int]
    ) -> tuple[UnreadSocket, ...]:
        found: list[UnreadSocket] = []
        for row in rows:
            if len(found) == _MOST:
                break
            if row.inode not in inodes:
                continue
            ended = row.state in _ENDED
            if row.rx_queue == 0 and not ended:
                continue
            size = row.rx_queue
            if size and row.state in _ENDED_BY_PEER:
                size -= 1  # its FIN
            kind: Literal["tcp", "listener", "eof"] = "tcp" if size else "eof"
            if row.state == TcpState.LISTEN:
                kind = "listener"
            found.append(
                UnreadSocket(
                    row.inode,
                    kind,
                    size,
                    row.local_text,
                    row.remote_text,
                    row.local_port in ports,
                    self._diag.read_bytes(row) if kind == "tcp" and self._diag else None,
                )
            )
        return tuple(sorted(found, key=lambda s: inodes[s.inode]))

    def _listening(self) -> frozenset[int]:
        """Ports that somebody in the process's network namespace listens on, kept for a while."""
        now_s = time.monotonic()
        if now_s - self._ports_at_s > _PORTS_FOR_S:
            self._ports = frozenset(row.local_port for row in nettable.listening(self._pid))
            self._ports_at_s = now_s
        return self._ports


def watched_for_input(fdinfo: bytes) -> tuple[int, ...]:
    """Descriptors in the interest list that wait for input.

    ``tfd:        7 events:       19 data: …``: numbers decimal and, for the mask, hexadecimal.
    """
    found = []
    for line in fdinfo.splitlines():
        parts = line.split()
        if len(parts) > 3 and parts[0] == b"tfd:" and int(parts[3], 16) & 0x1:  # EPOLLIN
            found.append(int(parts[1]))
    return tuple(found)
