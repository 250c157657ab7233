"""What sock_diag(7) says of sockets: what came and went by a connection, how many a listener holds.

A connection is looked up by its addresses and gives its ``tcp_info``. What has been received
(``tcpi_bytes_received``) less what is queued is what the process has read: a number that only
grows, and only when the process serves that connection. Of a listening socket, the queue is the
number of connections that wait to be accepted; the kernel lists those sockets alone, so that it
costs the same however many connections there are. The connections that came in by some ports are
listed with when each side has last sent something. For that the kernel goes through all connections
there are, so one question is for all ports. Of sockets for datagrams it tells how much is unread,
in bytes of the kernel's memory: how many datagrams that is, it does not say.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

from waitspy.kernel import calls, procfs
from waitspy.kernel.nettable import Ends, TcpRow, TcpState, endpoint

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG, include/uapi/linux/netlink.h
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY, include/uapi/linux/sock_diag.h
_REQUEST = 0x01  # NLM_F_REQUEST
_DUMP = 0x300  # NLM_F_DUMP
_ERROR = 2  # NLMSG_ERROR
_DONE = 3  # NLMSG_DONE
_INFO = 2  # INET_DIAG_INFO, include/uapi/linux/inet_diag.h
_MEMORY = 7  # INET_DIAG_SKMEMINFO
_DROPS = 32  # 4 * SK_MEMINFO_DROPS, include/uapi/linux/sock_diag.h; Linux 4.6
_HEADER = struct.Struct("=LHHLL")  # nlmsghdr
_BYTECODE = 1  # INET_DIAG_REQ_BYTECODE
_JUMP, _PORT_GE, _PORT_LE = 1, 2, 3  # INET_DIAG_BC_JMP, _S_GE, _S_LE
_MESSAGE = 72  # sizeof(struct inet_diag_msg)
_TIMER = 2  # offsetof(struct inet_diag_msg, idiag_timer)
_PROBES = 4  # its value while a peer without room is asked for it, net/ipv4/inet_diag.c
_RQUEUE = 56  # offsetof(struct inet_diag_msg, idiag_rqueue)
_WQUEUE = 60  # offsetof(struct inet_diag_msg, idiag_wqueue)
_RECEIVED = 128  # offsetof(struct tcp_info, tcpi_bytes_received), include/uapi/linux/tcp.h
_INODE = 68  # offsetof(struct inet_diag_msg, idiag_inode)
_LAST_DATA_SENT = 44  # offsetof(struct tcp_info, tcpi_last_data_sent), include/uapi/linux/tcp.h
_LAST_DATA_RECV = 52  # offsetof(struct tcp_info, tcpi_last_data_recv)
_SENT = 200  # offsetof(struct tcp_info, tcpi_bytes_sent); Linux 4.19
_OPEN = 1 << TcpState.ESTABLISHED | 1 << TcpState.CLOSE_WAIT  # the server may still answer
_WITHOUT_PEER = 1 << TcpState.CLOSE  # of a socket for datagrams
_UNIX_MESSAGE = 16  # sizeof(struct unix_diag_msg), include/uapi/linux/unix_diag.h
_UNIX_NAME, _UNIX_PEER, _UNIX_QUEUE = 0, 2, 4  # UNIX_DIAG_NAME, _PEER, _RQLEN
_UNIX_SHOW = 1 << _UNIX_NAME | 1 << _UNIX_QUEUE  # UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN
_UNIX_SHOW_PEER = 1 << _UNIX_PEER  # UDIAG_SHOW_PEER
_ANY_COOKIE = 0xFFFFFFFF  # INET_DIAG_NOCOOKIE, twice
_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening stream socket, and how many connections wait in it to be accepted.

    ``name`` is ``127.0.0.1:8000``, or the path of a unix socket ("" when it has none).
    """

    inode: int
    name: str
    waiting: int


