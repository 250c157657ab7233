"""Profiles as the stages would build them: a server with starved loops, and names that attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.examples.build import activities
from waitspy.judge.merge import merge
from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import Blame, Episode, Finding, PendingSeries, Profile
from waitspy.model.kinds import KINDS
from waitspy.model.processes import Worker
from waitspy.model.stacks import Frame, Stack
from waitspy.model.waits import Wait, WaitKind

START_NS = 86_400 * NS
LENGTH_NS = 10 * NS
PIDS = (4101, 4102, 4103, 4104)

HOSTILE = (
    "<script>document.title='owned'</script>",
    "]]><script>document.title='owned'</script>",
    "\"'><img src=x onerror=\"document.title='owned'\">",
    "\x1b[31mred\x1b[0m\x00\x07",
    "\u202egnp.exe\u2066",
    "lone\udc80\ud800surrogate\ufffe",
    "two\nlines\r\u2028three;four",
    "&lt;b&gt;&#x41;&amp;",
    "名前" * 40,
    "x" * 10_000,
)

SITE = "/srv/app/.venv/lib/python3.12/site-packages"
LIB = "/usr/lib/python3.12"


def frames(*places: str) -> Stack:
    """Frames from ``function file:line`` texts."""
    parts = [place.rsplit(" ", 1) for place in places]
    return tuple(Frame(name, *_place(place)) for name, place in parts)


def _place(text: str) -> tuple[str, int]:
    file, _, line = text.rpartition(":")
    return file, int(line)


SERVE = frames(
    f"<module> {SITE}/bin/uvicorn:8",
    f"main {SITE}/uvicorn/main.py:412",
    f"run {SITE}/uvicorn/main.py:579",
    f"Server.run {SITE}/uvicorn/server.py:65",
    f"Runner.run {LIB}/asyncio/runners.py:118",
    f"BaseEventLoop.run_until_complete {LIB}/asyncio/base_events.py:671",
    f"BaseEventLoop.run_forever {LIB}/asyncio/base_events.py:638",
    f"BaseEventLoop._run_once {LIB}/asyncio/base_events.py:1971",
)
POLL = SERVE + frames(f"EpollSelector.select {LIB}/selectors.py:468")
HANDLE = SERVE + frames(
    f"Handle._run {LIB}/asyncio/events.py:84",
    f"RequestResponseCycle.run_asgi {SITE}/uvicorn/protocols/http/httptools_impl.py:401",
    f"ProxyHeadersMiddleware.__call__ {SITE}/uvicorn/middleware/proxy_headers.py:60",
    f"FastAPI.__call__ {SITE}/fastapi/applications.py:1054",
    f"ExceptionMiddleware.__call__ {SITE}/starlette/middleware/exceptions.py:62",
    f"Router.app {SITE}/starlette/routing.py:735",
)
REPORT = HANDLE + frames(
    "monthly_report /srv/app/views/reports.py:57",
    "Ledger.totals /srv/app/ledger.py:118",
    "retry /srv/app/http/retry.py:31",
)
QUERY = HANDLE + frames(
    "orders /srv/app/views/orders.py:22",
    "Database.fetch /srv/app/db.py:77",
    f"Cursor.execute {SITE}/psycopg2/extras.py:146",
)
RENDER = HANDLE + frames(
    "orders /srv/app/views/orders.py:25",
    f"Template.render {SITE}/jinja2/environment.py:1295",
    "price_rows /srv/app/templates/filters.py:12",
)
THUMBNAIL = HANDLE + frames(
    "thumbnail /srv/app/views/images.py:40",
    f"Image.resize {SITE}/PIL/Image.py:2330",
)
BOOT = frames(
    f"Thread._bootstrap {LIB}/threading.py:1030",
    f"Thread._bootstrap_inner {LIB}/threading.py:1073",
)
POOL = BOOT + frames(
    f"Thread.run {LIB}/threading.py:1010", f"_worker {LIB}/concurrent/futures/thread.py:89"
)
POOL_WORK = BOOT + frames(
    f"Thread.run {LIB}/threading.py:1010",
    f"_worker {LIB}/concurrent/futures/thread.py:92",
    f"_WorkItem.run {LIB}/concurrent/futures/thread.py:58",
    "resize_all /srv/app/jobs/images.py:90",
)
INBOX = BOOT + frames(
    "Inbox.run /srv/app/inbox.py:44",
    "Inbox.next_message /srv/app/inbox.py:71",
    f"Queue.get {LIB}/queue.py:171",
    f"Condition.wait {LIB}/threading.py:355",
)
INBOX_FLUSH = BOOT + frames(
    "Inbox.run /srv/app/inbox.py:52",
    "Inbox.flush /srv/app/inbox.py:80",
    f"BaseEventLoop.run_until_complete {LIB}/asyncio/base_events.py:671",
    f"BaseEventLoop.run_forever {LIB}/asyncio/base_events.py:638",
    f"BaseEventLoop._run_once {LIB}/asyncio/base_events.py:1971",
    f"EpollSelector.select {LIB}/selectors.py:468",
)
METRICS = BOOT + frames(
    "Exporter.push /srv/app/metrics.py:31", "Exporter._sleep /srv/app/metrics.py:9"
)

Step = tuple[int, Stack, Wait, float, int]
"""Milliseconds, stack, wait, share of it that starved something, items that waited."""

LOOP_STEPS: tuple[Step, ...] = (
    (420, POLL, Wait(WaitKind.LOOP_POLL, "epoll.poll"), 0, 0),
    (30, RENDER, Wait(WaitKind.ON_CPU), 0, 0),
    (610, REPORT, Wait(WaitKind.SLEEP, "time.sleep"), 0.9, 7),
    (12, RENDER, Wait(WaitKind.ON_CPU), 0, 0),
    (180, QUERY, Wait(WaitKind.SOCKET, "psycopg2"), 0.3, 2),
    (95, QUERY, Wait(WaitKind.SOCKET, "psycopg2"), 0, 0),
    (140, THUMBNAIL, Wait(WaitKind.ON_CPU), 0.8, 3),
    (25, HANDLE, Wait(WaitKind.GIL), 0, 0),
)
INBOX_STEPS: tuple[Step, ...] = (
    (1900, INBOX, Wait(WaitKind.QUEUE, "self._inbox.get"), 0.2, 12),
    (200, INBOX_FLUSH, Wait(WaitKind.LOOP_POLL, "epoll.poll"), 0, 0),
)
POOL_STEPS: tuple[Step, ...] = (
    (2500, POOL, Wait(WaitKind.POOL_IDLE, "work_queue.get"), 0, 0),
    (300, POOL_WORK, Wait(WaitKind.FILE), 0, 0),
)
METRICS_STEPS: tuple[Step, ...] = ((10_000, METRICS, Wait(WaitKind.SLEEP, "time.sleep"), 0, 0),)


def repeated(steps: tuple[Step, ...], scale: float = 1.0) -> Iterator[Activity]:
    """The steps over and over, until the profile's end."""
    at_ns = START_NS
    while True:
        for length_ms, stack, wait, share, items in steps:
            end_ns = min(at_ns + int(length_ms * scale * 1_000_000), START_NS + LENGTH_NS)
            starved_ns = int((end_ns - at_ns) * share)
            victim_ns = starved_ns * items
            yield Activity(at_ns, end_ns, stack, wait, starved_ns, victim_ns, starved_ns)
            if end_ns >= START_NS + LENGTH_NS:
                return
            at_ns = end_ns


