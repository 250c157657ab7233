"""What to do about a finding: by its kind, its wait, the call and the framework.

The first row that fits is told. To add one, put it before the more general rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from waitspy.model.judged import Wait, WaitKind


@dataclass(frozen=True, slots=True)
class Row:
    """Fits when every given part does.

    ``call`` is searched in the call, the blamed line and the packages called, ``about`` in the
    finding's detail.
    """

    text: str
    kinds: frozenset[str] = frozenset()
    waits: frozenset[WaitKind] = frozenset()
    call: re.Pattern[str] | None = None
    about: re.Pattern[str] | None = None


def _row(text: str, kinds: str = "", waits: str = "", call: str = "", about: str = "") -> Row:
    return Row(
        text,
        frozenset(kinds.split()),
        frozenset(WaitKind(w) for w in waits.split()),
        re.compile(call) if call else None,
        re.compile(about) if about else None,
    )


_TO_THREAD = "await asyncio.to_thread(…)"

ROWS: tuple[Row, ...] = (
    _row("the machine did not give this process the CPU: look for other busy processes, a CPU "
         "limit of the container (cpu.stat, nr_throttled), or a SIGSTOP; the program is not to "
         "blame", "no-cpu"),
    _row("never wait in a pool for work that is given to the same pool: call the function "
         "directly, or give the inner work an executor of its own", "exhausted-pool",
         about=r"^deadlock"),
    _row("make this endpoint 'async def' with an asynchronous client, so that it needs no thread; "
         "else raise anyio.to_thread.current_default_thread_limiter().total_tokens at startup, or "
         "add workers", "exhausted-pool", about=r"^AnyIO"),
    _row("synchronous views share one thread, per request or (outside of Django's own request "
         "handling) per process: make the view asynchronous, mark what needs no such thread with "
         "sync_to_async(…, thread_sensitive=False), or add workers",
         "exhausted-pool", about=r"^asgiref"),
    _row("give these blocking calls an executor of their own, so that DNS and files, which share "
         "the default one, need not wait behind them; or make it larger "
         "(loop.set_default_executor), or use an asynchronous client", "exhausted-pool",
         about=r"^the default executor"),
    _row("give the pool more threads (max_workers), keep long calls in a pool of their own, or put "
         "a timeout on this call", "exhausted-pool"),
    _row("more arrives than these threads can do: make the work shorter, add threads where it "
         "waits or processes where it computes, or refuse work early", "overloaded-pool"),
    _row("each callback is short, but there are too many: do less per message, spread the work "
         "over more processes, or refuse work early", "overloaded-loop"),
    _row("add workers or threads (gunicorn --workers, --threads), or use asynchronous workers; "
         "and put a timeout on this call, so that one slow peer does not hold a worker",
         "accept-backlog"),
    _row("another thread keeps the GIL: move its work to a process, or make it release the GIL",
         "gil-bound"),
    _row("let the event loop itself wait for messages (asyncio.Queue with "
         "loop.call_soon_threadsafe), or wait with a short timeout and run the loop in between; "
         "else await everything that a task starts before the thread waits again",
         "parked-loop", "queue lock future socket file"),
    _row("do not leave the loop while its tasks are unfinished: await what a task has started, "
         "or keep the loop running and do this wait in another thread", "parked-loop"),
    _row(f"split the work into pieces with 'await asyncio.sleep(0)' between them, or move it to "
         f"a process (concurrent.futures.ProcessPoolExecutor with loop.run_in_executor); for C "
         f"code that releases the GIL, {_TO_THREAD}", "busy-loop"),
    _row("use await asyncio.sleep(…) instead", waits="sleep"),
    _row(f"use an asynchronous client (httpx.AsyncClient, aiohttp), or {_TO_THREAD}",
         call=r"requests|urlopen|urllib|httpx"),
    _row(f"use the driver's asynchronous interface (asyncpg, psycopg's AsyncConnection, "
         f"redis.asyncio …), or {_TO_THREAD}", waits="socket lock",
         call=r"execute|fetch|commit|rollback|cursor|query|redis|psycopg|pymysql|sqlite|mongo"),
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
         waits="file", call=r"logg|print|stdout|stderr|emit"),
    _row(f"do file work in {_TO_THREAD}", waits="file"),
    _row(f"move this blocking call off the event loop: {_TO_THREAD}, or an asynchronous "
         "equivalent", "blocked-loop"),
)  # fmt: skip

_GREENLET_FILES = (
    "no monkey-patching covers files: move the call to gevent's thread pool "
    "(gevent.get_hub().threadpool.apply)"
)
_GREENLETS = (
    "monkey-patch before anything else is imported (gevent.monkey.patch_all), or move the call "
    "to gevent's thread pool (gevent.get_hub().threadpool.apply)"
)
_TRIO = "move it off the loop with 'await trio.to_thread.run_sync(…)', or use trio's own call"


def find(
    kind: str,
    wait: Wait,
    line: str | None,
    library: str | None = None,
    detail: str | None = None,
    called: Iterable[str | None] = (),
) -> str:
    """The remedy for a finding; ``line`` is the blamed source line where it is known.

    ``library`` is the loop's own where it is not asyncio: ``"gevent"`` or ``"trio"``. ``detail``
    is the finding's own, ``called`` are the packages whose frames are in the blamed stack.
    """
    if kind == "blocked-loop" and library == "gevent":
        return _GREENLET_FILES if wait.kind is WaitKind.FILE else _GREENLETS
    if kind == "blocked-loop" and library == "trio":
        return _TRIO
    text = " ".join(filter(None, (wait.call, line, *called)))
    for row in ROWS:
        if (
            (not row.kinds or kind in row.kinds)
            and (not row.waits or wait.kind in row.waits)
            and (row.call is None or row.call.search(text))
            and (row.about is None or row.about.search(detail or ""))
        ):
            return row.text
    return "look at the stack: no remedy is known for this wait"
