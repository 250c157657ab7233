"""Reads the kernel's socket tables /proc/PID/net/{tcp,tcp6,udp,udp6,unix}.

They belong to the network namespace of PID. The parsers are pure and cheap: a row is looked at
as bytes and becomes a value only when it passes the filter, because tables of thousands of rows
are read many times a second.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

from waitspy.kernel import procfs

Family = Literal["tcp", "tcp6", "udp", "udp6"]
FAMILIES: tuple[Family, ...] = ("tcp", "tcp6")
_OF_UDP: tuple[Family, ...] = ("udp", "udp6")


class TcpState(IntEnum):
    """States as numbered by include/net/tcp_states.h."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12
    BOUND_INACTIVE = 13


_STATES = {state.value: state for state in TcpState}


@dataclass(frozen=True, slots=True)
class TcpRow:
    """One TCP socket, or of UDP, whose tables have the same columns.

    ``rx_queue`` is bytes received and not read; of a listening socket it is the number of
    connections waiting to be accepted, and ``tx_queue`` then means nothing here. ``uid`` owns
    the socket. ``state`` is a plain number where the kernel is newer than TcpState.
    """

    family: Family
    local: str
    local_port: int
    remote: str
    remote_port: int
    state: TcpState | int
    tx_queue: int
    rx_queue: int
    uid: int
    inode: int

    @property
    def local_text(self) -> str:
        """``127.0.0.1:8000`` or ``[::1]:8000``."""
        return endpoint(self.local, self.local_port)

    @property
    def remote_text(self) -> str:
        """The same for the peer; ``0.0.0.0:0`` when there is none."""
        return endpoint(self.remote, self.remote_port)


class Ends(NamedTuple):
    """The addresses of both ends of a connection, this one's first."""

    local: str
    local_port: int
    peer: str
    peer_port: int

    @property
    def peer_text(self) -> str:
        """The peer's as one text."""
        return endpoint(self.peer, self.peer_port)


@dataclass(frozen=True, slots=True)
class UnixRow:
    """One Unix socket; ``path`` is None when it has no name, ``@name`` when it is abstract.

    ``type`` is SOCK_STREAM 1, SOCK_DGRAM 2 or SOCK_SEQPACKET 5. The table says nothing of what
    waits to be read.
    """

    inode: int
    type: int
    listening: bool
    path: str | None


def endpoint(address: str, port: int) -> str:
    """Address and port as one text; IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def parse_address(raw: bytes) -> tuple[str, int]:
    """Address and port of ``0100007F:1F90``; IPv4 mapped into IPv6 is kept as ``::ffff:1.2.3.4``.

    The kernel prints each 32-bit word of the address in the machine's own byte order.
    """
    digits, _, port = raw.partition(b":")
    words = bytes.fromhex(digits.decode())
    if sys.byteorder == "little":
        words = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    family = socket.AF_INET if len(words) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, words), int(port, 16)


def parse_tcp(
    raw: bytes,
    family: Family,
    *,
    inodes: Collection[int] | None = None,
    states: Collection[int] | None = None,
    ports: Collection[int] | None = None,
) -> tuple[TcpRow, ...]:
    """The rows of a table of TCP or UDP that pass every filter given; malformed ones are left out.

    ``ports`` are local ones. A row cut off by the end of ``raw`` counts as malformed.
    """
    wanted_inodes = None if inodes is None else {b"%d" % inode for inode in inodes}
    wanted_states = None if states is None else {b"%02X" % state for state in states}
    wanted_ports = None if ports is None else {b"%04X" % port for port in ports}
    rows = []
    for line in raw.splitlines()[1:]:
        # sl local remote st tx:rx tr:when retransmits uid timeout inode ...
        fields = line.split(None, 10)
        if (
            len(fields) < 10
            or (wanted_inodes is not None and fields[9] not in wanted_inodes)
            or (wanted_states is not None and fields[3] not in wanted_states)
            or (wanted_ports is not None and fields[1][-4:] not in wanted_ports)
        ):
            continue
        try:
            rows.append(_tcp_row(fields, family))
        except ValueError:
            continue
    return tuple(rows)


def _tcp_row(fields: list[bytes], family: Family) -> TcpRow:
    local, local_port = parse_address(fields[1])
    remote, remote_port = parse_address(fields[2])
    number = int(fields[3], 16)
    tx_queue, _, rx_queue = fields[4].partition(b":")
    return TcpRow(
        family=family,
        local=local,
        local_port=local_port,
        remote=remote,
        remote_port=remote_port,
        state=_STATES.get(number, number),
        tx_queue=int(tx_queue, 16),
        rx_queue=int(rx_queue, 16),
        uid=int(fields[7]),
        inode=int(fields[9]),
    )


def parse_unix(raw: bytes, *, inodes: Collection[int] | None = None) -> tuple[UnixRow, ...]:
    """The rows of a unix table, only those inodes if given; malformed rows are left out."""
    wanted = None if inodes is None else {b"%d" % inode for inode in inodes}
    rows = []
    for line in raw.split(b"\n")[1:]:
        # Num RefCount Protocol Flags Type St Inode Path
        fields = line.split(None, 7)
        if len(fields) < 7 or (wanted is not None and fields[6] not in wanted):
            continue
        try:
            row = UnixRow(
                inode=int(fields[6]),
                type=int(fields[4], 16),
                # __SO_ACCEPTCON of include/linux/net.h: the socket listens
                listening=bool(int(fields[3], 16) & 0x10000),
                path=procfs.text(fields[7]) if len(fields) == 8 else None,
            )
        except ValueError:
            continue
        rows.append(row)
    return tuple(rows)


def read_tcp(
    pid: int,
    *,
    inodes: Collection[int] | None = None,
    states: Collection[int] | None = None,
    ports: Collection[int] | None = None,
    families: Iterable[Family] = FAMILIES,
) -> tuple[TcpRow, ...]:
    """The TCP sockets of the network namespace of ``pid``, filtered as by parse_tcp.

    A namespace without IPv6 has no tcp6 table: that is no error. Raises ProcessLookupError when
    the process is gone, PermissionError when this user may not look.
    """
    rows: list[TcpRow] = []
    missing = 0
    for family in families:
        try:
            raw = procfs.read(pid, f"net/{family}")
        except ProcessLookupError:
            missing += 1
            continue
        rows += parse_tcp(raw, family, inodes=inodes, states=states, ports=ports)
    if missing:
        procfs.read_stat(pid)
    return tuple(rows)


def read_unix(pid: int, *, inodes: Collection[int] | None = None) -> tuple[UnixRow, ...]:
    """The Unix sockets of the network namespace of ``pid``; () where there is no such table.

    Raises ProcessLookupError when the process is gone, PermissionError when this user may not
    look.
    """
    try:
        return parse_unix(procfs.read(pid, "net/unix"), inodes=inodes)
    except ProcessLookupError:
        procfs.read_stat(pid)
        return ()


def listening(pid: int, ports: Collection[int] | None = None) -> tuple[TcpRow, ...]:
    """The listening TCP sockets of the network namespace of ``pid``, optionally on some ports."""
    return read_tcp(pid, states=(TcpState.LISTEN,), ports=ports)


def without_peer(pid: int) -> tuple[TcpRow, ...]:
    """The UDP sockets of the network namespace of ``pid`` that have no peer."""
    return read_tcp(pid, states=(TcpState.CLOSE,), families=_OF_UDP)