def server_threads() -> list[ThreadActivity]:
    """Four workers: a loop, two pool threads, a parked inbox, a metrics thread in each."""
    threads = []
    for number, pid in enumerate(PIDS):
        scale = 1 + number / 7
        rows = [
            ("MainThread", LOOP_STEPS),
            ("ThreadPoolExecutor-0_0", POOL_STEPS),
            ("ThreadPoolExecutor-0_1", POOL_STEPS),
            ("inbox", INBOX_STEPS),
            ("metrics", METRICS_STEPS),
        ]
        threads += [
            ThreadActivity(pid, pid + 10 * index, name, activities(*repeated(steps, scale)))
            for index, (name, steps) in enumerate(rows)
        ]
    return threads


def server(*, lines: bool = False) -> Profile:
    """A server whose loops are blocked now and then, and whose inbox parks another loop."""
    return merge(
        server_threads(),
        title="uvicorn app:app (pid 4100, 4 workers)",
        start_ns=START_NS,
        end_ns=START_NS + LENGTH_NS,
        lines=lines,
    )


START_S = START_NS / NS
STARTED_AT = "2026-01-02T03:04:05.250000+00:00"


def at_ms(milliseconds: int) -> int:
    """That many milliseconds after the profile's start, on its clock."""
    return START_NS + milliseconds * 1_000_000


def episode(pid: int, tid: int, start_s: float, end_s: float, **known: int) -> Episode:
    """An episode whose times count from the profile's start."""
    return Episode(pid, tid, START_S + start_s, START_S + end_s, ("asyncio", "epoll"), **known)


def finding(
    kind: str, stack: Stack, wait: Wait, *episodes: Episode, latent: bool = False
) -> Finding:
    """A finding that blames the stack's deepest frame."""
    leaf = stack[-1:]
    return Finding(
        kind=KINDS[kind],
        verdict="latent" if latent else "starving",
        wait=wait,
        blames=tuple(Blame(one.function, one.file, one.line, 1.0, "x()") for one in leaf),
        stack=stack,
        pids=tuple(sorted({one.pid for one in episodes})),
        threads=tuple(sorted({one.tid for one in episodes})),
        episodes=episodes,
        occurrences=len(episodes),
        starved_s=sum(one.length_s for one in episodes),
        longest_s=max(one.length_s for one in episodes),
        victim_s=1.0,
        share=0.1,
        victims=(),
        remedy="await it",
        detail="a loop",
    )


