"""The requests oracle on sockets of this very process: what it owes, and what it does not."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator

import pytest

from tests.examples.build import process
from waitspy.kernel.sockdiag import Connection, SockDiag
from waitspy.model.clock import NS
from waitspy.oracles import Watched
from waitspy.oracles.listeners import BacklogOracle
from waitspy.oracles.requests import RequestsOracle, is_owed
from waitspy.recording.requests import RequestRow

MIN_STALL_NS = 100_000_000
TICK_S = 0.015  # longer than a tick of the kernel's clock, whose ages tell what came first


class Served:
    """A listening socket, and both ends of its connections."""

    def __init__(self, stack: contextlib.ExitStack, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._stack = stack
        self._listening = stack.enter_context(socket.create_server((address, 0), family=family))
        self.port: int = self._listening.getsockname()[1]
        self.name = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"

    def connect(self, address: str = "127.0.0.1") -> socket.socket:
        return self._stack.enter_context(socket.create_connection((address, self.port)))

    def accept(self) -> socket.socket:
        return self._stack.enter_context(self._listening.accept()[0])

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """The client's end and the server's."""
        return self.connect(), self.accept()


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def served(stack: contextlib.ExitStack) -> Served:
    return Served(stack)


@pytest.fixture
def oracle() -> RequestsOracle:
    return RequestsOracle(MIN_STALL_NS)


def holder(*names: str, pid: int | None = None) -> Watched:
    pid = os.getpid() if pid is None else pid
    return Watched(process(pid), f"/proc/{pid}", listening=frozenset(names))


def look(oracle: RequestsOracle, watched: Watched) -> list[RequestRow]:
    """What one tick says, a second later for the oracle."""
    return list(oracle.tick(watched, time.monotonic_ns()))


def later(oracle: RequestsOracle, watched: Watched) -> list[RequestRow]:
    """What is said first of those that follow; there must be something to say."""
    while not (rows := look(oracle, watched)):
        pass
    return rows


def connection(
    unread: int, received: int, sent: int | None, received_ms: int, sent_ms: int
) -> Connection:
    """One that was accepted."""
    return Connection(
        "127.0.0.1", "127.0.0.1:9", True, True, unread, received, sent, received_ms, sent_ms
    )


def first(oracle: RequestsOracle, served: Served) -> RequestRow:
    watched = holder(served.name)
    assert oracle.attach(watched) == "ok"
    (row,) = look(oracle, watched)
    oracle.detach(watched)
    return row


def owed(oracle: RequestsOracle, served: Served) -> int | None:
    return first(oracle, served).owed


def answer(client: socket.socket, server: socket.socket, text: bytes = b"ask") -> None:
    """One request that is read and answered; then the kernel's clock has moved on."""
    client.sendall(text)
    server.recv(100)
    time.sleep(TICK_S)
    server.sendall(b"here")
    client.recv(100)
    time.sleep(TICK_S)


def test_a_client_that_got_no_answer_is_owed_one(oracle: RequestsOracle, served: Served) -> None:
    client, server = served.pair()
    sent_ns = time.monotonic_ns()
    client.sendall(b"ask")
    server.recv(100)
    time.sleep(0.15)
    row = first(oracle, served)
    assert (row.port, row.owed, row.late) == (served.port, 1, 1)
    assert row.since_ns == pytest.approx(sent_ns, abs=50_000_000)


def test_what_nobody_has_read_is_owed_as_well(oracle: RequestsOracle, served: Served) -> None:
    client, _ = served.pair()
    client.sendall(b"ask")
    row = first(oracle, served)
    assert (row.owed, row.late) == (1, 0)


def test_a_client_that_got_its_answer_is_owed_nothing(
    oracle: RequestsOracle, served: Served
) -> None:
    answer(*served.pair())
    row = first(oracle, served)
    assert (row.owed, row.late, row.since_ns) == (0, 0, None)


