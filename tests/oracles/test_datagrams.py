"""The datagrams oracle on sockets of this very process."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from tests.examples.build import process
from waitspy.model.clock import NS
from waitspy.oracles import Watched
from waitspy.oracles.datagrams import DatagramsOracle
from waitspy.recording.datagrams import (
    DatagramRow,
    DatagramsClosed,
    DatagramsFound,
    DatagramsLooked,
    DatagramsUnread,
)
from waitspy.remote.end_users import Receiver
from waitspy.remote.memory import Torn

ONSET_NS = 50_000_000
ME = os.getpid()


class Ends:
    """A reader that says who reads, or that it cannot tell."""

    def __init__(self, found: Sequence[Receiver] | Exception = ()) -> None:
        self.ends, self._found = self, found

    def receiving(self, fd: int) -> Sequence[Receiver]:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def worker(found: Sequence[Receiver] | Exception = ()) -> Watched:
    watched = Watched(process(ME), f"/proc/{ME}")
    watched.reader = cast(Any, Ends(found))
    return watched


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


class Telling:
    """The oracle with one worker; only what it tells of one socket, and when it rests."""

    def __init__(self, sock: socket.socket, watched: Watched) -> None:
        self.inode = os.fstat(sock.fileno()).st_ino
        self.oracle, self.watched = DatagramsOracle(ONSET_NS), watched
        assert self.oracle.attach(watched) == "ok"

    def tick(self, now_ns: int) -> list[DatagramRow]:
        self.watched.rests_until_ns, self.watched.onset = 0, False
        rows = list(self.oracle.tick(self.watched, now_ns))
        return [row for row in rows if row.inode == self.inode]


def send(sock: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"a", sock.getsockname())


def test_what_is_unread_and_who_reads_it(sock: socket.socket) -> None:
    telling = Telling(sock, worker([Receiver(7, (91, 90), False), Receiver(8, (92,), True)]))
    name = "{}:{}".format(*sock.getsockname())
    found, nothing = telling.tick(NS)
    assert found == DatagramsFound(NS, telling.inode, name, sock.fileno())
    assert nothing == DatagramsUnread(NS, telling.inode, 0, 0)
    assert telling.watched.rests_until_ns >= NS + ONSET_NS
    assert telling.tick(NS + 1) == []  # it rests
    send(sock)
    (unread,) = telling.tick(2 * NS)
    assert isinstance(unread, DatagramsUnread)
    assert unread.size > 0
    assert unread.taken is not None
    assert not telling.watched.onset
    (looked,) = telling.tick(2 * NS + ONSET_NS)
    assert looked == DatagramsLooked(
        2 * NS + ONSET_NS, telling.inode, False, ((7, 91), (7, 90)), (8,)
    )
    assert telling.watched.onset
    assert telling.watched.suspects == {7}
    assert telling.tick(2 * NS + 2 * ONSET_NS) == []  # it is as it was
    sock.recv(1)
    (read,) = telling.tick(3 * NS)
    assert read == DatagramsUnread(3 * NS, telling.inode, 0, 0)
    telling.oracle.detach(telling.watched)


def test_what_an_event_loop_watches_is_left_to_it(sock: socket.socket) -> None:
    telling = Telling(sock, worker([Receiver(7, (91,), False)]))
    with select.epoll() as epoll:
        telling.tick(1)
        epoll.register(sock, select.EPOLLIN)
        send(sock)
        telling.tick(NS)
        rows = telling.tick(NS + ONSET_NS)
        assert rows[-1] == DatagramsLooked(NS + ONSET_NS, telling.inode, True)
        assert not telling.watched.onset
        assert telling.tick(3 * NS) == []
        assert telling.watched.rests_until_ns >= 3 * NS + ONSET_NS
        _, at_once = Telling(sock, worker()).tick(NS)
        assert at_once == DatagramsLooked(NS, telling.inode, True)


@pytest.mark.parametrize("found", [(), (Receiver(8, (92,), True),), Torn("it runs")])
def test_nobody_is_known_to_read(
    sock: socket.socket, found: Sequence[Receiver] | Exception
) -> None:
    telling = Telling(sock, worker(found))
    send(sock)
    telling.tick(NS)
    looked = telling.tick(NS + ONSET_NS)[-1]
    assert isinstance(looked, DatagramsLooked)
    assert (looked.readers, looked.in_loop) == ((), False)
    assert not telling.watched.onset


def test_sockets_of_clients_are_left_out() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unbound,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connected,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as discard,
    ):
        discard.bind(("127.0.0.1", 0))
        unbound.sendto(b"a", discard.getsockname())
        connected.connect(discard.getsockname())
        for one in (unbound, connected):
            assert Telling(one, worker()).tick(NS) == []


def test_it_is_asked_rarely_while_there_is_none_and_a_new_one_is_found() -> None:
    code = "import socket, sys; sys.stdin.read(1); s = socket.socket(type=socket.SOCK_DGRAM)\n"
    code += "s.bind(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        oracle, watched = DatagramsOracle(ONSET_NS), Watched(process(other.pid), "")
        assert oracle.attach(watched) == "ok"
        assert list(oracle.tick(watched, NS)) == []
        assert list(oracle.tick(watched, 2 * NS)) == []
        assert watched.rests_until_ns == watched.idles_until_ns >= 3 * NS
        other.stdin.write(b"1")
        other.stdin.flush()
        name = f"127.0.0.1:{int(other.stdout.readline())}"
        found, *_ = oracle.tick(watched, 9 * NS)
        assert isinstance(found, DatagramsFound)
        assert found.name == name
        assert watched.rests_until_ns < 10 * NS
        oracle.detach(watched)
        other.stdin.close()


def test_what_is_closed_is_told_of_no_more(sock: socket.socket) -> None:
    telling = Telling(sock, worker())
    telling.tick(NS)
    sock.close()
    assert telling.tick(2 * NS) == [DatagramsClosed(2 * NS, telling.inode)]


def test_one_worker_tells_of_a_socket_that_several_share(sock: socket.socket) -> None:
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    shared = (sock.fileno(),)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=shared) as other:
        assert other.stdin is not None
        telling, second = Telling(sock, worker()), Watched(process(other.pid), "")
        assert telling.oracle.attach(second) == "ok"

        def tells(rows: list[DatagramRow]) -> bool:
            return any(isinstance(r, DatagramsUnread) and r.inode == telling.inode for r in rows)

        telling.tick(NS)
        list(telling.oracle.tick(second, NS))
        send(sock)
        assert tells(telling.tick(2 * NS))
        assert second.called
        assert not tells(list(telling.oracle.tick(second, 2 * NS + 1)))
        telling.oracle.detach(telling.watched)
        assert tells(list(telling.oracle.tick(second, 3 * NS)))
        telling.oracle.detach(second)
        other.stdin.close()