BLOCKED = finding(
    "blocked-loop",
    REPORT,
    Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep"),
    episode(4101, 4101, 0.5, 1.0, pending_max=7, served=0),
    episode(4101, 4101, 2.0, 2.5, pending_max=3),
    episode(4102, 4102, 1.0, 1.25, pending_max=1),
)
PARKED = finding(
    "parked-loop",
    INBOX,
    Wait(WaitKind.QUEUE, "self._inbox.get", "futex"),
    # The same thread may own several loops, and so be late with both.
    episode(4101, 4101, 0.75, 2.25, pending_max=12),
    # What a process starves need not be a thread whose stacks were seen.
    episode(4103, 9999, 3.0, 3.5),
    episode(4100, 4100, 4.0, 4.5),
)
LATENT = finding(
    "blocked-loop",
    (),
    Wait(WaitKind.UNKNOWN),
    episode(4104, 4104, 6.0, 6.5),
    latent=True,
)
PENDING = (
    PendingSeries(
        4101,
        4101,
        "loop on epoll descriptor 5",
        "overdue",
        ((at_ms(500), 7), (at_ms(800), 3), (at_ms(1000), 0)),
    ),
    PendingSeries(
        4102, None, "listener 0.0.0.0:8000", "backlog", ((at_ms(-5), 2), (at_ms(900), 0))
    ),
    PendingSeries(4100, 4100, "loop on epoll descriptor 3", "unread", ((at_ms(40), 1),)),
)


def watched() -> Profile:
    """The server with its workers, the episodes of its loops, and what waited on them."""
    command = "/srv/app/.venv/bin/python -m uvicorn app:app --workers 4"
    workers = [Worker(4100, 1, "master", command, 7)]
    workers += [Worker(pid, 4100, "worker", command, pid) for pid in PIDS]
    return replace(
        server(),
        started_at=STARTED_AT,
        workers=tuple(workers),
        findings=(BLOCKED, PARKED, LATENT),
        pending=PENDING,
    )


def idle() -> Profile:
    """A healthy server: pools and loops wait, and nobody is harmed."""
    threads = [
        ThreadActivity(
            4101,
            4101 + number,
            name,
            activities(Activity(START_NS, START_NS + LENGTH_NS, stack, wait)),
        )
        for number, (name, stack, wait) in enumerate(
            [
                ("MainThread", POLL, Wait(WaitKind.LOOP_POLL, "epoll.poll")),
                ("ThreadPoolExecutor-0_0", POOL, Wait(WaitKind.POOL_IDLE)),
            ]
        )
    ]
    return merge(threads, title="idle", start_ns=START_NS, end_ns=START_NS + LENGTH_NS)


def empty() -> Profile:
    """Nothing at all was recorded."""
    return merge([], title="empty", start_ns=START_NS, end_ns=START_NS + LENGTH_NS)


def hostile() -> Profile:
    """Every attack as function, file, call, thread name and title."""
    step_ns = 100_000_000
    threads = [
        ThreadActivity(
            1,
            10 + number,
            name,
            activities(
                Activity(
                    START_NS,
                    START_NS + step_ns,
                    (Frame("main", "/srv/app/main.py", 1), Frame(name, f"/srv/{name}", 2)),
                    Wait(WaitKind.SLEEP, name),
                    step_ns // 2,
                    step_ns,
                ),
                Activity(
                    START_NS + step_ns,
                    START_NS + 2 * step_ns,
                    (Frame(name, name, 2), Frame(name, "", None)),
                    Wait(WaitKind.ON_CPU),
                ),
            ),
        )
        for number, name in enumerate(HOSTILE)
    ]
    merged = merge(threads, title="".join(HOSTILE), start_ns=START_NS, end_ns=START_NS + LENGTH_NS)
    attacks = "".join(HOSTILE)
    sleep = Wait(WaitKind.SLEEP, attacks, attacks)
    found = finding("blocked-loop", (Frame(attacks, attacks, 2),), sleep, episode(1, 10, 0.0, 0.1))
    return replace(
        merged,
        started_at=attacks,
        workers=(Worker(1, 0, "worker", attacks, 1),),
        findings=(replace(found, remedy=attacks),),
        pending=(PendingSeries(1, 10, attacks, "ready", ((START_NS, 1),)),),
    )


def wide(stacks: int = 20_000, *, prefix: str = "function") -> Profile:
    """As many distinct stacks, 12 deep, of one millisecond each, one in ten of which starves."""
    step_ns = 1_000_000
    rows = []
    for number in range(stacks):
        stack = tuple(
            Frame(
                f"{prefix}_{level}_{number // 4 ** (8 - level) if level < 8 else number}",
                f"/srv/app/module_{level}.py",
                number,
            )
            for level in range(12)
        )
        at_ns = START_NS + number * step_ns
        starved_ns = step_ns if number % 10 == 0 else 0
        rows.append(
            Activity(at_ns, at_ns + step_ns, stack, Wait(WaitKind.LOCK), starved_ns, starved_ns)
        )
    thread = ThreadActivity(1, 1, "MainThread", activities(*rows))
    return merge([thread], title="wide", start_ns=START_NS, end_ns=START_NS + stacks * step_ns)
