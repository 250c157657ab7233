"""Reports as the stages would build them, one per situation; ``EXAMPLES`` holds all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from waitspy.model import kinds
from waitspy.model.clock import NS
from waitspy.model.judged import (
    Blame,
    Episode,
    Finding,
    Lending,
    LentTo,
    Link,
    OwedRequests,
    Place,
    Report,
    Spot,
    TasksLooked,
    Victim,
    WhatWaits,
    WorkerTime,
)
from waitspy.model.oracle_names import WATCHED
from waitspy.model.processes import Role, Worker
from waitspy.model.recorded import Cost, Loss, RecordingInfo, WorkerRecord
from waitspy.model.stacks import Frame
from waitspy.model.waits import Wait, WaitKind

START_S = 86_400.25
ORACLES_OK = dict.fromkeys(WATCHED, "ok")
HOSTILE = (
    "\x1b[31mred\x1b[0m<script>alert(1)</script>[bold]loud[/bold]|`code`\"'\n# head\r"
    "\u202eevil\u200b\x07\x9b2J @everyone #1 ![x](http://evil.example/) \ud800 :boom: ]]>"
)
LONG = "deeply_nested_" * 715  # 10,010 characters

_LIB = "/usr/lib/python3.12"
_SITE = "/srv/quotes/.venv/lib/python3.12/site-packages"
LOOP_BASE = (
    Frame("main", f"{_SITE}/uvicorn/main.py", 410),
    Frame("Server.run", f"{_SITE}/uvicorn/server.py", 66),
    Frame("Runner.run", f"{_LIB}/asyncio/runners.py", 118),
    Frame("BaseEventLoop.run_until_complete", f"{_LIB}/asyncio/base_events.py", 674),
    Frame("BaseEventLoop._run_once", f"{_LIB}/asyncio/base_events.py", 1987),
    Frame("Handle._run", f"{_LIB}/asyncio/events.py", 88),
)
FETCH = Frame("QuoteClient.fetch", "/srv/quotes/app/client.py", 41)
BLOCKED_STACK = (
    *LOOP_BASE,
    Frame("run_endpoint_function", f"{_SITE}/fastapi/routing.py", 212),
    Frame("read_quote", "/srv/quotes/app/routes.py", 27),
    FETCH,
)


def recording_info() -> RecordingInfo:
    return RecordingInfo(
        started_at="2026-01-02T03:04:05+00:00",
        monotonic_start_ns=int(START_S * NS),
        duration_s=10.0,
        rate_hz=100.0,
        target=":8000",
        host="web-1",
        end_ns=int((START_S + 10) * NS),
    )


def worker(
    pid: int, *, role: Role = "worker", oracles: Mapping[str, str] | None = None
) -> WorkerRecord:
    return WorkerRecord(
        worker=Worker(
            pid=pid,
            ppid=4710,
            role=role,
            command="/srv/quotes/.venv/bin/python -m uvicorn app.main:app --workers 4",
            start_ticks=123_456 + pid,
            python="3.12.1",
            framework="uvicorn",
            threads=12,
        ),
        attached_ns=int(START_S * NS),
        rate_hz=99.6,
        samples=996,
        missed_samples=4,
        oracles=ORACLES_OK if oracles is None else oracles,
    )


def workers(*pids: int) -> tuple[WorkerRecord, ...]:
    return (worker(4710, role="master"), *(worker(pid) for pid in pids or (4711, 4712, 4713, 4714)))


def blocked_loop() -> Finding:
    """Two workers whose handler sleeps on the loop's thread."""
    return Finding(
        kind=kinds.BLOCKED_LOOP,
        verdict="starving",
        wait=Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep"),
        blames=(Blame(FETCH.function, FETCH.file, FETCH.line, 1.0, "        time.sleep(backoff)"),),
        stack=BLOCKED_STACK,
        pids=(4711, 4712),
        threads=(4711, 4712),
        episodes=(
            Episode(4711, 4711, START_S + 1.2, START_S + 2.9, ("asyncio", "epoll"), 34, 0),
            Episode(4712, 4712, START_S + 3.0, START_S + 5.1, ("asyncio", "epoll"), 12, 0),
            Episode(4711, 4711, START_S + 6.05, START_S + 8.4, ("epoll",), None, 0),
        ),
        occurrences=3,
        starved_s=6.15,
        longest_s=2.35,
        victim_s=92.3,
        share=0.615,
        victims=(
            Victim("io", "tcp 10.0.0.7:8000 from 10.0.0.9:51334", None, 12, 51.6),
            Victim("timer", "Heartbeat.tick", "/srv/quotes/app/heartbeat.py:17", 31, 37.7),
            Victim("task", "Task-7", "/srv/quotes/app/stream.py:80", 1, 3.0),
        ),
        remedy="await asyncio.sleep(...) instead, or run the call with asyncio.to_thread(...)",
    )