def test_a_connection_that_is_kept_after_an_answer_is_owed_nothing_until_it_asks_again(
    oracle: RequestsOracle, served: Served
) -> None:
    client, server = served.pair()
    answer(client, server)
    answer(client, server)
    time.sleep(0.2)
    assert owed(oracle, served) == 0
    client.sendall(b"again")
    server.recv(100)
    assert owed(oracle, served) == 1


def test_an_answer_at_once_is_an_answer(oracle: RequestsOracle, served: Served) -> None:
    client, server = served.pair()
    client.sendall(b"ask")
    server.sendall(server.recv(100))
    client.recv(100)
    assert owed(oracle, served) == 0


def test_a_fresh_connection_that_sent_nothing_is_owed_nothing(
    oracle: RequestsOracle, served: Served
) -> None:
    _, server = served.pair()
    assert owed(oracle, served) == 0
    server.sendall(b"220 hello")
    assert owed(oracle, served) == 0


def test_a_connection_that_nobody_has_accepted_is_not_counted(
    oracle: RequestsOracle, served: Served
) -> None:
    """It waits in the accept queue: the oracle ``backlog`` tells of it."""
    client = served.connect()
    client.sendall(b"ask")
    assert owed(oracle, served) == 0
    served.accept()
    assert owed(oracle, served) == 1


def test_a_client_that_has_closed_its_side_may_still_be_owed_an_answer(
    oracle: RequestsOracle, served: Served
) -> None:
    client, _ = served.pair()
    client.sendall(b"ask")
    client.shutdown(socket.SHUT_WR)
    time.sleep(TICK_S)
    assert owed(oracle, served) == 1


def test_clients_of_this_process_are_no_clients_of_its_port(
    oracle: RequestsOracle, served: Served, stack: contextlib.ExitStack
) -> None:
    """It waits for another server's answer; on its own port nothing waits."""
    client, _ = Served(stack).pair()
    client.sendall(b"ask")
    assert owed(oracle, served) == 0


def test_the_oldest_tells_since_when(oracle: RequestsOracle, served: Served) -> None:
    pairs = [served.pair() for _ in range(3)]
    asked_ns = time.monotonic_ns()
    pairs[0][0].sendall(b"ask")
    time.sleep(0.15)
    pairs[1][0].sendall(b"ask")
    row = first(oracle, served)
    assert (row.owed, row.late) == (2, 1)
    assert row.since_ns == pytest.approx(asked_ns, abs=50_000_000)


@pytest.mark.parametrize("listens_at", ["::1", "::"])
def test_ipv6(oracle: RequestsOracle, stack: contextlib.ExitStack, listens_at: str) -> None:
    served = Served(stack, listens_at)
    client = served.connect("::1")
    served.accept()
    client.sendall(b"ask")
    assert owed(oracle, served) == 1


def test_the_same_port_at_another_address_is_anothers(
    oracle: RequestsOracle, served: Served
) -> None:
    client, _ = served.pair()
    client.sendall(b"ask")
    watched = holder(f"127.0.0.7:{served.port}")
    oracle.attach(watched)
    assert [row.owed for row in look(oracle, watched)] == [0]
    oracle.detach(watched)


def test_sockets_of_other_families_have_no_port(oracle: RequestsOracle) -> None:
    watched = holder("/run/gunicorn.sock", "@app:80", "", "run/app:80")
    assert oracle.attach(watched) == "ok"
    assert look(oracle, watched) == []
    oracle.detach(watched)


# --- over time -------------------------------------------------------------------------------------


