"""The backlog oracle on sockets of this very process: one asks for all, and calls the others."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.examples.build import process
from waitspy.model.clock import NS
from waitspy.oracles import Watched
from waitspy.oracles.listeners import BacklogOracle
from waitspy.recording.listeners import (
    ListenerAccepted,
    ListenerFound,
    ListenerRow,
    ListenerWaiting,
)

ONSET_NS = 50_000_000


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def oracle() -> BacklogOracle:
    return BacklogOracle(ONSET_NS)


@pytest.fixture
def other(listening: socket.socket) -> Iterator[int]:
    """Another process that holds the socket."""
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    inherited = (listening.fileno(),)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=inherited) as other:
        yield other.pid
        assert other.stdin is not None
        other.stdin.close()


def worker(pid: int) -> Watched:
    return Watched(process(pid), f"/proc/{pid}")


def tick(oracle: BacklogOracle, watched: Watched, now_ns: int) -> list[ListenerRow]:
    watched.rests_until_ns, watched.called, watched.onset = 0, False, False
    return list(oracle.tick(watched, now_ns))


def waits(rows: list[ListenerRow]) -> bool:
    return any(isinstance(row, ListenerWaiting) and row.connections > 0 for row in rows)


def test_who_asked_asks_again_first(
    oracle: BacklogOracle, listening: socket.socket, other: int
) -> None:
    workers = [worker(os.getpid()), worker(other)]
    assert [oracle.attach(one) for one in workers] == ["ok", "ok"]
    for now_ns in (NS, 2 * NS):
        told = [tick(oracle, one, now_ns) for one in workers]
    asks, rests = workers
    assert NS < asks.rests_until_ns < rests.rests_until_ns
    assert not waits(told[0])
    for one in workers:
        oracle.detach(one)


@pytest.mark.parametrize("asker", [0, 1])
def test_what_waits_is_seen_by_those_that_rest(
    oracle: BacklogOracle, listening: socket.socket, other: int, asker: int
) -> None:
    workers = [worker(os.getpid()), worker(other)]
    assert [oracle.attach(one) for one in workers] == ["ok", "ok"]
    found = [row for one in workers for row in tick(oracle, one, NS)]
    name = "{}:{}".format(*listening.getsockname())
    assert [row.name for row in found if isinstance(row, ListenerFound)].count(name) == 2
    for one in workers:
        tick(oracle, one, NS)
    asks, rests = workers[asker], workers[1 - asker]
    with socket.create_connection(listening.getsockname()):
        first = tick(oracle, asks, 2 * NS)
        assert rests.called
        assert not asks.called
        assert waits(first + tick(oracle, rests, 2 * NS + 10_000_000))
        later = [row for one in workers for row in tick(oracle, one, 3 * NS)]
        accepted = [row.connections for row in later if isinstance(row, ListenerAccepted)]
        assert len(accepted) == 2
        assert rests.onset
        listening.accept()[0].close()
        tick(oracle, asks, 4 * NS)
        assert rests.called  # nothing waits any more
        tick(oracle, rests, 4 * NS + 10_000_000)
        tick(oracle, asks, 5 * NS)
        assert not rests.called
    for one in workers:
        oracle.detach(one)


def test_a_new_socket_is_found_by_those_that_rest(oracle: BacklogOracle) -> None:
    first, second = worker(os.getppid()), worker(os.getpid())
    assert [oracle.attach(one) for one in (first, second)] == ["ok", "ok"]
    for one in (first, second):
        tick(oracle, one, NS)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as new:
        tick(oracle, first, 2 * NS)
        assert second.called
        (row,) = [
            row
            for row in tick(oracle, second, 2 * NS + 10_000_000)
            if isinstance(row, ListenerFound)
        ]
        assert row.name == "{}:{}".format(*new.getsockname())
    for one in (first, second):
        oracle.detach(one)