def parked_loop() -> Finding:
    """A worker whose loop stands still between jobs while its owner waits on a queue."""
    get = Frame("Queue.get", f"{_LIB}/queue.py", 171)
    consume = Frame("Consumer.run_forever", "/srv/quotes/app/consumer.py", 63)
    return Finding(
        kind=kinds.PARKED_LOOP,
        verdict="starving",
        wait=Wait(WaitKind.QUEUE, "self.not_empty.wait", "futex"),
        blames=(Blame(consume.function, consume.file, consume.line, 1.0, "job = self.jobs.get()"),),
        stack=(
            Frame("Thread._bootstrap", f"{_LIB}/threading.py", 1030),
            Frame("Thread.run", f"{_LIB}/threading.py", 1010),
            consume,
            get,
            Frame("Condition.wait", f"{_LIB}/threading.py", 355),
        ),
        pids=(4713,),
        threads=(4730,),
        episodes=(Episode(4713, 4730, START_S + 1.0, START_S + 8.6, ("asyncio",), 3, 0),),
        occurrences=1,
        starved_s=7.6,
        longest_s=7.6,
        victim_s=15.2,
        share=0.76,
        victims=(Victim("timer", "flush", "/srv/quotes/app/consumer.py:88", 2, 15.2),),
        remedy="run the loop in a thread of its own and hand it jobs with "
        "asyncio.run_coroutine_threadsafe(...)",
    )


LOOKUP = Spot("lookup", "/srv/quotes/app/cache.py", 52, "with self._lock:")
TAKEN = Spot("Cache.refresh", "/srv/quotes/app/cache.py", 40, "with self._lock:")
UPSTREAM = Spot("fetch", "/srv/quotes/app/upstream.py", 18, "data = sock.recv(1 << 16)")
_FUTEX = Wait(WaitKind.LOCK, "with self._lock", "futex")


def held_lock() -> Finding:
    """A loop that wants the lock which another thread holds while it reads from a socket."""
    return replace(
        blocked_loop(),
        wait=_FUTEX,
        chain=(
            Link(4711, 4711, "MainThread", LOOKUP, _FUTEX, START_S + 1.2, waits_for="lock"),
            Link(
                4711,
                4733,
                "refresher",
                UPSTREAM,
                Wait(WaitKind.SOCKET, "sock.recv", "recvfrom"),
                START_S + 1.1,
                how="with",
                taken=TAKEN,
            ),
        ),
    )


def deadlock() -> Finding:
    """Two threads, each of which wants the lock of the other one; where is known of one."""
    return replace(
        held_lock(),
        kind=kinds.DEADLOCK,
        chain=(
            Link(4711, 4711, "", LOOKUP, _FUTEX, None, "owner", TAKEN, waits_for="lock"),
            Link(4711, 4733, "refresher", None, _FUTEX, None, "with", waits_for="lock"),
        ),
    )


def unread_pipe() -> Finding:
    """Tasks that wait for a shell, whose own child has filled a pipe that nobody reads."""
    waits = Wait(WaitKind.SUBPROCESS, "Process.wait")
    return replace(
        deadlock(),
        wait=waits,
        detail="child head (pid 4790) is blocked in write to a pipe that this server holds as fd "
        "11 and does not read",
        chain=(
            Link(4711, 4711, "", LOOKUP, waits, START_S, "pipe", waits_for="exit", task="lookup",
                 count=3),
            Link(4789, 4789, "", None, Wait(WaitKind.SUBPROCESS), None, "child", waits_for="exit",
                 program="sh"),
            Link(4790, 4790, "", None, Wait(WaitKind.FILE, None, "write"), START_S, "child",
                 waits_for="reader", program="head"),
        ),
    )  # fmt: skip


