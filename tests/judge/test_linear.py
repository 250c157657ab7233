"""What a report costs grows with what was recorded, and not faster: by loops, pools and listeners."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.examples.build import (
    HANDLER,
    POLL,
    at,
    collected,
    opened,
    ready,
    recording,
    sock,
    states,
    unread,
    worker,
)
from tests.examples.loop_examples import POOL
from waitspy.judge import analysis
from waitspy.model.connection_pools import PoolUse
from waitspy.model.datagrams import DatagramEvent
from waitspy.model.listeners import ListenerEvent
from waitspy.model.loops import LateTimer, LoopEvent, LoopInfo, LoopWork
from waitspy.model.pools import PoolEvent, PoolInfo, PoolWaits
from waitspy.model.recorded import Recording, WorkerRecord
from waitspy.model.requests import RequestsEvent
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import Holder, LentPool, WaitEdge, WaitForEvent

MANY = 400
TIMES = 4
EACH_MS = 1_000
JOB = (*POOL, Frame("job", "/app/jobs.py", 3))


def stalls(many: int, **more: Any) -> WorkerRecord:
    """A thread that polls for 0.5 s and is blocked for 0.5 s, so many times."""
    shown, kernel = [], []
    for n in range(many):
        start = n * EACH_MS
        shown += [(start, start + 500, POLL), (start + 500, start + EACH_MS, HANDLER)]
        kernel += [(start, "epoll_wait 5"), (start + 500, "clock_nanosleep")]
    return worker(
        shown={100: shown, 200: [(0, many * EACH_MS, JOB)]},
        kernel={100: states(*kernel), 200: states((0, "clock_nanosleep"))},
        end_ms=many * EACH_MS,
        **more,
    )


def by_sockets(many: int) -> WorkerRecord:
    epolls = [opened(0, 5, 1)]
    for n in range(many):
        start = n * EACH_MS + 550
        epolls += [ready(start, 5), unread(start + 100, 5, sock(n + 1)), collected(start + 450, 5)]
    return stalls(many, epolls=epolls)


def by_timers(many: int) -> WorkerRecord:
    """A timer is late in every stall; in between the loop runs a few callbacks at each tick."""
    loops = [LoopEvent(at(0), 9, facts=LoopInfo("asyncio", 5, 100, "running", closed=False))]
    changes = 0
    for n in range(many):
        for tick in range(10):
            changes += 4
            loops.append(LoopEvent(at(n * EACH_MS + tick * 50), 9, service=(0, changes)))
        late = LateTimer(at(n * EACH_MS + 600), "beat", None, guards=False)
        work = LoopWork(0, (), 1, (late,))
        loops.append(LoopEvent(at(n * EACH_MS + 700), 9, work=work))
    more = {"epolls": [opened(0, 5, 1)], "loops": tuple(loops)}
    return stalls(many, oracles={"threads": "ok", "epoll": "ok", "asyncio": "ok"}, **more)


def by_nothing(many: int) -> WorkerRecord:
    """Nothing was due: every stall is a latent one."""
    return stalls(many, epolls=[opened(0, 5, 1)])


def by_a_pool(many: int) -> WorkerRecord:
    pools = [PoolEvent(at(0), 7, info=PoolInfo("executor", None, "default executor", 1, (200,)))]
    for n in range(many):
        waits = PoolWaits(((f"item_{n}", None),), ())
        pools += [
            PoolEvent(at(n * EACH_MS), 7, queue=(1, n)),
            PoolEvent(at(n * EACH_MS + 100), 7, waits=waits),
            PoolEvent(at(n * EACH_MS + 500), 7, queue=(0, n + 1)),
        ]
    return stalls(many, pools=tuple(pools))


def by_connections(many: int) -> WorkerRecord:
    pool = LentPool(7, PoolUse("QueuePool", 1, 1), (Holder(200, "with"),), whole=True)
    edges = (WaitEdge(100, "connections", 7, (), whole=True),)
    looks = [WaitForEvent(at(n * EACH_MS + 600), edges, (pool,)) for n in range(many)]
    owed = (RequestsEvent(at(0), 8000, 1, 1, at(0)),)
    return stalls(many, wait_for=tuple(looks), requests=owed)


def by_a_listener(many: int) -> WorkerRecord:
    found = [
        ListenerEvent(at(0), 3, name="127.0.0.1:8000", fd=4),
        ListenerEvent(at(0), 3, accepted=2),
    ]
    for n in range(many):
        found += [
            ListenerEvent(at(n * EACH_MS + 550), 3, waiting=2),
            ListenerEvent(at((n + 1) * EACH_MS), 3, waiting=0),
        ]
    return stalls(many, listeners=tuple(found))


def by_datagrams(many: int) -> WorkerRecord:
    found = [
        DatagramEvent(at(0), 3, name="127.0.0.1:53", fd=4),
        DatagramEvent(at(0), 3, looked=True, readers=((100, 7),)),
    ]
    for n in range(many):
        found += [
            DatagramEvent(at(n * EACH_MS + 550), 3, unread=832, dropped=n, taken=n),
            DatagramEvent(at((n + 1) * EACH_MS), 3, unread=0, dropped=n),
        ]
    return stalls(many, datagrams=tuple(found))


def seconds(given: Recording, kind: str, many: int) -> float:
    """CPU time of judging it; each stall must be found."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        report = analysis.analyse(given).report
        taken.append(time.process_time() - began)
    assert sum(f.occurrences for f in report.findings if f.kind.name == kind) >= many - 1
    return statistics.median(taken)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (by_sockets, "blocked-loop"),
        (by_timers, "blocked-loop"),
        (by_nothing, "blocked-loop"),
        (by_a_pool, "exhausted-pool"),
        (by_a_listener, "accept-backlog"),
        (by_datagrams, "accept-backlog"),
        (by_connections, "exhausted-connections"),
    ],
)
def test_four_times_as_many_stalls_cost_four_times_as_much(
    build: Callable[[int], WorkerRecord], kind: str
) -> None:
    def cost(many: int) -> float:
        end_ms = many * EACH_MS
        return seconds(recording(build(many), end_ms=end_ms), kind, many)

    ratio = cost(MANY * TIMES) / cost(MANY)
    assert ratio < TIMES * 2  # sixteen where it is quadratic
