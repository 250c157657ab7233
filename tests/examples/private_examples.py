"""An analysis full of what nobody may see, in every place where a text of the target can stand."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator
from dataclasses import replace

from tests.examples import report_examples
from waitspy.judge import analysis
from waitspy.model.activities import Activities, Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import (
    Analysis,
    Blame,
    Episode,
    Lending,
    LentTo,
    Link,
    PendingSeries,
    Place,
    RootTime,
    Spot,
    Unaccepted,
    UnreadDatagrams,
    UnreadMessages,
    Victim,
)
from waitspy.model.recorded import Loss, WorkerRecord
from waitspy.model.stacks import Frame, StackTable
from waitspy.model.unsent import Unsent
from waitspy.model.waits import Wait, WaitKind, WaitTable

SECRETS = (
    "hunter2",  # an argument of the command
    "tok-4711-abc",  # the value of a variable
    "203.0.113.77",  # peers
    "2001:db8::77",
    "db.acme.internal",
    "vault-7",  # the host
    "aloysia",  # a user
    "acme-corp",  # a folder above the program
    "keys.pem",  # a path outside the program
    "ops@acme.example",
    "sesame",  # a text in the source
)
START_NS = int(report_examples.START_S * NS)
COMMAND = "/home/aloysia/acme-corp/shop/.venv/bin/python -m shop --password=hunter2 API_TOKEN=tok-4711-abc"
OWN = "/home/aloysia/acme-corp/shop"
SITE = f"{OWN}/.venv/lib/python3.12/site-packages"
STACK = (
    Frame("main", f"{SITE}/uvicorn/main.py", 410),
    Frame(
        "BaseEventLoop._run_once", "/home/aloysia/.pyenv/lib/python3.12/asyncio/base_events.py", 9
    ),
    Frame("Cart.price", f"{OWN}/shop/cart.py", 41),
    Frame("retry", f"{OWN}/lib/http.py", 7),
)


def private() -> Analysis:
    """Nothing but numbers and names of functions may be told of it."""
    wait = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
    waits = replace(wait, call="conn.of(aloysia@db.acme.internal)")
    finding = replace(
        report_examples.blocked_loop(),
        wait=wait,
        blames=(Blame("retry", f"{OWN}/lib/http.py", 7, 1.0),),
        stack=STACK,
        episodes=(Episode(4711, 4711, START_NS / NS + 1, START_NS / NS + 3, ("epoll",), 3, 0),),
        pids=(4711,),
        threads=(4711,),
        victims=(
            Victim("io", "unread data from 203.0.113.77:5432", None, 3, 6.0),
            Victim("io", "unread data from [2001:db8::77]:5432", None, 1, 2.0),
            Victim("connection", "connections to accept on /home/aloysia/shop sock", None, 1, 1.0),
            Victim("timer", "mail ops@acme.example", f"{OWN}/shop/mail.py:9", 1, 1.0),
        ),
        remedy="look into /etc/vault/keys.pem of db.acme.internal:5432",
        detail="connections to 203.0.113.77:8000: all 4 threads of aloysia",
        chain=tuple(_chain(waits)),
        lending=Lending(
            "QueuePool of db.acme.internal:5432",
            15,
            11,
            4,
            (LentTo("task", _SPOT, 10, "with", waits), LentTo("thread", None, 1, "reach", waits)),
        ),
    )
    record = report_examples.worker(4711)
    record = replace(
        record,
        worker=replace(
            record.worker,
            command=COMMAND,
            framework="shop of aloysia",
            why_not="it runs as aloysia",
            remedy="sudo -u aloysia waitspy",
            threads=3,
        ),
        exit="killed on vault-7",
        gone_ns=START_NS + 3 * NS,
        rate_hz=61.5,
        samples=290,
        missed_samples=17,
        process=1,
        gaps=((START_NS, START_NS + NS),),
        oracles={"epoll": "ok", "asyncio": "cannot open /etc/vault/keys.pem", "pools": "ok"},
    )
    report = replace(
        report_examples.healthy(),
        recording=replace(report_examples.recording_info(), target=COMMAND, host="vault-7"),
        workers=(record,),
        losses=(Loss(f"the whole process ({COMMAND})", "PASSWORD=hunter2", "ask aloysia", 4711),),
        findings=(finding, replace(finding, verdict="latent")),
        sources={
            f"{OWN}/lib/http.py": {
                6: 'the password is sesame"""',
                7: "    time.sleep(wait('sesame'))  # sesame for aloysia",
            }
        },
    )
    outside = Unaccepted("/home/aloysia/shop sock", 3, 1.5)
    unread = UnreadDatagrams("/home/aloysia/shop log", 1.5)
    messages = UnreadMessages("203.0.113.77:6379", 1.5, replace(_place(), unsent=None))
    waiting = replace(report.waiting, places=(_place(),), unaccepted=(outside,), unread=(unread,))
    waiting = replace(waiting, messages=(messages,))
    report = replace(report, waiting=waiting)
    threads = tuple(_threads(wait))
    pending = PendingSeries(
        4711,
        4711,
        "connections to 203.0.113.77:8000",
        "backlog",
        ((START_NS, 3), (START_NS + NS, 0)),
    )
    root = RootTime(4711, 4711, "for aloysia", STACK, wait, NS)
    judged = Analysis(report, threads, (pending,), roots=(root,))
    return replace(judged, profile=analysis.profile(judged))


