"""What to do about a finding: by its kind, its wait, the code that waits and the framework.

The first row that fits is told. To add one, put it before the more general rows. The last row of a
kind asks for nothing else, so that there is always a remedy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from waitspy.model.kinds import (
    ACCEPT_BACKLOG,
    BLOCKED_LOOP,
    BUSY_LOOP,
    EXHAUSTED_POOL,
    GIL_BOUND,
    NO_CPU,
    OVERLOADED_LOOP,
    OVERLOADED_POOL,
    PARKED_LOOP,
    Kind,
)
from waitspy.model.pools import PoolKind
from waitspy.model.waits import Wait, WaitKind


@dataclass(frozen=True, slots=True)
class Case:
    """What a remedy is chosen by.

    ``line`` is the blamed source line where it is known, ``packages`` are those whose frames are in
    the blamed stack. ``library`` is the loop's own where it is not asyncio, as in ``"gevent"``;
    ``pool`` is what starved if it is a pool, ``deadlock`` says that it waits for itself.
    """

    kind: Kind
    wait: Wait
    line: str | None = None
    packages: frozenset[str] = frozenset()
    library: str | None = None
    pool: PoolKind | None = None
    deadlock: bool = False

    @property
    def code(self) -> tuple[str, ...]:
        """The target's code that tells what it waits in."""
        return tuple(filter(None, (self.wait.call, self.line, *self.packages)))


@dataclass(frozen=True, slots=True)
class Remedy:
    """Fits when every given part does; ``code`` is searched in each piece of the case's code."""

    text: str
    kinds: frozenset[Kind] = frozenset()
    waits: frozenset[WaitKind] = frozenset()
    code: re.Pattern[str] | None = None
    pool: PoolKind | None = None
    deadlock: bool = False
    library: str | None = None

    def fits(self, case: Case) -> bool:
        """Whether this is what to do."""
        return (
            (not self.kinds or case.kind in self.kinds)
            and (not self.waits or case.wait.kind in self.waits)
            and (self.code is None or any(map(self.code.search, case.code)))
            and self.pool in {None, case.pool}
            and self.deadlock <= case.deadlock
            and self.library in {None, case.library}
        )


def _row(
    text: str,
    *kinds: Kind,
    waits: str = "",
    code: str = "",
    pool: PoolKind | None = None,
    deadlock: bool = False,
    library: str | None = None,
) -> Remedy:
    return Remedy(
        text,
        frozenset(kinds),
        frozenset(WaitKind(w) for w in waits.split()),
        re.compile(code) if code else None,
        pool,
        deadlock,
        library,
    )


_TO_THREAD = "await asyncio.to_thread(…)"

