"""waitspy.kernel.nettable: the kernel's socket tables, from literal bytes and from real sockets."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from waitspy.kernel import nettable
from waitspy.kernel.nettable import TcpRow, TcpState, UnixRow

pytestmark = pytest.mark.skipif(
    sys.byteorder != "little", reason="the literal tables are those of a little-endian machine"
)

TCP = b"""\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 1580 1 00000000cddc9755 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000010:0000A000 01:00000014 00000000     0        0 1581 4 00000000cddc9755 20 4 30 10 -1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 00000000cddc9755 100 0 0 10 0
   3: 0100007F:1F90 0100007F:D432 06 00000000:00000000 03:00000BB8 00000000     0        0 0 3 00000000cddc9755
"""
TCP6 = b"""\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF0000050A0A0A:0035 08 00000000:00000007 00:00000000 00000000     0        0 4712 1 0000000000000000 20 0 0 10 -1
"""
UNIX = b"""\
Num       RefCount Protocol Flags    Type St Inode Path
00000000f0fa0b6b: 00000002 00000000 00010000 0001 01  555 /run/gunicorn 1.sock
00000000f0fa0b6c: 00000003 00000000 00000000 0002 03  556
00000000f0fa0b6d: 00000002 00000000 00010000 0005 01  557 @abs\xff<tag>
00000000f0fa0b6e: broken
"""


def test_a_listening_socket_of_ipv4() -> None:
    assert nettable.parse_tcp(TCP, "tcp")[0] == TcpRow(
        family="tcp",
        local="127.0.0.1",
        local_port=8080,
        remote="0.0.0.0",
        remote_port=0,
        state=TcpState.LISTEN,
        tx_queue=0,
        rx_queue=3,
        uid=1000,
        inode=1580,
    )


def test_an_established_connection_with_unread_bytes() -> None:
    row = nettable.parse_tcp(TCP, "tcp")[1]
    assert (row.state, row.tx_queue, row.rx_queue) == (TcpState.ESTABLISHED, 16, 40960)
    assert (row.local_text, row.remote_text) == ("127.0.0.1:8080", "127.0.0.1:54321")


def test_ipv6_addresses_are_decoded() -> None:
    listener, mapped = nettable.parse_tcp(TCP6, "tcp6")
    assert (listener.local, listener.local_text, listener.rx_queue) == ("::1", "[::1]:8080", 1)
    assert (mapped.local, mapped.remote_text) == ("::ffff:127.0.0.1", "[::ffff:10.10.10.5]:53")
    assert mapped.state is TcpState.CLOSE_WAIT


@pytest.mark.parametrize(
    ("filters", "inodes"),
    [
        ({}, [1580, 1581, 99, 0]),
        ({"inodes": {1581, 99, 7}}, [1581, 99]),
        ({"inodes": ()}, []),
        ({"states": (TcpState.LISTEN,)}, [1580, 99]),
        ({"ports": (8080,)}, [1580, 1581, 0]),
        ({"ports": (8080,), "states": (TcpState.LISTEN,)}, [1580]),
        ({"ports": (54321,)}, []),
    ],
)
def test_filters(filters: dict[str, tuple[int, ...]], inodes: list[int]) -> None:
    assert [row.inode for row in nettable.parse_tcp(TCP, "tcp", **filters)] == inodes


def test_states_that_are_newer_than_this_program_stay_numbers() -> None:
    row = nettable.parse_tcp(TCP.replace(b" 0A ", b" 1F "), "tcp")[0]
    assert row.state == 0x1F


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   0: 0100007F:1F90",
        b"   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 1000 0 x 1",
        b"   0: 01000:1F90 00000000:0000 0A 0:0 00:0 0 1000 0 5 1",
        b"   0: 0100007F 00000000:0000 0A 0:0 00:0 0 1000 0 5 1",
    ],
)
def test_malformed_rows_are_left_out_and_the_others_kept(line: bytes) -> None:
    rows = nettable.parse_tcp(TCP + line + b"\n", "tcp")
    assert len(rows) == 4


def test_unix_sockets() -> None:
    assert nettable.parse_unix(UNIX) == (
        UnixRow(555, 1, listening=True, path="/run/gunicorn 1.sock"),
        UnixRow(556, 2, listening=False, path=None),
        UnixRow(557, 5, listening=True, path="@abs\ufffd<tag>"),
    )
    assert [row.inode for row in nettable.parse_unix(UNIX, inodes={556})] == [556]


def test_the_accept_queue_of_a_real_listener_is_its_rx_queue() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        port, inode = server.getsockname()[1], os.fstat(server.fileno()).st_ino
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        try:
            (row,) = nettable.listening(os.getpid(), [port])
            assert (row.inode, row.rx_queue, row.uid) == (inode, 3, os.geteuid())
            accepted, _ = server.accept()
            with accepted:
                (row,) = nettable.listening(os.getpid(), [port])
                assert row.rx_queue == 2
        finally:
            for client in clients:
                client.close()


def test_unread_bytes_of_a_real_connection_are_found_by_inode() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"hello")
            accepted.recv(1, socket.MSG_PEEK)
            inode = os.fstat(accepted.fileno()).st_ino
            (row,) = nettable.read_tcp(os.getpid(), inodes={inode})
            assert (row.rx_queue, row.remote_port) == (5, client.getsockname()[1])


def test_tables_of_a_process_that_is_gone() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(ProcessLookupError):
        nettable.read_tcp(child)
    with pytest.raises(ProcessLookupError):
        nettable.read_unix(child)


def test_a_real_unix_listener_is_listed() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0waitspy-test-" + str(os.getpid()))
        server.listen()
        inode = os.fstat(server.fileno()).st_ino
        (row,) = nettable.read_unix(os.getpid(), inodes={inode})
        assert row.listening
        assert row.path == f"@waitspy-test-{os.getpid()}"
