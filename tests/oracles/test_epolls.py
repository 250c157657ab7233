"""The epoll oracle on an epoll of this very process: when it says that work is due."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.examples.build import process
from waitspy.kernel import nettable
from waitspy.kernel.unread_sockets import Sockets
from waitspy.model.epolls import UnreadSocket
from waitspy.oracles import NEVER_NS, Watched
from waitspy.oracles.epolls import EpollOracle
from waitspy.recording.epolls import EpollReady, EpollUnread

pytestmark = pytest.mark.ptrace

TID = 1
ONSET_NS = 25_000_000


@pytest.fixture
def epfd() -> Iterator[int]:
    """An epoll behind which something can be read."""
    with contextlib.ExitStack() as stack:
        ours, theirs = (stack.enter_context(one) for one in socket.socketpair())
        epoll = stack.enter_context(contextlib.closing(select.epoll()))
        epoll.register(ours, select.EPOLLIN)
        theirs.send(b"x")
        yield epoll.fileno()


@pytest.fixture
def watched() -> Watched:
    return Watched(process(os.getpid()), f"/proc/{os.getpid()}")


def test_io_that_no_thread_polls_for_is_due(epfd: int, watched: Watched) -> None:
    oracle = EpollOracle(ONSET_NS)
    assert oracle.attach(watched) == "ok"
    rows = list(oracle.tick(watched, 0))
    assert EpollReady(0, epfd, is_ready=True) in rows
    assert watched.due
    oracle.detach(watched)


def test_io_that_a_polling_thread_has_not_collected_is_due_too(epfd: int, watched: Watched) -> None:
    """Its thread was woken, but whether it gets the CPU is to be looked at."""
    oracle = EpollOracle(ONSET_NS)
    oracle.attach(watched)
    watched.polling = {TID: epfd}
    list(oracle.tick(watched, 0))
    assert watched.due
    oracle.detach(watched)


def test_a_wait_is_looked_into_at_its_onset_and_once_is_its_beginning(
    epfd: int, watched: Watched
) -> None:
    oracle = EpollOracle(ONSET_NS)
    oracle.attach(watched)
    onsets = []
    for now_ms in range(0, 60, 5):
        watched.begin_tick(ran=True)
        list(oracle.tick(watched, now_ms * 10**6))
        if watched.onset:
            onsets.append(now_ms)
    assert onsets == [25]
    oracle.detach(watched)


@pytest.mark.parametrize(
    ("late_ms", "kept_ms", "told_ms"),
    [
        (0, 0, [1_000]),
        (4, 4, [1_000]),
        (90, 0, [1_090]),  # we had no CPU before
        (0, 90, []),  # while we read: it may have been so at the beginning, or at the end
    ],
)
def test_what_is_read_late_within_a_tick_is_dated_by_when_it_was_read(
    epfd: int,
    watched: Watched,
    late_ms: int,
    kept_ms: int,
    told_ms: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ms = 0
    monkeypatch.setattr("time.monotonic_ns", lambda: now_ms * 10**6)
    oracle = EpollOracle(ONSET_NS)
    oracle.attach(watched)

    def unread(_: object, due: Iterable[int]) -> dict[int, tuple[UnreadSocket, ...]]:
        nonlocal now_ms
        now_ms += kept_ms
        return dict.fromkeys(due, ())

    monkeypatch.setattr(Sockets, "unread", unread)
    list(oracle.tick(watched, 0))
    now_ms = 1_000 + late_ms
    rows = list(oracle.tick(watched, 1_000 * 10**6))
    unread_rows = [row for row in rows if isinstance(row, EpollUnread) and row.epfd == epfd]
    assert [row.at_ns // 10**6 for row in unread_rows] == told_ms
    now_ms, kept_ms = 1_010, 0
    again = [
        row.epfd for row in oracle.tick(watched, 1_010 * 10**6) if isinstance(row, EpollUnread)
    ]
    assert (epfd in again) is not bool(told_ms)
    oracle.detach(watched)


def test_what_lies_unread_behind_several_epolls_is_looked_up_at_once(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network's tables are long where there are many connections."""
    reads = []
    read_tcp = nettable.read_tcp

    def counted(pid: int, **filters: Any) -> tuple[nettable.TcpRow, ...]:
        reads.append(filters)
        return read_tcp(pid, **filters)

    monkeypatch.setattr(nettable, "read_tcp", counted)
    oracle = EpollOracle(ONSET_NS)
    oracle.attach(watched)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        waits: dict[int, str] = {}
        for _ in range(3):
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            served = stack.enter_context(listener.accept()[0])
            epoll = stack.enter_context(contextlib.closing(select.epoll()))
            epoll.register(served, select.EPOLLIN)
            client.send(b"x")
            assert epoll.poll(10)
            waits[epoll.fileno()] = "{}:{}".format(*client.getsockname())
        list(oracle.tick(watched, 0))
        rows = list(oracle.tick(watched, ONSET_NS))
        oracle.detach(watched)
    told = {row.epfd: [s.peer for s in row.sockets] for row in rows if isinstance(row, EpollUnread)}
    assert {epfd: told[epfd] for epfd in waits} == {epfd: [name] for epfd, name in waits.items()}
    assert sum("inodes" in filters for filters in reads) == 1


def test_it_rests_where_nothing_waits_and_what_comes_to_wait_is_seen_without_it(
    watched: Watched,
) -> None:
    oracle = EpollOracle(ONSET_NS)
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.closing(select.epoll()) as epoll:
        epoll.register(ours, select.EPOLLIN)
        oracle.attach(watched)
        list(oracle.tick(watched, 0))
        assert watched.rests_until_ns == NEVER_NS
        assert not watched.readiness.poll(0)
        theirs.send(b"x")
        assert watched.readiness.poll(0)
        watched.begin_tick(ran=True)
        list(oracle.tick(watched, 1))
        assert watched.rests_until_ns > 1, "what it has opened since is looked for later"
        assert watched.rests_until_ns < NEVER_NS
        assert watched.due
        oracle.detach(watched)
