"""The messages oracle on connections of this very process."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import pytest

from tests.examples.build import process
from waitspy.model import syscalls
from waitspy.model.clock import NS
from waitspy.oracles import NEVER_NS, Watched
from waitspy.oracles.messages import MessagesOracle
from waitspy.recording.messages import MessageRow, MessagesClosed, MessagesFound, MessagesUnread
from waitspy.remote.end_users import EndUse
from waitspy.remote.memory import Torn

ME = os.getpid()
TID = 7
(RECEIVES,) = syscalls.numbers({"recvfrom"})


class Ends:
    """A reader that says who has a descriptor in a variable, or that it cannot tell."""

    def __init__(self, found: Sequence[EndUse] | Exception) -> None:
        self.ends, self._found = self, found

    def using(self, fds: set[int]) -> Sequence[EndUse]:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


class Broker(NamedTuple):
    """A connection, from both sides."""

    mine: socket.socket
    its: socket.socket

    @property
    def inode(self) -> int:
        return os.fstat(self.mine.fileno()).st_ino

    @property
    def name(self) -> str:
        return "{}:{}".format(*self.mine.getpeername())

    def send(self) -> None:
        self.its.send(b"a")
        select.select([self.mine], [], [])


@pytest.fixture
def broker() -> Iterator[Broker]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        mine = socket.create_connection(listening.getsockname())
        its, _ = listening.accept()
        with mine, its:
            yield Broker(mine, its)


class Telling:
    """The oracle with one worker; only what it tells of one connection."""

    def __init__(self, broker: Broker, users: Sequence[EndUse] | Exception = ()) -> None:
        self.inode = broker.inode
        self.watched = Watched(process(ME), f"/proc/{ME}")
        self.watched.reader = cast(Any, Ends(users))
        self.oracle = MessagesOracle()
        assert self.oracle.attach(self.watched) == "ok"
        self.now_ns = time.monotonic_ns() - 9 * NS
        self.tick(0)

    def stands(self, fd: int | None) -> None:
        """Its thread has begun to read from that descriptor, or to do something else."""
        now_ns = time.monotonic_ns()
        self.watched.blocked = {TID: (RECEIVES, fd) if fd is not None else (1 << 20, 0)}
        self.watched.blocked_since_ns = {TID: now_ns}

    def tick(self, seconds: float = 1) -> list[MessageRow]:
        self.now_ns += int(seconds * NS)
        rows = list(self.oracle.tick(self.watched, self.now_ns))
        return [row for row in rows if row.inode == self.inode]

    def tick_now(self) -> list[MessageRow]:
        """The same when it is really that time, by which the kernel tells ages."""
        return self.tick((time.monotonic_ns() - self.now_ns) / NS)


def test_what_lies_unread_where_a_thread_has_read(broker: Broker) -> None:
    telling = Telling(broker)
    telling.stands(broker.mine.fileno())
    assert telling.tick() == [
        MessagesFound(telling.now_ns, broker.inode, broker.name, TID),
        MessagesUnread(telling.now_ns, broker.inode, 0, 0),
    ]
    telling.stands(None)
    assert telling.tick() == []  # it is as it was
    time.sleep(0.02)  # quiet for some ticks of the kernel's clock
    telling.tick()
    broker.send()
    (unread,) = telling.tick()
    assert isinstance(unread, MessagesUnread)
    assert (unread.size, unread.read) == (1, 0)
    assert unread.quiet_ns > 0
    broker.mine.recv(1)
    assert telling.tick() == [MessagesUnread(telling.now_ns, broker.inode, 0, 1)]
    broker.its.close()
    select.select([broker.mine], [], [])
    assert telling.tick() == [MessagesClosed(telling.now_ns, broker.inode)]
    assert telling.tick() == []
    telling.oracle.detach(telling.watched)
    assert telling.tick() == []


def test_it_rests_between_looks(broker: Broker) -> None:
    telling = Telling(broker)
    telling.tick()
    watched = telling.watched
    assert telling.now_ns + NS // 4 == watched.idles_until_ns < watched.rests_until_ns
    telling.stands(broker.mine.fileno())
    telling.tick(0.1)
    assert watched.rests_until_ns > telling.now_ns + NS // 4  # it has not looked
    telling.tick()
    assert watched.rests_until_ns == telling.now_ns + NS // 4
    broker.send()
    telling.tick()
    assert watched.rests_until_ns == telling.now_ns + NS // 20


def test_what_lies_there_is_dated_by_when_it_came(broker: Broker) -> None:
    telling = Telling(broker)
    telling.stands(broker.mine.fileno())
    telling.tick_now()
    time.sleep(0.3)
    broker.send()
    came_ns = time.monotonic_ns()
    time.sleep(0.3)
    (unread,) = telling.tick_now()
    assert abs(unread.at_ns - came_ns) < 0.2 * NS < telling.now_ns - came_ns
    broker.send()
    (more,) = telling.tick_now() or telling.tick(0.1)
    assert more.at_ns == telling.now_ns, "the first of it has not come just now"


def test_where_nothing_runs_no_new_connection_is_looked_for(broker: Broker) -> None:
    telling = Telling(broker)
    with socket.create_connection(broker.mine.getpeername()) as another:
        telling.inode = os.fstat(another.fileno()).st_ino
        telling.watched.ran = False
        telling.stands(another.fileno())
        assert telling.tick() == []
        telling.watched.ran = True
        assert isinstance(telling.tick()[0], MessagesFound)


def test_a_process_without_connections_rests_until_it_runs(broker: Broker) -> None:
    telling = Telling(broker)
    broker.its.close()
    select.select([broker.mine], [], [])
    telling.tick()
    telling.tick()
    assert telling.watched.rests_until_ns == NEVER_NS


def test_who_has_just_asked_waits_for_an_answer(broker: Broker) -> None:
    telling = Telling(broker)
    broker.mine.send(b"get")
    telling.stands(broker.mine.fileno())
    assert telling.tick_now() == []
    broker.its.recv(3)
    time.sleep(0.5)
    telling.stands(broker.mine.fileno())  # it waits on, for what it has not asked for
    found, _ = telling.tick_now()
    assert isinstance(found, MessagesFound)


def test_what_comes_after_something_was_sent_may_have_been_asked_for(broker: Broker) -> None:
    telling = Telling(broker)
    telling.stands(broker.mine.fileno())
    telling.tick()
    time.sleep(0.02)
    broker.mine.send(b"get")
    broker.send()
    (unread,) = telling.tick()
    assert isinstance(unread, MessagesUnread)
    assert unread.quiet_ns == 0


def test_what_an_event_loop_watches_is_left_to_it(broker: Broker) -> None:
    telling = Telling(broker, [EndUse(TID, 90)])
    with select.epoll() as epoll:
        epoll.register(broker.mine, select.EPOLLIN)
        telling.stands(broker.mine.fileno())
        broker.send()
        assert [telling.tick(), telling.tick(), telling.tick()] == [[], [], []]


def test_connections_that_came_in_are_none_of_these(broker: Broker) -> None:
    telling = Telling(broker)
    telling.inode = os.fstat(broker.its.fileno()).st_ino
    telling.stands(broker.its.fileno())
    assert telling.tick() == []


def test_who_never_waits_is_known_by_its_variables(broker: Broker) -> None:
    telling = Telling(broker, [EndUse(TID, 90), EndUse(TID, 91), EndUse(8, 92)])
    broker.send()
    assert telling.tick() == []  # it may have come just now
    assert telling.tick() == [
        MessagesFound(telling.now_ns, broker.inode, broker.name, TID),
        MessagesFound(telling.now_ns, broker.inode, broker.name, 8),
        MessagesUnread(telling.now_ns, broker.inode, 1, 0),
    ]


@pytest.mark.parametrize("users", [(), Torn("it runs")])
def test_what_nobody_is_known_to_read_is_not_told(
    broker: Broker, users: Sequence[EndUse] | Exception
) -> None:
    telling = Telling(broker, users)
    broker.send()
    assert [telling.tick(), telling.tick(), telling.tick()] == [[], [], []]


def test_a_process_that_is_gone(broker: Broker) -> None:
    oracle, watched = MessagesOracle(), Watched(process(1 << 30), "/proc/gone")
    assert oracle.attach(watched) == "the process is gone"
    assert list(oracle.tick(watched, NS)) == []
    oracle.detach(watched)
