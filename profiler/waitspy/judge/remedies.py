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
    DEADLOCK,
    EXHAUSTED_CONNECTIONS,
    EXHAUSTED_POOL,
    GC_PAUSE,
    GIL_BOUND,
    HELD_LOCK,
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
    the blamed stack, ``frames`` all that are in it, as ``file:function``. ``library`` is the loop's
    own where it is not asyncio, as in ``"gevent"``, or ``OTHER`` where none is known; ``pool`` is
    what starved if it is a pool. ``waits_for`` is what those in its chain wait for, and
    ``over_await`` says that a task there has taken what a thread waits for. ``datagrams`` says
    that these are what waits.
    """

    kind: Kind
    wait: Wait
    line: str | None = None
    packages: frozenset[str] = frozenset()
    library: str | None = None
    pool: PoolKind | None = None
    frames: tuple[str, ...] = ()
    waits_for: frozenset[str] = frozenset()
    over_await: bool = False
    datagrams: bool = False

    @property
    def code(self) -> tuple[str, ...]:
        """The target's code that tells what it waits in."""
        return tuple(filter(None, (self.wait.call, self.line, *self.packages)))


@dataclass(frozen=True, slots=True)
class Remedy:
    """Fits when every given part does.

    ``code`` is searched in each piece of the case's code, ``frames`` in each of its frames. With
    ``asyncio`` it is for asyncio's loops alone.
    """

    text: str
    kinds: frozenset[Kind] = frozenset()
    waits: frozenset[WaitKind] = frozenset()
    code: re.Pattern[str] | None = None
    pool: PoolKind | None = None
    library: str | None = None
    frames: re.Pattern[str] | None = None
    asyncio: bool = False
    waits_for: frozenset[str] = frozenset()
    over_await: bool = False
    datagrams: bool = False

    def fits(self, case: Case) -> bool:
        """Whether this is what to do."""
        return (
            (not self.kinds or case.kind in self.kinds)
            and (not self.waits or case.wait.kind in self.waits)
            and (self.code is None or any(map(self.code.search, case.code)))
            and self.pool in {None, case.pool}
            and self.library in {None, case.library}
            and (self.frames is None or any(map(self.frames.search, case.frames)))
            and not (self.asyncio and case.library is not None)
            and (not self.waits_for or bool(self.waits_for & case.waits_for))
            and (not self.over_await or case.over_await)
            and (not self.datagrams or case.datagrams)
        )


def _row(
    text: str,
    *kinds: Kind,
    waits: str = "",
    code: str = "",
    pool: PoolKind | None = None,
    library: str | None = None,
    frames: str = "",
    asyncio: bool = False,
    waits_for: str = "",
    over_await: bool = False,
    datagrams: bool = False,
) -> Remedy:
    return Remedy(
        text,
        frozenset(kinds),
        frozenset(WaitKind(w) for w in waits.split()),
        re.compile(code) if code else None,
        pool,
        library,
        re.compile(frames) if frames else None,
        asyncio,
        frozenset(waits_for.split()),
        over_await,
        datagrams,
    )


NODE, NODE_UNSEEN = "node", "node-unseen"
"""The library of a loop of Node.js; the second where no stack of its thread was seen."""

OTHER = "other"
"""The library of a loop that is not known to be asyncio's nor any other's."""

_TO_THREAD = "await asyncio.to_thread(…)"

