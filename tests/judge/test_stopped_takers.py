"""Something waits in a socket while all who take from it are stopped."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.examples.build import at, ms, states, worker
from waitspy.judge import stopped_takers
from waitspy.judge.datagrams import DatagramQueue
from waitspy.judge.listeners import Listener
from waitspy.model.datagrams import DatagramEvent
from waitspy.model.processes import ThreadKey
from waitspy.model.threads import KernelState

STALL_NS = 100_000_000
STOPPED = states((0, "accept4 3"), (200, "stop"), (900, "accept4 3"))
COUNTS = ((at(300), 2), (at(700), 3), (at(950), 0))


def spans(*kernels: Sequence[KernelState]) -> list[tuple[float, float]]:
    workers = [worker(100 + n, kernel={100 + n: one}) for n, one in enumerate(kernels)]
    takers = tuple(ThreadKey(100 + n, 100 + n) for n in range(len(kernels)))
    listener = Listener("127.0.0.1:80", takers, COUNTS)
    found = list(stopped_takers.of_listener(listener, workers, at(2_000), STALL_NS))
    assert all(one.kind.name == "no-cpu" and not one.held_by for one in found)
    return [(ms(one.start_ns), ms(one.end_ns)) for one in found]


def test_connections_wait_while_all_who_accept_are_stopped() -> None:
    assert spans(STOPPED) == [(300, 900)]
    late = states((0, "accept4 3"), (500, "stop"))
    assert spans(STOPPED, late) == [(500, 900)]
    workers = [worker(100, kernel={100: STOPPED})]
    listener = Listener("127.0.0.1:80", (ThreadKey(100, 100),), COUNTS)
    (one,) = stopped_takers.of_listener(listener, workers, at(2_000), STALL_NS)
    assert one.detail == "connections to 127.0.0.1:80: its only worker stopped"
    assert sum(item.count for item in one.items) == 3


@pytest.mark.parametrize(
    "kernel", [states((0, "accept4 3")), states((0, "run")), states((820, "stop"))]
)
def test_one_that_is_not_stopped_may_accept(kernel: Sequence[KernelState]) -> None:
    assert spans(STOPPED, kernel) == []


def test_nobody_is_known_to_accept() -> None:
    assert spans() == []


def test_datagrams_wait_while_their_reader_is_stopped() -> None:
    rows = [DatagramEvent(at(300), 5, unread=832), DatagramEvent(at(950), 5, unread=0)]
    queue = DatagramQueue("127.0.0.1:53", (ThreadKey(100, 100),), tuple(rows), of_client=False)
    workers = [worker(100, kernel={100: STOPPED})]
    (one,) = stopped_takers.of_datagrams(queue, workers, at(2_000), STALL_NS)
    assert (ms(one.start_ns), ms(one.end_ns)) == (300, 900)
    assert one.detail == "datagrams on UDP 127.0.0.1:53: the only thread that reads them stopped"
