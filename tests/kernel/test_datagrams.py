"""What the kernel says of sockets for datagrams, told of those of this process."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from waitspy.kernel import datagram_counts, nettable
from waitspy.kernel.sockdiag import DatagramSocket, SockDiag


@pytest.fixture
def diag() -> Iterator[SockDiag]:
    made = SockDiag(os.getpid())
    yield made
    made.close()


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def told(diag: SockDiag, sock: socket.socket) -> DatagramSocket | None:
    return next((one for one in diag.datagram_sockets() if one.inode == inode(sock)), None)


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_what_is_unread_and_what_found_no_room(diag: SockDiag, family: int, address: str) -> None:
    with (
        socket.socket(family, socket.SOCK_DGRAM) as sock,
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.bind((address, 0))
        name = nettable.endpoint(address, sock.getsockname()[1])
        assert told(diag, sock) == DatagramSocket(inode(sock), name, 0, 0)
        for _ in range(50):
            client.sendto(b"a", sock.getsockname())
        full = told(diag, sock)
        assert full is not None
        assert full.unread_bytes > 0
        assert full.dropped
        (row,) = [row for row in nettable.without_peer(os.getpid()) if row.inode == inode(sock)]
        assert (row.local_text, row.rx_queue) == (name, full.unread_bytes)
        before = datagram_counts.read_so_far(os.getpid())
        sock.setblocking(False)
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while sock.recv(1):
                taken += 1
        assert taken + full.dropped == 50
        after = datagram_counts.read_so_far(os.getpid())
        assert before is not None
        assert after is not None
        assert after - before >= taken
        assert told(diag, sock) == DatagramSocket(inode(sock), name, 0, full.dropped)
        sock.connect(sock.getsockname())
        assert told(diag, sock) is None
        assert not [row for row in nettable.without_peer(os.getpid()) if row.inode == inode(sock)]


def test_those_of_the_unix_family_have_a_name_and_no_peer(diag: SockDiag) -> None:
    kind = socket.SOCK_DGRAM
    with (
        socket.socket(socket.AF_UNIX, kind) as sock,
        socket.socket(socket.AF_UNIX, kind) as unnamed,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream,
    ):
        name = f"\0waitspy-test-{os.getpid()}"
        sock.bind(name)
        stream.bind(f"{name}-stream")
        assert told(diag, sock) == DatagramSocket(inode(sock), f"@{name[1:]}", 0)
        unnamed.sendto(b"abc", name)
        assert told(diag, sock) == DatagramSocket(inode(sock), f"@{name[1:]}", 3)
        assert told(diag, unnamed) is None
        assert told(diag, stream) is None


def test_counts_of_what_was_read() -> None:
    names, values = b"Udp: Errors InDatagrams", b"Udp: 7 12"
    assert datagram_counts.parse_snmp(b"Tcp: A\nTcp: 1\n%s\n%s\n" % (names, values)) == 12
    assert datagram_counts.parse_snmp6(b"Udp6InDatagrams                \t5\nUdp6Out \t6\n") == 5
    for damaged in (b"", names, names + b"\nUdp: 7\n", b"Udp: A\nUdp: 1\n", names + b"\nUdp: 7 x"):
        assert datagram_counts.parse_snmp(damaged) is None
    for damaged in (b"", b"Udp6InDatagrams", b"Udp6InDatagrams x", b"Udp6NoPorts 1"):
        assert datagram_counts.parse_snmp6(damaged) is None