@dataclass(frozen=True, slots=True)
class DatagramSocket:
    """A socket for datagrams that has no peer: UDP, or of the unix family.

    ``unread_bytes`` is memory of the kernel's (of a unix socket the size of its first datagram):
    zero where nothing is unread. ``dropped`` datagrams found no room in it since it was made; None
    where the kernel does not tell. ``name`` is as that of what listens.
    """

    inode: int
    name: str
    unread_bytes: int
    dropped: int | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection that came in at a server, seen from its side.

    ``unread_bytes`` of what was received lie in its queue. The ages are those of the last byte that
    was received and sent, or of the connection where there was none, by a clock of a few
    milliseconds. ``sent_bytes`` is None where the kernel does not count them. It may wait to be
    accepted still; ``is_whole`` says that its client has not closed its side.
    """

    local: str
    peer: str
    is_accepted: bool
    is_whole: bool
    unread_bytes: int
    received_bytes: int
    sent_bytes: int | None
    received_ago_ms: int
    sent_ago_ms: int


@dataclass(frozen=True, slots=True)
class Sending:
    """What lies in a connection's send queue; ``is_refused`` says that its peer has told that it
    has no room for any of it.
    """

    unsent_bytes: int
    is_refused: bool


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
        ends = Ends(row.local, row.local_port, row.remote, row.remote_port)
        message = self._about(ends)
        return None if message is None else _consumed(message)

    def connection(self, ends: Ends) -> Connection | None:
        """What is known of a connection, seen from its first end; None when not known.

        Raises:
            OSError: the kernel does not tell what a connection has received.
        """
        message = self._about(ends)
        return None if message is None else _connection(message)

    def sending(self, ends: Ends) -> Sending | None:
        """What a connection has not got rid of; None when not known."""
        message = self._about(ends)
        if message is None:
            return None
        (unsent,) = struct.unpack_from("=L", message, _WQUEUE)
        return Sending(unsent, message[_TIMER] == _PROBES)

    def inode(self, ends: Ends) -> int | None:
        """That of the socket with those ends; None where there is none, or none was accepted."""
        message = self._about(ends)
        return None if message is None else struct.unpack_from("=L", message, _INODE)[0] or None

    def unix_peer(self, inode: int) -> int | None:
        """The inode of the unix socket at the other end of one; None where that is not known."""
        body = struct.pack(
            "=BBHLLLLL", socket.AF_UNIX, 0, 0, 0, inode, _UNIX_SHOW_PEER, _ANY_COOKIE, _ANY_COOKIE
        )
        message = self._one(_asking(body, _REQUEST, self._sequence + 1))
        for kind, value in _attributes(message or b"", _UNIX_MESSAGE):
            if kind == _UNIX_PEER and len(value) >= 4:
                return struct.unpack_from("=L", value)[0] or None
        return None

    def _about(self, ends: Ends) -> bytes | None:
        """What the kernel says of one connection."""
        with suppress(OSError, ValueError, struct.error):  # no addresses of TCP
            return self._one(_request(ends, self._sequence + 1))
        return None

    def _one(self, request: bytes) -> bytes | None:
        """The answer to a request about one socket that has the next number; None without."""
        self._sequence += 1
        with suppress(OSError, struct.error):
            self._socket.send(request)
            while True:
                answer = self._socket.recv(8192)
                size, kind, _, sequence, _ = _HEADER.unpack_from(answer)
                if sequence == self._sequence:
                    break
            if kind != _ERROR:
                return answer[_HEADER.size : size]
        return None

    def listening(self) -> tuple[Listening, ...]:
        """Every listening TCP and unix socket of the namespace.

        Raises:
            OSError: the kernel does not answer, or this user may not ask.
        """
        found: list[Listening] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            body = struct.pack("=BBBBL", family, socket.IPPROTO_TCP, 0, 0, 1 << TcpState.LISTEN)
            found += map(_tcp_listening, self._dump(body + bytes(48)))
        # unix_diag_req: family, protocol, padding, states, inode, what to show, cookie
        body = struct.pack(
            "=BBHLLLLL", socket.AF_UNIX, 0, 0, 1 << TcpState.LISTEN, 0, _UNIX_SHOW, 0, 0
        )
        with suppress(OSError):  # a kernel without unix_diag
            found += map(_unix_listening, self._dump(body))
        return tuple(found)

    def established(self) -> dict[int, Ends]:
        """Every TCP connection of the namespace that somebody has, by its socket's inode.

        Raises:
            OSError: the kernel does not answer, or this user may not ask.
        """
        found: dict[int, Ends] = {}
        for family in (socket.AF_INET, socket.AF_INET6):
            body = struct.pack(
                "=BBBBL", family, socket.IPPROTO_TCP, 0, 0, 1 << TcpState.ESTABLISHED
            )
            for message in self._dump(body + bytes(48)):
                (inode,) = struct.unpack_from("=L", message, _INODE)
                if inode:
                    found[inode] = _ends(message)
        return found

    def datagram_sockets(self) -> tuple[DatagramSocket, ...]:
        """Every UDP and unix socket for datagrams of the namespace that has a name and no peer.

        Raises:
            OSError: the kernel does not answer, does not tell of UDP, or this user may not ask.
        """
        found: list[DatagramSocket] = []
        memory = 1 << (_MEMORY - 1)
        for family in (socket.AF_INET, socket.AF_INET6):
            body = struct.pack("=BBBBL", family, socket.IPPROTO_UDP, memory, 0, _WITHOUT_PEER)
            found += map(_udp_socket, self._dump(body + bytes(48)))
        body = struct.pack("=BBHLLLLL", socket.AF_UNIX, 0, 0, _WITHOUT_PEER, 0, _UNIX_SHOW, 0, 0)
        with suppress(OSError):  # a kernel without unix_diag
            for message in self._dump(body):
                if message[1] == socket.SOCK_DGRAM:
                    one = _unix_listening(message)
                    found.append(DatagramSocket(one.inode, one.name, one.waiting))
        return tuple(one for one in found if one.inode and one.name)

    def arrived(self, ports: Collection[int]) -> dict[int, tuple[Connection, ...]]:
        """Every open TCP connection that came in by each of those ports, accepted or not yet.

        Raises:
            OSError: the kernel does not answer, or does not tell of connections.
        """
        found: dict[int, list[Connection]] = {port: [] for port in ports}
        asked = _came_in_by(found) if found else b""
        for family in (socket.AF_INET, socket.AF_INET6) if found else ():
            # inet_diag_req_v2, as in _request, without addresses
            info = 1 << (_INFO - 1)
            body = struct.pack("=BBBBL", family, socket.IPPROTO_TCP, info, 0, _OPEN) + bytes(48)
            for message in self._dump(body + asked):
                (port,) = struct.unpack_from(">H", message, 4)
                if port in found:
                    found[port].append(_connection(message))
        return {port: tuple(some) for port, some in found.items()}

    def _dump(self, body: bytes) -> Iterator[bytes]:
        """The messages that answer a request for many."""
        self._sequence += 1
        self._socket.send(_asking(body, _REQUEST | _DUMP, self._sequence))
        while True:
            answer = self._socket.recv(1 << 16)
            at = 0
            while at + _HEADER.size <= len(answer):
                size, kind, _, sequence, _ = _HEADER.unpack_from(answer, at)
                message = answer[at + _HEADER.size : at + size]
                at += max(_HEADER.size, size + 3 & ~3)
                if sequence != self._sequence:
                    continue
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", message)[0]
                    raise OSError(number, os.strerror(number))
                yield message


def _came_in_by(ports: Collection[int]) -> bytes:
    """The attribute of a request that lets only sockets of these ports of our side through.

    It is a program of tests and of jumps forward (struct inet_diag_bc_op: what it is, and how far
    to go on if it is true, and if not): who jumps to its end is told, who jumps beyond it is not.
    A port to compare with stands in the operation behind the test.
    """
    program = b""
    left = 20 * len(ports) - 4
    for port in ports:
        for test, beyond in ((_PORT_GE, 20), (_PORT_LE, 12)):
            program += struct.pack("=BBHBBH", test, 8, beyond, 0, 0, port)
        left -= 16
        if left:
            program += struct.pack("=BBH", _JUMP, 4, left)
            left -= 4
    return struct.pack("=HH", 4 + len(program), _BYTECODE) + program


def _tcp_listening(message: bytes) -> Listening:
    """Of a UDP socket, ``waiting`` are bytes."""
    family = message[0]
    (port,) = struct.unpack_from(">H", message, 4)
    address = socket.inet_ntop(family, message[8 : 8 + (4 if family == socket.AF_INET else 16)])
    (waiting,) = struct.unpack_from("=L", message, _RQUEUE)
    (inode,) = struct.unpack_from("=L", message, _INODE)
    return Listening(inode, endpoint(address, port), waiting)


def _udp_socket(message: bytes) -> DatagramSocket:
    one = _tcp_listening(message)
    memory = next((value for kind, value in _attributes(message, _MESSAGE) if kind == _MEMORY), b"")
    known = len(memory) >= _DROPS + 4
    dropped = struct.unpack_from("=L", memory, _DROPS)[0] if known else None
    return DatagramSocket(one.inode, one.name, one.waiting, dropped)


def _ends(message: bytes) -> Ends:
    family = message[0]
    size = 4 if family == socket.AF_INET else 16
    ports = struct.unpack_from(">HH", message, 4)
    local, peer = (socket.inet_ntop(family, message[at : at + size]) for at in (8, 24))
    return Ends(local, ports[0], peer, ports[1])


def _connection(message: bytes) -> Connection:
    ends = _ends(message)
    (unread,) = struct.unpack_from("=L", message, _RQUEUE)
    info = next((value for kind, value in _attributes(message, _MESSAGE) if kind == _INFO), b"")
    if len(info) < _RECEIVED + 8:
        raise OSError(errno.EOPNOTSUPP, "it does not tell what a connection has received")
    sent = None if len(info) < _SENT + 8 else struct.unpack_from("=Q", info, _SENT)[0]
    (inode,) = struct.unpack_from("=L", message, _INODE)
    return Connection(
        local=ends.local,
        peer=ends.peer_text,
        is_accepted=inode != 0,  # what nobody has accepted yet has none
        is_whole=message[1] == TcpState.ESTABLISHED,
        unread_bytes=unread,
        received_bytes=struct.unpack_from("=Q", info, _RECEIVED)[0],
        sent_bytes=sent,
        received_ago_ms=struct.unpack_from("=L", info, _LAST_DATA_RECV)[0],
        sent_ago_ms=struct.unpack_from("=L", info, _LAST_DATA_SENT)[0],
    )


def _unix_listening(message: bytes) -> Listening:
    (inode,) = struct.unpack_from("=L", message, 4)
    name, waiting = b"", 0
    for kind, value in _attributes(message, _UNIX_MESSAGE):
        if kind == _UNIX_NAME:
            name = value
        elif kind == _UNIX_QUEUE:
            (waiting,) = struct.unpack_from("=L", value)
    if name.startswith(b"\0"):
        name = b"@" + name[1:]
    return Listening(inode, procfs.text(name.rstrip(b"\0")), waiting)


def _attributes(message: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each netlink attribute from there on."""
    while at + 4 <= len(message):
        size, kind = struct.unpack_from("=HH", message, at)
        yield kind, message[at + 4 : at + size]
        at += max(4, size + 3 & ~3)