ROWS: tuple[Remedy, ...] = (
    _row("no monkey-patching covers files: move the call to gevent's thread pool "
         "(gevent.get_hub().threadpool.apply)", BLOCKED_LOOP, waits="file", library="gevent"),
    _row("monkey-patch before anything else is imported (gevent.monkey.patch_all), or move the "
         "call to gevent's thread pool (gevent.get_hub().threadpool.apply)", BLOCKED_LOOP,
         library="gevent"),
    _row("move it off the loop with 'await trio.to_thread.run_sync(…)', or use trio's own call",
         BLOCKED_LOOP, library="trio"),
    _row("the machine did not give this process the CPU: look for other busy processes, a CPU "
         "limit of the container (cpu.stat, nr_throttled), or a SIGSTOP; the program is not to "
         "blame", NO_CPU),
    _row("never wait in a pool for work that is given to the same pool: call the function "
         "directly, or give the inner work an executor of its own", EXHAUSTED_POOL, deadlock=True),
    _row("make this endpoint 'async def' with an asynchronous client, so that it needs no thread; "
         "else raise anyio.to_thread.current_default_thread_limiter().total_tokens at startup, or "
         "add workers", EXHAUSTED_POOL, pool=PoolKind.ANYIO),
    _row("synchronous views share one thread, per request or (outside of Django's own request "
         "handling) per process: make the view asynchronous, mark what needs no such thread with "
         "sync_to_async(…, thread_sensitive=False), or add workers",
         EXHAUSTED_POOL, pool=PoolKind.ASGIREF),
    _row("give these blocking calls an executor of their own, so that DNS and files, which share "
         "the default one, need not wait behind them; or make it larger "
         "(loop.set_default_executor), or use an asynchronous client", EXHAUSTED_POOL,
         pool=PoolKind.DEFAULT_EXECUTOR),
    _row("give the pool more threads (max_workers), keep long calls in a pool of their own, or put "
         "a timeout on this call", EXHAUSTED_POOL),
    _row("more arrives than these threads can do: make the work shorter, add threads where it "
         "waits or processes where it computes, or refuse work early", OVERLOADED_POOL),
    _row("each callback is short, but there are too many: do less per message, spread the work "
         "over more processes, or refuse work early", OVERLOADED_LOOP),
    _row("add workers or threads (gunicorn --workers, --threads), or use asynchronous workers; "
         "and put a timeout on this call, so that one slow peer does not hold a worker",
         ACCEPT_BACKLOG),
    _row("another thread keeps the GIL: move its work to a process, or make it release the GIL",
         GIL_BOUND),
    _row("let the event loop itself wait for messages (asyncio.Queue with "
         "loop.call_soon_threadsafe), or wait with a short timeout and run the loop in between; "
         "else await everything that a task starts before the thread waits again",
         PARKED_LOOP, waits="queue lock future socket file"),
    _row("do not leave the loop while its tasks are unfinished: await what a task has started, "
         "or keep the loop running and do this wait in another thread", PARKED_LOOP),
    _row(f"split the work into pieces with 'await asyncio.sleep(0)' between them, or move it to "
         f"a process (concurrent.futures.ProcessPoolExecutor with loop.run_in_executor); for C "
         f"code that releases the GIL, {_TO_THREAD}", BUSY_LOOP),
    _row("use await asyncio.sleep(…) instead", waits="sleep"),
    _row(f"use an asynchronous client (httpx.AsyncClient, aiohttp), or {_TO_THREAD}",
         code=r"requests|urlopen|urllib|httpx"),
    _row(f"use the driver's asynchronous interface (asyncpg, psycopg's AsyncConnection, "
         f"redis.asyncio …), or {_TO_THREAD}", waits="socket lock",
         code=r"execute|fetch|commit|rollback|cursor|query|redis|psycopg|pymysql|sqlite|mongo"),
    _row("resolve names with await loop.getaddrinfo(…), or keep the resolved address",
         waits="dns"),
    _row("use await asyncio.create_subprocess_exec(…) and await its communicate()",
         waits="subprocess"),
    _row("never wait on a thread's future inside the loop: await asyncio.wrap_future(future), or "
         "await loop.run_in_executor(…)", waits="future"),
    _row(f"join threads outside the loop, or {_TO_THREAD} around the join", waits="join"),
    _row(f"use asyncio.Queue inside the loop, or {_TO_THREAD} around the queue", waits="queue"),
    _row(f"use asyncio's own Lock, Event or Condition inside the loop; where threads share the "
         f"lock, hold it briefly or take it in {_TO_THREAD}", waits="lock"),
    _row(f"use asyncio streams or an asynchronous client; else {_TO_THREAD}", waits="socket"),
    _row("log through a QueueHandler: a blocked pipe or disk must not hold the loop",
         waits="file", code=r"logg|print|stdout|stderr|emit"),
    _row(f"do file work in {_TO_THREAD}", waits="file"),
    _row(f"move this blocking call off the event loop: {_TO_THREAD}, or an asynchronous "
         "equivalent", BLOCKED_LOOP),
)  # fmt: skip


def find(case: Case) -> str:
    """What to do about a finding."""
    return next(row.text for row in ROWS if row.fits(case))
