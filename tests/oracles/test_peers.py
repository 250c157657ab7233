"""What lies in the send queue of a connection whose peer does not read, and of one whose does."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from waitspy.kernel.nettable import Ends
from waitspy.oracles.peers import Peers


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_peer_that_does_not_read(family: int, address: str) -> None:
    peers = Peers(os.getpid())
    with (
        socket.create_server((address, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as sender,
        listener.accept()[0] as peer,
    ):
        ends = Ends(*sender.getsockname()[:2], *sender.getpeername()[:2])
        assert peers.unsent([ends]) is None, "nothing was sent"
        sender.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += sender.send(bytes(1 << 16))
        unsent = None
        while unsent is None or not unsent.refused:  # the kernel asks for room after 200 ms
            unsent = peers.unsent([ends, ends])
        assert unsent.peer == ends.peer_text
        assert unsent.connections == 1
        assert 0 < unsent.size <= sent
        read = 0
        while read < sent:
            read += len(peer.recv(1 << 20))
        while (unsent := peers.unsent([ends])) is not None:
            assert not unsent.refused
    peers.close()


def inode(one: socket.socket) -> int:
    return os.fstat(one.fileno()).st_ino


@pytest.mark.parametrize(
    ("family", "address", "through"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
    ],
)
def test_the_other_end_of_a_connection(family: int, address: str, through: str) -> None:
    peers = Peers(os.getpid())
    with (
        socket.create_server(
            (address, 0), family=family, dualstack_ipv6=address == "::"
        ) as listener,
        socket.create_connection((through, listener.getsockname()[1])) as client,
    ):
        assert peers.other_ends([inode(client)]) == {}, "nobody has accepted it yet"
        with listener.accept()[0] as server:
            both = inode(client), inode(server)
            assert peers.other_ends(both) == dict(zip(both, both[::-1], strict=True))
            assert peers.other_ends([inode(listener)]) == {}
    peers.close()


def test_the_other_end_of_a_unix_socket() -> None:
    peers = Peers(os.getpid())
    one, other = socket.socketpair()
    with one, other:
        assert peers.other_ends([inode(one), 1]) == {inode(one): inode(other)}
    assert peers.other_ends([]) == {}
    peers.close()


@pytest.mark.parametrize(
    "ends", [Ends("127.0.0.1", 9, "127.0.0.1", 9), Ends("", 0, "", 0), Ends("::1", 1, "x", 1 << 20)]
)
def test_what_is_no_connection_says_nothing(ends: Ends) -> None:
    peers = Peers(os.getpid())
    assert peers.unsent([ends]) is None
    peers.close()