CHAT = Spot("stream_chat", "/srv/quotes/app/chat.py", 88, "for token in model.stream(prompt):")


def exhausted_connections() -> Finding:
    """Threads that want a connection; of fifteen, eleven are known to be lent, two seem to be."""
    receives = Wait(WaitKind.SOCKET, "sock.recv", "recvfrom")
    to = (
        LentTo("thread", CHAT, 11, "with", receives),
        LentTo("thread", UPSTREAM, 2, "reach", Wait(WaitKind.UNKNOWN)),
        LentTo("thread", None, 1, "frame", Wait(WaitKind.UNKNOWN)),
    )
    wants = Link(
        4711, 4733, "AnyIO worker", LOOKUP, _FUTEX, START_S, waits_for="connections", count=25
    )
    return replace(
        blocked_loop(),
        kind=kinds.EXHAUSTED_CONNECTIONS,
        wait=receives,
        blames=(
            Blame(CHAT.function, CHAT.file, CHAT.line, 0.8, CHAT.source),
            Blame(UPSTREAM.function, UPSTREAM.file, UPSTREAM.line, 0.2, hint=True),
        ),
        detail="QueuePool: 15 of 15 connections are lent",
        chain=(wants, Link(4711, 4734, "", UPSTREAM, receives, START_S, "reach")),
        lending=Lending("QueuePool", 15, 15, 25, to),
    )


def overloaded_pool() -> Finding:
    resize = Frame("resize", "/srv/quotes/app/images.py", 14)
    return Finding(
        kind=kinds.OVERLOADED_POOL,
        verdict="late",
        wait=Wait(WaitKind.ON_CPU, "image.resize", None),
        blames=(Blame(resize.function, resize.file, resize.line, 1.0),),
        stack=(Frame("_worker", f"{_LIB}/concurrent/futures/thread.py", 92), resize),
        pids=(4714,),
        threads=(4740, 4741),
        episodes=(Episode(4714, 4740, START_S + 2, START_S + 3.1, ("pools",), 40, 210),),
        occurrences=1,
        starved_s=1.1,
        longest_s=1.1,
        victim_s=9.4,
        share=0.11,
        victims=(Victim("work-item", "resize", None, 40, 9.4),),
        remedy="give the pool more threads, or send it less",
        detail="thread pool thumbnails: all 4 threads",
    )


def latent_block() -> Finding:
    """A blocking call on the loop's thread at a time when nothing was due."""
    return replace(
        blocked_loop(),
        verdict="latent",
        pids=(4711,),
        threads=(4711,),
        episodes=(Episode(4711, 4711, START_S + 4.0, START_S + 4.31, ("threads",)),),
        occurrences=2,
        starved_s=0.0,
        longest_s=0.31,
        victim_s=0.0,
        share=0.0,
        victims=(),
    )


def starving() -> Report:
    """Two findings over three of four workers, one of which was killed while it was watched."""
    records = list(workers())
    records[4] = replace(
        records[4],
        exit="killed by SIGKILL",
        oracles=ORACLES_OK | {"epoll": "pidfd_getfd: Operation not permitted"},
    )
    return Report(
        recording=recording_info(),
        workers=tuple(records),
        losses=(
            Loss(
                "the last 2.1 s of stacks",
                "the process was killed",
                "look for the reason in the kernel log (dmesg): it may have run out of memory",
                4714,
            ),
        ),
        findings=(blocked_loop(), parked_loop()),
        cost=Cost(cpu_s=0.312, cpu_share=0.0312, peak_rss_mb=45.2),
        sources={FETCH.file: {41: "        time.sleep(backoff)"}},
    )


def mixed() -> Report:
    """Starving, late and latent findings together."""
    report = starving()
    findings = (blocked_loop(), parked_loop(), overloaded_pool(), latent_block())
    return replace(report, findings=findings)


def chains() -> Report:
    """Who holds what is known: over a slow wait, in rings, and connections."""
    found = (held_lock(), deadlock(), unread_pipe(), exhausted_connections())
    return replace(starving(), findings=found)


def late() -> Report:
    return replace(healthy(), findings=(overloaded_pool(),))


def healthy() -> Report:
    return Report(
        recording=recording_info(),
        workers=workers(),
        losses=(),
        findings=(),
        cost=Cost(cpu_s=0.0912, cpu_share=0.0091, peak_rss_mb=38.0),
    )


