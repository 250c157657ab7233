"""Pools whose threads did something while items waited, and the episodes that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.examples.build import activities, activity, at, stack, states, worker
from waitspy.judge import pool_episodes, pools
from waitspy.judge.episode import Starvation
from waitspy.model.pools import PoolEvent, PoolInfo, PoolWaits
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind

POOL = 7
THREAD = stack("_bootstrap@lib/threading.py:1002 > run@lib/threading.py:982")
WORKER = THREAD + stack("_worker@lib/concurrent/futures/thread.py:83")
SLOW = WORKER + stack("_WorkItem.run@lib/concurrent/futures/thread.py:58 > slow@/app/jobs.py:5")
RESULT = WORKER + stack(
    "_WorkItem.run@lib/concurrent/futures/thread.py:58 > outer@/app/jobs.py:9"
    " > Future.result@lib/concurrent/futures/_base.py:451"
)
BATCH = stack("<module>@/app/main.py:9 > wait@lib/concurrent/futures/_base.py:305")
ANYIO = THREAD + stack("WorkerThread.run@site/anyio/_backends/_asyncio.py:986")
AT_CALL = THREAD + stack("WorkerThread.run@site/anyio/_backends/_asyncio.py:1002")
ENDPOINT = AT_CALL + stack("report@/app/views.py:12")
ANYIO_IDLE = ANYIO + stack("Queue.get@lib/queue.py:171 > Condition.wait@lib/threading.py:327")

SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
WAITS = Wait(WaitKind.FUTURE, "Future.result", "futex")
IDLE = Wait(WaitKind.POOL_IDLE, "concurrent.futures worker", "futex")
COMPUTES = Wait(WaitKind.ON_CPU)
WANTS_GIL = Wait(WaitKind.GIL, None, "futex")

DEFAULT = PoolInfo("executor", "asyncio", "default executor", 2, (11, 12))
OWN = PoolInfo("executor", "crawl", None, 2, (11, 12))
DJANGO = PoolInfo("executor", None, "asgiref thread-sensitive", 2, (11, 12))
LIMITER = PoolInfo("limiter", None, None, 40, ())


def queue(*counts: tuple[float, int, int]) -> list[PoolEvent]:
    """Rows (milliseconds, queued, taken)."""
    return [PoolEvent(at(when), POOL, queue=(n, taken)) for when, n, taken in counts]


def waits(
    when: float, *names: str, on_itself: tuple[int, ...] = (), awaited: tuple[str, ...] = ()
) -> PoolEvent:
    first = tuple((name, f"/app/jobs.py:{n}") for n, name in enumerate(names))
    places = tuple((name, "/app/views.py:9") for name in awaited)
    return PoolEvent(at(when), POOL, waits=PoolWaits(first, on_itself, places))


def found(
    info: PoolInfo,
    events: Sequence[PoolEvent],
    did: Mapping[int, Sequence[tuple[float, float, Stack, Wait]]],
    kernel: str | Sequence[tuple[float, str]] = "clock_nanosleep 1",
    end: float = 2_000,
    **more: Any,
) -> list[Starvation]:
    """The episodes of one pool whose threads did that."""
    rows = [(0.0, kernel), (2_000.0, kernel)] if isinstance(kernel, str) else kernel
    record: WorkerRecord = worker(
        kernel={tid: states(*rows) for tid in did},
        pools=(PoolEvent(at(0), POOL, info=info), *sorted(events, key=lambda e: e.at_ns)),
        **more,
    )
    done = {tid: activities(*(activity(*one) for one in parts)) for tid, parts in did.items()}
    return [
        starved
        for pool in pools.find(record, done, at(end), 100_000_000)
        for starved in pool_episodes.find(pool, record, done, 100_000_000)
    ]


BLOCKED = {tid: [(0, 2_000, SLOW, SLEEPS)] for tid in (11, 12)}
STUCK = queue((100, 1, 0), (300, 3, 0), (900, 0, 3))