ROWS: tuple[Remedy, ...] = (
    _row("the machine did not give this process the CPU: look for other busy processes, a CPU "
         "limit of the container (cpu.stat, nr_throttled), a SIGSTOP, or a frozen cgroup (a paused "
         "container); the program is not to blame", NO_CPU),
    _row("its thread waits for another thread (Atomics.wait), as workers of a pool do between two "
         "jobs: let tasks end only when all that they have started has ended, or let idle workers "
         "wait in their loop (piscina: atomics: 'disabled'; before 5.0 useAtomics: false); stacks "
         "(--inspect) tell who waits", PARKED_LOOP, library=NODE_UNSEEN),
    _row("one callback computes: stacks (--inspect) tell which", BUSY_LOOP, library=NODE_UNSEEN),
    _row("a synchronous call holds the loop (fs.*Sync, child_process.*Sync): stacks (--inspect) "
         "tell which", BLOCKED_LOOP, library=NODE_UNSEEN),
    _row("piscina's idle workers wait in Atomics.wait, where their loop does not turn: await in a "
         "task all that it has started (concurrentTasksPerWorker lets a worker take others "
         "meanwhile), or let them wait in their loop (atomics: 'disabled'; before 5.0 useAtomics: "
         "false)", PARKED_LOOP, library=NODE, code=r"\bpiscina\b"),
    _row("do not leave the loop while what was started is unfinished: let a task end only when all "
         "of that has ended, or wait for the next one in the loop (messages, Atomics.waitAsync) "
         "instead of Atomics.wait", PARKED_LOOP, library=NODE),
    _row("split the work into pieces with 'await setImmediate()' (node:timers/promises) between "
         "them, or move it to a worker thread (node:worker_threads, piscina)", BUSY_LOOP,
         library=NODE),
    _row("make less for the collector to walk: fewer and flatter objects in caches, Buffers for "
         "large data, more room for young ones (--max-semi-space-size)", GC_PAUSE, library=NODE),
    _row("use the asynchronous call: spawn, execFile or exec instead of spawnSync, execFileSync or "
         "execSync", BLOCKED_LOOP, waits="subprocess", library=NODE),
    _row("use the asynchronous call, which waits in another thread (node:fs/promises), or stream",
         BLOCKED_LOOP, waits="file", library=NODE),
    _row("wait in the loop (messages, Atomics.waitAsync) instead of Atomics.wait, or do this wait "
         "in a worker thread that serves nothing else", BLOCKED_LOOP, waits="lock", library=NODE),
    _row("use the asynchronous form of this call, or make it in a worker thread "
         "(node:worker_threads)", BLOCKED_LOOP, library=NODE),
    _row("no monkey-patching covers files: move the call to gevent's thread pool "
         "(gevent.get_hub().threadpool.apply)", BLOCKED_LOOP, waits="file", library="gevent"),
    _row("monkey-patch before anything else is imported (gevent.monkey.patch_all), or move the "
         "call to gevent's thread pool (gevent.get_hub().threadpool.apply)", BLOCKED_LOOP,
         library="gevent"),
    _row("no monkey-patching covers files: make the call in a native thread "
         "(eventlet.tpool.execute)", BLOCKED_LOOP, waits="file", library="eventlet"),
    _row("monkey-patch before anything else is imported (eventlet.monkey_patch), or make the call "
         "in a native thread (eventlet.tpool.execute)", BLOCKED_LOOP, library="eventlet"),
    _row("use twisted.internet.task.deferLater(reactor, …) instead", BLOCKED_LOOP, waits="sleep",
         library="twisted"),
    _row("make this call in a thread with twisted.internet.threads.deferToThread(…), or use "
         "Twisted's own client (treq, adbapi …)", BLOCKED_LOOP, library="twisted"),
    _row("move it off the loop with 'await curio.run_in_thread(…)', or use curio's own call",
         BLOCKED_LOOP, library="curio"),
    _row("export spans in the background: BatchSpanProcessor instead of SimpleSpanProcessor, which "
         "sends each span in the code that ends it", BLOCKED_LOOP, EXHAUSTED_POOL, ACCEPT_BACKLOG,
         frames=r"opentelemetry/sdk/trace/export/__init__\.py:\S*\bon_end$"),
    _row("make one httpx.AsyncClient for all requests, instead of one a request: each new one "
         "loads all certificates", BLOCKED_LOOP, BUSY_LOOP, OVERLOADED_LOOP,
         frames=r"httpx/_config\.py:\S*create_ssl_context$|"
                r"httpx/_client\.py:\S*AsyncClient\.__init__$"),
    _row("move it off the loop with 'await trio.to_thread.run_sync(…)', or use trio's own call",
         BLOCKED_LOOP, library="trio"),
    _row("read all that the program writes before waiting for its end: communicate(), or a reader "
         "for each pipe; give it no pipe that nobody reads (stderr=DEVNULL, or stderr=STDOUT)",
         DEADLOCK, waits_for="exit output input"),
    _row("a process of this pool has ended with a task, or while it took one (killed, out of "
         "memory, os._exit), and multiprocessing.Pool never tells: find out why it ended, wait "
         "with a timeout (get(timeout=…)), or use concurrent.futures.ProcessPoolExecutor, which "
         "raises BrokenProcessPool", DEADLOCK, waits_for="lost-job"),
    _row("a process has ended while it held this lock (killed, out of memory, terminate(), "
         "os._exit), and multiprocessing's locks never tell: find out why it ended, end it with a "
         "message instead of terminate(), or wait with a timeout (acquire(timeout=…))", DEADLOCK,
         waits_for="orphaned-lock"),
    _row("fork before threads are started, or start processes anew (multiprocessing's spawn or "
         "forkserver); or give the lock up around the fork (os.register_at_fork)", DEADLOCK,
         waits_for="abandoned-lock"),
    _row("whoever was to hand in this result, or to give this signal, has dropped it without doing "
         "so (an entry that another request has replaced, a job that an error has ended): do it on "
         "every way out (finally, set_exception), and wait with a timeout", DEADLOCK,
         waits_for="lost-result lost-signal"),
    _row("whoever had this lock has ended without giving it up: take it with 'async with' or "
         "'with', which gives it up on every way out", DEADLOCK, waits_for="lost-lock"),
    _row("whoever took from this queue has ended: let its loop go on after an error, or watch it "
         "and end those who put, too (a TaskGroup, or a callback of its task that tells); and put "
         "with a timeout", DEADLOCK, waits_for="lost-queue"),
    _row("hold no lock of threads over an await: give it up before; use asyncio's own Lock where "
         "only tasks share it, and where threads do, too, take it inside of a function that runs "
         "in a thread as a whole (asyncio.to_thread)", DEADLOCK, HELD_LOCK, over_await=True),
    _row("never wait on the loop's own thread for work of that loop: await it there, or wait in "
         "another thread (await asyncio.to_thread(…))", DEADLOCK, waits_for="loop"),
    _row("one thread makes these calls (sync_to_async is thread-sensitive), and cannot wait for "
         "a coroutine that makes one: run that with async_to_sync, in which the thread makes such "
         "calls meanwhile, await no other task there, or mark what needs no such thread with "
         "sync_to_async(…, thread_sensitive=False)", DEADLOCK, waits_for="queued"),
    _row("never wait in a pool for work that is given to the same pool: call the function "
         "directly, or give the inner work an executor of its own", DEADLOCK, waits="future queue"),
    _row("take these locks in the same order everywhere, or hold no lock while taking another one; "
         "a timeout on the wait (acquire(timeout=…)) lets it end", DEADLOCK),
    _row("give connections back before anything slow: take one for the query only (with or async "
         "with, to its end), close a session or response before the slow call, not after the "
         "answer (a dependency that yields it keeps it until then); only then make the pool larger "
         "(at least as large as the threads that need one each), and wait for a connection with a "
         "timeout",
         EXHAUSTED_CONNECTIONS),
    _row("those who take from this queue are too slow, or have ended: let more tasks take, give "
         "what each of them waits for a timeout, let their loops go on after an error, and turn "
         "requests away while it is full (put_nowait, or a timeout) instead of letting them wait",
         HELD_LOCK, waits_for="full-queue"),
    _row("a module is imported while others wait for it: import it before requests come, at the "
         "top of a module, or when the server starts",
         HELD_LOCK, frames=r"importlib\._bootstrap>:_load_unlocked$"),
    _row("hold the lock for shorter: do the slow wait before or after, and take the lock for what "
         "it protects only; or wait with a timeout", HELD_LOCK),
    _row("what its threads wait for is held or made elsewhere (who has the lock, who fills the "
         "queue): more threads would only wait, too; hold it for shorter, or wait with a timeout",
         EXHAUSTED_POOL, waits="lock queue"),
    _row("its threads wait for results: a larger pool would only hold more of them; find what "
         "does not set the result, and wait with a timeout", EXHAUSTED_POOL, waits="future"),
    _row("files, dns.lookup, crypto and zlib share these threads: keep what may hang (a share, a "
         "pipe, a device, names) out of them, with net.Socket for pipes and dns.resolve for names, "
         "or make the pool larger (UV_THREADPOOL_SIZE)", EXHAUSTED_POOL, pool=PoolKind.LIBUV),
    _row("half of libuv's threads at the most look up names: find what makes that slow (a name "
         "server that is not there, search domains), keep answers and connections, use dns.resolve "
         "(which needs no thread), or make the pool larger (UV_THREADPOOL_SIZE)",
         EXHAUSTED_POOL, pool=PoolKind.LOOKUPS),
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
    _row("add threads (gunicorn --threads, max_workers of grpc.server) or workers, and put a "
         "timeout on this call, so that one slow peer does not hold a thread", EXHAUSTED_POOL,
         pool=PoolKind.SERVER),
    _row("all of the reactor's threads are in such calls, and DNS goes through them, too: put a "
         "timeout on this call, give slow ones a ThreadPool of their own, or make this one larger "
         "(reactor.suggestThreadPoolSize)", EXHAUSTED_POOL, pool=PoolKind.TWISTED),
    _row("every process of this pool is in such a call: give slow work a pool of its own, put a "
         "timeout on this call, or use more processes", EXHAUSTED_POOL,
         pool=PoolKind.PROCESSES),
    _row("what is put into this queue waits until its threads have done what came before: start "
         "more of them, keep slow work in a queue of its own, or put a timeout on this call",
         EXHAUSTED_POOL, pool=PoolKind.GROUP),
    _row("give the pool more threads (max_workers), keep long calls in a pool of their own, or put "
         "a timeout on this call", EXHAUSTED_POOL),
    _row("more arrives than these threads can do: make the work shorter, add threads where it "
         "waits or processes where it computes, or refuse work early", OVERLOADED_POOL),
    _row("each callback is short, but there are too many: do less per message, spread the work "
         "over more processes, or refuse work early", OVERLOADED_LOOP),
    _row("read in one thread, and hand what takes long to others (socketserver.ThreadingMixIn, a "
         "ThreadPoolExecutor); and put a timeout on this call, so that one slow peer does not hold "
         "all that came after it", ACCEPT_BACKLOG, datagrams=True),
    _row("shake hands in the thread that serves the connection, not in the one that accepts: "
         "wrap_socket(…, do_handshake_on_connect=False), then do_handshake() with a timeout",
         ACCEPT_BACKLOG, frames=r"\bssl\.py:\S*do_handshake$"),
    _row("the workers do all that they can: add some (processes, up to as many as there are cores; "
         "threads of one process share its GIL), or compute less for each request",
         ACCEPT_BACKLOG, waits="on-cpu"),
    _row("add workers or threads (gunicorn --workers, --threads; uWSGI --processes, --threads), or "
         "use asynchronous workers; and put a timeout on this call, so that one slow peer does not "
         "hold a worker",
         ACCEPT_BACKLOG),
    _row("make less for the collector to walk: gc.freeze() once all is loaded (in the master, "
         "before workers are forked), fewer and flatter objects in caches, higher thresholds "
         "(gc.set_threshold); do not call gc.collect() while serving", GC_PAUSE),
    _row("another thread keeps the GIL: move its work to a process, or make it release the GIL",
         GIL_BOUND),
    _row("let the event loop itself wait for messages (asyncio.Queue with "
         "loop.call_soon_threadsafe), or wait with a short timeout and run the loop in between; "
         "else await everything that a task starts before the thread waits again",
         PARKED_LOOP, waits="queue lock future socket file", asyncio=True),
    _row("do not leave the loop while its tasks are unfinished: await what a task has started, "
         "or keep the loop running and do this wait in another thread", PARKED_LOOP, asyncio=True),
    _row("do not leave the loop while its clients wait: do this wait in another thread, or wait "
         "with a short timeout and run the loop in between", PARKED_LOOP),
    _row(f"split the work into pieces with 'await asyncio.sleep(0)' between them, or move it to "
         f"a process (concurrent.futures.ProcessPoolExecutor with loop.run_in_executor); for C "
         f"code that releases the GIL, {_TO_THREAD}", BUSY_LOOP, asyncio=True),
    _row("split the work into pieces and let the loop run between them, or move it to a process "
         "(concurrent.futures.ProcessPoolExecutor)", BUSY_LOOP),
    _row("do this wait in another thread, or without blocking: nothing of the loop is served until "
         "it ends", BLOCKED_LOOP, library=OTHER),
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