_SPOT = Spot("Cart.pay", f"{OWN}/shop/pay.py", 12, "    with pay('sesame'):  # sesame")


def _chain(waits: Wait) -> Iterator[Link]:
    yield Link(4711, 4711, "for aloysia", _SPOT, waits, 1.0, None, None, "lock")
    yield Link(
        4711, 4712, "MainThread", None, waits, 2.0, "with", _SPOT, None, "mail ops@acme.example", 2
    )
    yield Link(4713, 4713, "MainThread", _SPOT, waits, how="owner", program=COMMAND)


def _place() -> Place:
    return Place(
        what="task",
        function="mail ops@acme.example",
        file=f"{OWN}/shop/mail.py",
        line=9,
        awaits="the lock of ops@acme.example",
        wait="lock",
        count=30,
        longest_s=4.0,
        sure=True,
        pids=(4711,),
        source="    await lock['sesame']",
        unsent=Unsent("203.0.113.77:5000", 2_000_000, 1, refused=True),
    )


def _threads(wait: Wait) -> Iterator[ThreadActivity]:
    stacks, waits = StackTable(), WaitTable()  # of its own: all files in them count
    for n, name in enumerate(("MainThread", "to db.acme.internal:5432", "for aloysia")):
        rows = [
            Activity(START_NS, START_NS + NS, STACK[:3], Wait(WaitKind.ON_CPU)),
            Activity(START_NS + NS, START_NS + 3 * NS, STACK, wait, 2 * NS, 6 * NS),
        ]
        yield ThreadActivity(4711, 4711 + n, name, Activities.of(rows, stacks, waits))


RAW_ROWS = ("segments", "dumps", "epolls", "loops", "pools", "listeners", "requests", "places",
            "task_waits", "wait_for", "children")  # fmt: skip
"""What a process was judged by."""


def raw_rows(record: WorkerRecord) -> tuple[object, ...]:
    """All of those of one process."""
    return tuple(getattr(record, name) for name in RAW_ROWS)


_PACKED = re.compile(rb'<script type="application/gzip"[^>]*>([A-Za-z0-9+/=]+)</script>')


def opened(data: bytes) -> str:
    """All that a written file says, also what it has packed."""
    whole = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    parts = [gzip.decompress(base64.b64decode(part)) for part in _PACKED.findall(whole)]
    return b"\n".join((whole, *parts)).decode("utf-8", "replace")
