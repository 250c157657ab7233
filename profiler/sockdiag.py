"""How much a process has read from its TCP connections, asked of the kernel one by one.

sock_diag(7) looks a connection up by its addresses and gives its ``tcp_info``. What has been
received (``tcpi_bytes_received``) less what is queued is what the process has read: a number that
only grows, and only when the process serves that connection.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from contextlib import suppress

from profiler.nettable import TcpRow

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG, include/uapi/linux/netlink.h
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY, include/uapi/linux/sock_diag.h
_REQUEST = 0x01  # NLM_F_REQUEST
_ERROR = 2  # NLMSG_ERROR
_INFO = 2  # INET_DIAG_INFO, include/uapi/linux/inet_diag.h
_HEADER = struct.Struct("=LHHLL")  # nlmsghdr
_MESSAGE = 72  # sizeof(struct inet_diag_msg)
_RQUEUE = 56  # offsetof(struct inet_diag_msg, idiag_rqueue)
_RECEIVED = 128  # offsetof(struct tcp_info, tcpi_bytes_received), include/uapi/linux/tcp.h
_NEWNET = 0x40000000  # CLONE_NEWNET
_WAIT_S = 0.2

_libc = ctypes.CDLL(None, use_errno=True)


class SockDiag:
    """Asks about the connections of one network namespace, that of ``pid``.

    Raises:
        OSError: from the constructor, when that namespace may not be entered.
    """

    def __init__(self, pid: int) -> None:
        self._socket = _socket_in(pid)
        self._socket.settimeout(_WAIT_S)
        self._sequence = 0

    def close(self) -> None:
        """Closes the netlink socket."""
        self._socket.close()

    def read_bytes(self, row: TcpRow) -> int | None:
        """How many bytes the owner of that connection has read so far; None when not known."""
        self._sequence += 1
        with suppress(OSError, struct.error):
            self._socket.send(_request(row, self._sequence))
            while True:
                answer = self._socket.recv(8192)
                size, kind, _, sequence, _ = _HEADER.unpack_from(answer)
                if sequence == self._sequence:
                    break
            if kind != _ERROR:
                return _consumed(answer[_HEADER.size : size])
        return None


def _request(row: TcpRow, sequence: int) -> bytes:
    family = socket.AF_INET if row.family == "tcp" else socket.AF_INET6
    ports = struct.pack(">HH", row.local_port, row.remote_port)
    addresses = b"".join(
        socket.inet_pton(family, text).ljust(16, b"\0") for text in (row.local, row.remote)
    )
    # inet_diag_sockid: ports, addresses, interface, and a cookie of all ones for "any"
    sockid = ports + addresses + struct.pack("=L", 0) + b"\xff" * 8
    # inet_diag_req_v2: family, protocol, wanted extensions, padding, states
    body = struct.pack("=BBBBL", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, 0xFFFFFFFF)
    size = _HEADER.size + len(body) + len(sockid)
    return _HEADER.pack(size, _BY_FAMILY, _REQUEST, sequence, 0) + body + sockid


def _consumed(message: bytes) -> int | None:
    (queued,) = struct.unpack_from("=L", message, _RQUEUE)
    at = _MESSAGE
    while at + 4 <= len(message):
        size, kind = struct.unpack_from("=HH", message, at)
        if kind == _INFO and size >= 4 + _RECEIVED + 8:
            (received,) = struct.unpack_from("=Q", message, at + 4 + _RECEIVED)
            return max(0, int(received) - int(queued))
        at += max(4, size + 3 & ~3)
    return None


def _socket_in(pid: int) -> socket.socket:
    """A netlink socket that belongs to the network namespace of that process."""
    theirs = f"/proc/{pid}/ns/net"
    if os.stat(theirs).st_ino == os.stat("/proc/self/ns/net").st_ino:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG)
    ours = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = -1
    try:
        there = os.open(theirs, os.O_RDONLY)
        _enter(there)
        try:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG)
        finally:
            _enter(ours)
    finally:
        os.close(ours)
        if there >= 0:
            os.close(there)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
