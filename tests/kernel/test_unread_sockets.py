"""What lies unread in the sockets that an epoll watches, told of real connections of this process."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest

from tests.live.running import wait_until
from waitspy.kernel.unread_sockets import Sockets
from waitspy.model.epolls import UnreadSocket


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets(os.getpid())
    yield made
    made.close()


def test_the_end_of_a_connection_is_no_data(sockets: Sockets) -> None:
    with (
        select.epoll() as epoll,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as peer,
    ):
        ours, _ = server.accept()
        with ours:
            epoll.register(ours, select.EPOLLIN | select.EPOLLRDHUP)

            def unread() -> tuple[UnreadSocket, ...]:
                return sockets.unread([epoll.fileno()])[epoll.fileno()]

            assert unread() == ()
            peer.sendall(b"abc")
            wait_until(unread, "what was sent does not come")
            assert [(s.kind, s.size, s.inbound) for s in unread()] == [("tcp", 3, True)]
            peer.shutdown(socket.SHUT_WR)
            wait_until(lambda: epoll.poll(0)[0][1] & select.EPOLLRDHUP, "no end comes")
            assert [(s.kind, s.size) for s in unread()] == [("tcp", 3)]
            assert ours.recv(9) == b"abc"
            assert [(s.kind, s.size, s.read_bytes) for s in unread()] == [("eof", 0, None)]