def many_processes() -> Report:
    """Forty workers, and thirty children that ended; of some of them nothing is known."""
    children = (worker(pid) for pid in range(5000, 5030))
    ended = [
        replace(
            child,
            worker=replace(
                child.worker,
                command=f"python -c 'import time; time.sleep(0.5)' {number}",
                framework="python",
            ),
            exit="killed by SIGKILL" if number == 7 else "exited",
            gone_ns=int((START_S + 3) * NS),
            samples=None if number % 5 == 0 else 12,
            missed_samples=None if number % 5 == 0 else number % 2,
            rate_hz=None if number % 5 == 0 else 80.0,
        )
        for number, child in enumerate(children)
    ]
    running = list(workers(*range(4711, 4751)))
    running[2] = replace(running[2], rate_hz=12.0, samples=120, missed_samples=880)
    running[3] = replace(running[3], rate_hz=None, samples=None, missed_samples=None)
    return replace(
        healthy(),
        workers=(*running, *ended),
        losses=tuple(
            Loss("stacks", "it ended before py-spy had attached", "record for longer", pid)
            for pid in range(5000, 5030, 5)
        ),
    )


def half_blind() -> Report:
    """Nothing found, but the I/O of two workers could not be watched."""
    blind = ORACLES_OK | {"epoll": "pidfd_getfd: Operation not permitted"}
    records = [
        replace(record, oracles=blind) if record.worker.pid in {4713, 4714} else record
        for record in workers()
    ]
    return replace(healthy(), workers=tuple(records))


def blind() -> Report:
    """Workers attached, but no oracle of pending work ran on any of them."""
    reason = "needs Linux"
    nothing = dict.fromkeys(ORACLES_OK, reason)
    return replace(healthy(), workers=(worker(4711, oracles=nothing), worker(4712, oracles={})))


def owed() -> Report:
    """Nothing starved, but somebody waits for an answer."""
    ports = (
        OwedRequests(8000, 12, 4.1, 14),
        OwedRequests(8001, 0, None, 3),
        OwedRequests(8002, most=0),
        OwedRequests(8003, 0, None, 0),
    )
    return replace(healthy(), waiting=WhatWaits(ports))


def places() -> WhatWaits:
    """Of a client's connections, none is given back; the rest of the tasks is idle."""
    routes, consumer = "/srv/quotes/app/routes.py", "/srv/quotes/app/consumer.py"
    acquire = "Semaphore.acquire (asyncio/locks.py:387)"
    return WhatWaits(
        requests=(OwedRequests(8000, 12, 4.1, 14),),
        places=(
            Place("task", "quote", routes, 27, acquire, "lock", 12, 4.1, True, (4711, 4712)),
            Place("task", "post", routes, 40, "Future", "other", 1, 2.0, False, (4711,)),
            Place("thread", "run", consumer, 88, "recv (recvfrom)", "other", 2, 9.8, True, (4712,)),
            Place("task", "Cython", None, None, "Task", "other", 3, None, False, (4711,)),
            Place("task", "main", routes, 3, "sleep (asyncio/tasks.py:665)", "idle", 40, 9.0, True,
                  (4711,)),
            Place("thread", "main", consumer, 3, "time.sleep", "idle", 1, 9.9, True, (4711,)),
        ),
        tasks=TasksLooked(5000, 812),
        workers=(WorkerTime(4711, 0.31, 0.012), WorkerTime(4712, 0.02, None)),
    )  # fmt: skip


def waiting() -> Report:
    """Nothing starved; who waits for an answer, and where, is known."""
    return replace(healthy(), waiting=places())


def latent_only() -> Report:
    return replace(healthy(), findings=(latent_block(),))


def nothing_attached() -> Report:
    """One process that is no Python, one that may not be looked into."""
    shell = Worker(4700, 1, "master", "/bin/sh ./serve.sh", 99)
    refused = replace(
        worker(4711).worker,
        why_not="ptrace is not permitted",
        remedy="run as root, or grant CAP_SYS_PTRACE",
    )
    return Report(
        recording=recording_info(),
        workers=(WorkerRecord(shell, int(START_S * NS)), WorkerRecord(refused, int(START_S * NS))),
        losses=(
            Loss(
                f"the whole process ({refused.command})",
                "ptrace is not permitted",
                "run as root, or grant CAP_SYS_PTRACE",
                4711,
            ),
        ),
        findings=(),
        cost=Cost(),
    )