def _request(ends: Ends, sequence: int) -> bytes:
    family = socket.AF_INET6 if ":" in ends.local else socket.AF_INET
    ports = struct.pack(">HH", ends.local_port, ends.peer_port)
    addresses = b"".join(
        socket.inet_pton(family, text).ljust(16, b"\0") for text in (ends.local, ends.peer)
    )
    # inet_diag_sockid: ports, addresses, interface, and a cookie of all ones for "any"
    sockid = ports + addresses + struct.pack("=L", 0) + b"\xff" * 8
    # inet_diag_req_v2: family, protocol, wanted extensions, padding, states
    body = struct.pack("=BBBBL", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, 0xFFFFFFFF)
    return _asking(body + sockid, _REQUEST, sequence)


def _asking(body: bytes, flags: int, sequence: int) -> bytes:
    size = _HEADER.size + len(body)
    return _HEADER.pack(size, _BY_FAMILY, flags, sequence, 0) + body


def _consumed(message: bytes) -> int | None:
    (queued,) = struct.unpack_from("=L", message, _RQUEUE)
    for kind, value in _attributes(message, _MESSAGE):
        if kind == _INFO and len(value) >= _RECEIVED + 8:
            (received,) = struct.unpack_from("=Q", value, _RECEIVED)
            return max(0, int(received) - int(queued))
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
        calls.enter_network(there)
        try:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG)
        finally:
            calls.enter_network(ours)
    finally:
        os.close(ours)
        if there >= 0:
            os.close(there)