def test_only_changes_are_told_and_not_at_every_tick(
    oracle: RequestsOracle, served: Served
) -> None:
    client, server = served.pair()
    client.sendall(b"ask")
    watched = holder(served.name)
    oracle.attach(watched)
    now_ns = time.monotonic_ns()
    assert [row.owed for row in oracle.tick(watched, now_ns)] == [1]
    server.recv(100)
    server.sendall(b"here")
    client.recv(100)
    assert list(oracle.tick(watched, now_ns + NS // 10)) == []
    (row,) = oracle.tick(watched, now_ns + NS)
    assert (row.at_ns, row.owed, row.late, row.since_ns) == (now_ns + NS, 0, 0, None)
    assert list(oracle.tick(watched, now_ns + 2 * NS)) == []
    oracle.detach(watched)


def test_one_that_goes_on_waiting_is_told_again_once_it_is_late(
    oracle: RequestsOracle, served: Served
) -> None:
    client, _ = served.pair()
    client.sendall(b"ask")
    watched = holder(served.name)
    oracle.attach(watched)
    (before,) = look(oracle, watched)
    time.sleep(0.35)
    (after,) = look(oracle, watched)
    assert (before.late, after.late) == (0, 1)
    assert after.since_ns == pytest.approx(before.since_ns, abs=50_000_000)
    time.sleep(0.3)
    assert look(oracle, watched) == []
    oracle.detach(watched)


def test_a_port_that_is_closed_is_watched_on(oracle: RequestsOracle, served: Served) -> None:
    """A server that shuts down still owes what it has accepted."""
    client, _ = served.pair()
    watched = holder(served.name)
    oracle.attach(watched)
    now_ns = time.monotonic_ns()
    assert [row.owed for row in oracle.tick(watched, now_ns)] == [0]
    watched.listening = frozenset()
    client.sendall(b"ask")
    assert [row.owed for row in oracle.tick(watched, now_ns + NS)] == [1]
    oracle.detach(watched)


def test_a_row_says_until_when_the_one_before_held(oracle: RequestsOracle, served: Served) -> None:
    client, server = served.pair()
    client.sendall(b"ask")
    watched = holder(served.name)
    oracle.attach(watched)
    (first,) = later(oracle, watched)
    assert first.before_until_ns is None
    while not first.late:
        (first,) = later(oracle, watched)
    while time.monotonic_ns() < first.at_ns + NS // 2:
        assert look(oracle, watched) == []
    server.sendall(b"answer")
    (answered,) = later(oracle, watched)
    assert answered.owed == 0
    assert answered.before_until_ns is not None
    assert first.at_ns < answered.before_until_ns < answered.at_ns
    oracle.detach(watched)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_each_port_has_its_own_connections(
    stack: contextlib.ExitStack, address: str, count: int
) -> None:
    served = [Served(stack, address) for _ in range(count)]
    ends = {one.port: {one.connect(address).getsockname()[1] for _ in "ab"} for one in served}
    Served(stack, address).connect(address)
    diag = stack.enter_context(contextlib.closing(SockDiag(os.getpid())))
    told = diag.arrived([*ends, 1])
    assert told.pop(1) == ()
    clients = {port: {int(one.peer.rpartition(":")[2]) for one in told[port]} for port in told}
    assert clients == ends


def test_no_port_has_no_connections(stack: contextlib.ExitStack) -> None:
    diag = stack.enter_context(contextlib.closing(SockDiag(os.getpid())))
    assert diag.arrived([]) == {}


def test_one_worker_tells_and_another_one_after_it(oracle: RequestsOracle, served: Served) -> None:
    served.pair()[0].sendall(b"ask")
    one, other = holder(served.name), holder(served.name, pid=os.getppid())
    assert [oracle.attach(each) for each in (one, other)] == ["ok", "ok"]
    now_ns = time.monotonic_ns()
    assert [row.owed for row in oracle.tick(one, now_ns)] == [1]
    assert list(oracle.tick(other, now_ns + NS)) == []
    oracle.detach(one)
    assert list(oracle.tick(one, now_ns + 2 * NS)) == []
    assert [row.owed for row in oracle.tick(other, now_ns + 2 * NS)] == [1]
    oracle.detach(other)


def test_what_cannot_be_seen_is_unknown_and_not_zero(
    oracle: RequestsOracle, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> dict[int, tuple[Connection, ...]]:
        raise TimeoutError

    watched = holder(served.name)
    oracle.attach(watched)
    monkeypatch.setattr(SockDiag, "arrived", fails)
    (row,) = look(oracle, watched)
    assert (row.port, row.owed, row.late, row.since_ns) == (served.port, None, None, None)
    oracle.detach(watched)


def test_it_needs_to_know_the_listening_sockets(oracle: RequestsOracle) -> None:
    watched = Watched(process(os.getpid()), f"/proc/{os.getpid()}")
    assert oracle.attach(watched) == "its listening sockets are not known"


def test_the_listeners_oracle_tells_them(served: Served) -> None:
    watched = Watched(process(os.getpid()), f"/proc/{os.getpid()}")
    listeners = BacklogOracle(1)
    assert listeners.attach(watched) == "ok"
    list(listeners.tick(watched, time.monotonic_ns()))
    assert watched.listening is not None
    assert served.name in watched.listening
    listeners.detach(watched)


# --- who waits to be accepted ---------------------------------------------------------------------


def test_who_waits_to_be_accepted_is_told_with_since_when_and_when_it_was(
    oracle: RequestsOracle, served: Served
) -> None:
    watched = holder(served.name)
    assert oracle.attach(watched) == "ok"
    before_ns = time.monotonic_ns()
    served.connect().send(b"?")
    served.connect()  # it need not have said anything
    (row,) = look(oracle, watched)
    assert row.outside == 0  # not for long
    while row.outside != 2:
        rows = look(oracle, watched)
        row = rows[-1] if rows else row
    assert row.outside_since_ns is not None
    assert row.outside_mean_ns is not None
    assert before_ns - TICK_S * NS < row.outside_since_ns  # the kernel's clock is that coarse
    assert row.outside_since_ns <= row.outside_mean_ns <= row.at_ns - MIN_STALL_NS
    served.accept()
    (row,) = later(oracle, watched)
    assert (row.outside, row.let_in, row.owed) == (1, 1, 1)
    assert row.let_in_mean_ns is not None
    assert row.let_in_mean_ns <= row.at_ns - MIN_STALL_NS
    served.accept()
    (row,) = later(oracle, watched)
    assert (row.outside, row.outside_since_ns, row.let_in) == (0, None, 1)


def test_a_client_that_has_gone_meanwhile_waits_no_more(
    oracle: RequestsOracle, served: Served
) -> None:
    watched = holder(served.name)
    assert oracle.attach(watched) == "ok"
    client = served.connect()
    row = None
    while row is None or not row.outside:
        row = next(iter(look(oracle, watched)), row)
    client.close()
    row = next(iter(later(oracle, watched)))
    assert (row.outside, row.let_in) == (0, 1)


# --- what came first -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "sent", "received_ms", "sent_ms", "unread", "owes"),
    [
        (0, 0, 500, 500, 0, False),  # nothing was sent by anybody
        (0, 9, 500, 400, 0, False),  # a greeting
        (9, 0, 400, 500, 0, True),
        (9, 0, 500, 500, 0, True),  # connected, asked, in one tick
        (9, 9, 400, 500, 0, True),
        (9, 9, 500, 400, 0, False),
        (9, 9, 500, 400, 9, False),  # it answers whatever it has not read
        (9, 9, 500, 500, 0, False),
        (9, 9, 500, 500, 9, True),
        (9, None, 400, 500, 0, True),
        (9, None, 500, 400, 0, False),
        (9, None, 500, 500, 9, True),
        (9, None, 500, 500, 0, None),  # first request or quick answer: nobody knows
        (0, None, 500, 500, 0, False),
    ],
)
def test_owed_is_what_was_received_last(
    received: int, sent: int | None, received_ms: int, sent_ms: int, unread: int, owes: bool | None
) -> None:
    assert is_owed(connection(unread, received, sent, received_ms, sent_ms)) is owes


def test_an_old_kernel_that_cannot_tell_makes_the_count_unknown(
    oracle: RequestsOracle, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (connection(0, 9, None, 500, 500),)
    monkeypatch.setattr(SockDiag, "arrived", lambda _, ports: dict.fromkeys(ports, found))
    assert owed(oracle, served) is None