def several_blames() -> Report:
    """Three stacks share one finding."""
    query = Frame("query", "/srv/quotes/app/db.py", 12)
    finding = replace(
        blocked_loop(),
        blames=(
            Blame(FETCH.function, FETCH.file, FETCH.line, 0.62, "time.sleep(backoff)"),
            Blame(query.function, query.file, query.line, 0.3, "cursor.execute(sql, args)"),
            Blame("posix.fsync", None, None, 0.08),
        ),
    )
    return replace(starving(), findings=(finding,))


def unknown_blame() -> Report:
    """Due work was not served, and no stack says why."""
    finding = replace(
        blocked_loop(),
        wait=Wait(WaitKind.UNKNOWN),
        blames=(),
        stack=(),
        victims=(),
        episodes=(Episode(4711, 4711, START_S + 1.2, START_S + 2.9, ("epoll",)),),
        pids=(4711,),
        threads=(4711,),
        occurrences=1,
        starved_s=1.7,
        longest_s=1.7,
        share=0.17,
        victim_s=1.7,
        remedy="record again with a higher rate, so that a stack is seen",
    )
    return replace(starving(), findings=(finding,), cost=Cost(cpu_s=0.2))


def deep_stack() -> Report:
    """The blamed frame lies far above the innermost ones, and its names are long."""
    deep = tuple(
        Frame(f"Pool.call_{n}", f"{_SITE}/requests/adapters.py", 600 + n) for n in range(12)
    )
    wide = Frame(
        "公式取得クライアント.取得", "/srv/quotes/アプリ/" + "とても長い道/" * 12 + "client.py", 7
    )
    finding = replace(
        blocked_loop(),
        wait=Wait(WaitKind.SOCKET, "self.sock.recv_into", "recvfrom"),
        blames=(Blame(wide.function, wide.file, wide.line, 0.9, 'requests.get("https://…")'),),
        stack=(*LOOP_BASE, wide, *deep),
    )
    return replace(starving(), findings=(finding, replace(latent_block(), blames=finding.blames)))


def hostile(text: str = HOSTILE) -> Report:
    """Everything that comes from a target is ``text``."""
    frame, spot = Frame(text, text, 3), Spot(text, text, 3, text)
    wait = Wait(WaitKind.SLEEP, text, text)
    finding = replace(
        blocked_loop(),
        wait=wait,
        blames=(Blame(text, text, 3, 0.7, text), Blame(text, None, None, 0.3)),
        stack=(frame,) * 9,
        episodes=(Episode(4711, 4711, START_S + 1, START_S + 2, (text,)),),
        victims=(Victim("task", text, text, 2, 3.0),),
        remedy=text,
        detail=text,
        chain=(
            Link(4711, 1, text, spot, wait, 1.0, waits_for="lock"),
            Link(4790, 4790, "", None, wait, 1.0, "child", waits_for="reader", program=text),
            Link(4711, 2, text, spot, wait, 1.0, "with", spot),
        ),
        lending=Lending(text, 2, 2, 1, (LentTo("thread", spot, 1, "reach", wait),)),
    )
    record = worker(4711)
    bad = replace(
        record,
        worker=replace(record.worker, command=text, python=text, framework=text),
        exit=text,
        oracles={"epoll": "ok", "asyncio": text, text: text},
    )
    return Report(
        recording=replace(recording_info(), target=text, host=text),
        workers=(bad, worker(4712)),
        losses=(Loss(text, text, text, 4711),),
        findings=(finding, replace(finding, verdict="latent", occurrences=1)),
        cost=Cost(0.3, 0.03, 45.0),
        sources={text: {3: text}},
        waiting=WhatWaits(
            places=(Place("task", text, text, 3, text, "other", 2, 1.0, False, (4711,), text),)
        ),
    )


def long_names() -> Report:
    return hostile(LONG)


EXAMPLES: Mapping[str, Callable[[], Report]] = {
    build.__name__: build
    for build in (
        starving,
        mixed,
        chains,
        late,
        healthy,
        many_processes,
        half_blind,
        blind,
        owed,
        waiting,
        latent_only,
        nothing_attached,
        several_blames,
        unknown_blame,
        deep_stack,
        hostile,
        long_names,
    )
}
