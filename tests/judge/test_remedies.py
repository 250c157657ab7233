"""Remedies: every row can be told, and the first that fits is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from waitspy.judge.remedies import NODE, NODE_UNSEEN, OTHER, ROWS, Case, find
from waitspy.model.kinds import (
    ACCEPT_BACKLOG,
    BLOCKED_LOOP,
    BUSY_LOOP,
    DEADLOCK,
    EXHAUSTED_POOL,
    GIL_BOUND,
    HELD_LOCK,
    KINDS,
    PARKED_LOOP,
    Kind,
)
from waitspy.model.pools import PoolKind
from waitspy.model.waits import Wait, WaitKind

SLEEP = Wait(WaitKind.SLEEP, "time.sleep")
IMPORTS = "<frozen importlib._bootstrap>:_load_unlocked"
FRAMES = (
    "opentelemetry/sdk/trace/export/__init__.py:SimpleSpanProcessor.on_end",
    "httpx/_client.py:AsyncClient.__init__",
    "ssl.py:SSLSocket.do_handshake",
)


@pytest.mark.parametrize(
    ("kind", "wait", "line", "word"),
    [
        ("blocked-loop", Wait(WaitKind.SLEEP, "time.sleep"), None, "asyncio.sleep"),
        ("blocked-loop", Wait(WaitKind.SOCKET, "requests.get"), None, "httpx.AsyncClient"),
        ("blocked-loop", Wait(WaitKind.SOCKET, "socket.recv_into"), "r = requests.get(u)", "httpx"),
        ("blocked-loop", Wait(WaitKind.SOCKET, "cur.execute"), None, "asyncpg"),
        ("blocked-loop", Wait(WaitKind.LOCK, "conn.commit"), None, "driver"),
        ("blocked-loop", Wait(WaitKind.DNS, "socket.getaddrinfo"), None, "loop.getaddrinfo"),
        ("blocked-loop", Wait(WaitKind.SUBPROCESS, "subprocess.run"), None, "create_subprocess_exec"),
        ("blocked-loop", Wait(WaitKind.FUTURE, "Future.result"), None, "wrap_future"),
        ("blocked-loop", Wait(WaitKind.JOIN, "Thread.join"), None, "join"),
        ("blocked-loop", Wait(WaitKind.QUEUE, "queue.Queue.get"), None, "asyncio.Queue"),
        ("blocked-loop", Wait(WaitKind.LOCK, "with lock"), None, "asyncio's own Lock"),
        ("blocked-loop", Wait(WaitKind.SOCKET, "sock.recv"), None, "asyncio streams"),
        ("blocked-loop", Wait(WaitKind.FILE, "logging"), None, "QueueHandler"),
        ("blocked-loop", Wait(WaitKind.FILE, "os.fsync"), None, "asyncio.to_thread"),
        ("blocked-loop", Wait(WaitKind.UNKNOWN), None, "asyncio.to_thread"),
        ("parked-loop", Wait(WaitKind.QUEUE, "queue.Queue.get"), None, "call_soon_threadsafe"),
        ("parked-loop", Wait(WaitKind.SLEEP, "time.sleep"), None, "keep the loop running"),
        ("busy-loop", Wait(WaitKind.ON_CPU), "total = sum(rows)", "ProcessPoolExecutor"),
        ("gil-bound", Wait(WaitKind.GIL), None, "GIL"),
        ("no-cpu", Wait(WaitKind.UNKNOWN), None, "SIGSTOP"),
    ],
)  # fmt: skip
def test_the_remedy_fits(kind: str, wait: Wait, line: str | None, word: str) -> None:
    assert word in find(Case(KINDS[kind], wait, line))


def test_the_driver_is_known_by_its_frames() -> None:
    recv = Wait(WaitKind.SOCKET, "sock.recv")
    case = Case(BLOCKED_LOOP, recv, "cart = carts.hgetall(key)")
    assert "redis.asyncio" not in find(case)
    assert "redis.asyncio" in find(replace(case, packages=frozenset({"redis"})))


@pytest.mark.parametrize("kind", ["no-cpu", "gil-bound", "busy-loop", "parked-loop"])
def test_the_kind_comes_before_the_call(kind: str) -> None:
    """Nobody whose machine is busy is told to use another HTTP client."""
    text = find(Case(KINDS[kind], Wait(WaitKind.SOCKET, "requests.get"), "requests.get(url)"))
    assert "httpx" not in text


@pytest.mark.parametrize("awaited", ["exit", "output", "input"])
def test_who_waits_for_a_process_is_told_to_read_its_pipes(awaited: str) -> None:
    for wait in WaitKind:
        assert "communicate()" in find(Case(DEADLOCK, Wait(wait), waits_for=frozenset({awaited})))
    assert "communicate()" not in find(
        Case(DEADLOCK, Wait(WaitKind.LOCK), waits_for=frozenset({"lock"}))
    )


def test_who_waits_for_a_module_is_told_to_import_it_before() -> None:
    sleeps = Wait(WaitKind.SLEEP, "time.sleep")
    assert "import it before requests come" in find(
        Case(HELD_LOCK, sleeps, frames=("app/views.py:load", IMPORTS))
    )
    assert "import it before requests come" not in find(
        Case(HELD_LOCK, sleeps, frames=("app/views.py:load",))
    )


def test_every_row_can_be_told() -> None:
    # Calls that each row's pattern knows, with all kinds and waits.
    calls = ("", "x.y", "requests.get", "cur.execute", "logging", "time.sleep")
    about: list[dict[str, Any]] = [
        *({"pool": pool} for pool in (None, *PoolKind)),
        *({"library": name} for name in ("gevent", "eventlet", "twisted", "curio", "trio", OTHER)),
        *({"library": name} for name in (NODE, NODE_UNSEEN)),
        {"library": NODE, "packages": frozenset({"piscina"})},
        *({"frames": (frame,)} for frame in (*FRAMES, IMPORTS)),
        *(
            {"waits_for": frozenset({held})}
            for held in (
                "exit",
                "abandoned-lock",
                "orphaned-lock",
                "lost-job",
                "loop",
                "queued",
                "lost-result",
                "lost-lock",
                "lost-queue",
                "full-queue",
            )
        ),
        {"over_await": True},
        {"datagrams": True},
    ]
    told = {
        find(Case(kind, Wait(wait, call), **more))
        for kind in KINDS.values()
        for wait in WaitKind
        for call in calls
        for more in about
    }
    assert {row.text for row in ROWS} == told


@pytest.mark.parametrize(
    ("pool", "word"),
    [
        (PoolKind.ANYIO, "total_tokens"),
        (PoolKind.ASGIREF, "thread_sensitive=False"),
        (PoolKind.DEFAULT_EXECUTOR, "executor of their own"),
        (PoolKind.EXECUTOR, "max_workers"),
        (PoolKind.SERVER, "--threads"),
    ],
)
def test_a_pool_gets_the_remedy_of_its_framework(pool: PoolKind, word: str) -> None:
    case = Case(EXHAUSTED_POOL, SLEEP, pool=pool)
    assert word in find(case)
    assert "never wait" in find(replace(case, kind=DEADLOCK, wait=Wait(WaitKind.FUTURE)))


def test_a_pool_is_not_known_by_what_its_code_is_called() -> None:
    line = "AnyIO_deadlock(asgiref, 'the default executor')"
    assert "max_workers" in find(Case(EXHAUSTED_POOL, SLEEP, line, pool=PoolKind.EXECUTOR))


def test_greenlets_and_trio_have_remedies_of_their_own() -> None:
    assert "monkey" in find(Case(BLOCKED_LOOP, SLEEP, library="gevent"))
    assert "trio.to_thread" in find(Case(BLOCKED_LOOP, SLEEP, library="trio"))
    assert "GIL" in find(Case(GIL_BOUND, SLEEP, library="gevent"))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_there_is_always_a_remedy(kind: Kind) -> None:
    """Whatever it waits in, and if nothing more is known: a new kind needs a row of its own."""
    for wait in WaitKind:
        text = find(Case(kind, Wait(wait)))
        assert text
        assert "\n" not in text
    assert any(row.kinds == {kind} and row.fits(Case(kind, Wait(WaitKind.UNKNOWN))) for row in ROWS)


def test_greenlets_wait_together_unless_it_is_for_a_file() -> None:
    for kind, said in ((WaitKind.FILE, "no monkey-patching"), (WaitKind.SOCKET, "monkey-patch be")):
        assert find(Case(BLOCKED_LOOP, Wait(kind), library="gevent")).startswith(said)
        assert not find(Case(BUSY_LOOP, Wait(kind), library="gevent")).startswith(said)


@pytest.mark.parametrize(
    ("library", "word"),
    [("eventlet", "tpool.execute"), ("twisted", "deferToThread"), ("curio", "run_in_thread")],
)
def test_other_loops_have_threads_of_their_own(library: str, word: str) -> None:
    for wait in (WaitKind.SOCKET, WaitKind.FILE, WaitKind.UNKNOWN):
        assert word in find(Case(BLOCKED_LOOP, Wait(wait), library=library))
    assert "deferLater" in find(Case(BLOCKED_LOOP, SLEEP, library="twisted"))


@pytest.mark.parametrize("library", ["eventlet", "twisted", "gevent", "curio", "trio", OTHER])
@pytest.mark.parametrize("kind", [BLOCKED_LOOP, PARKED_LOOP, BUSY_LOOP], ids=lambda kind: kind.name)
def test_asyncio_is_advised_for_asyncio_alone(library: str, kind: Kind) -> None:
    for wait in WaitKind:
        case = Case(kind, Wait(wait, "requests.get"), "cur.execute(query)", library=library)
        assert "asyncio" not in find(case)
        assert "httpx" not in find(case)


@pytest.mark.parametrize("pool", PoolKind)
@pytest.mark.parametrize("wait", [WaitKind.LOCK, WaitKind.QUEUE, WaitKind.FUTURE])
def test_more_threads_cure_no_lock_and_bring_no_result(pool: PoolKind, wait: WaitKind) -> None:
    text = find(Case(EXHAUSTED_POOL, Wait(wait), pool=pool))
    assert "would only" in text
    assert "max_workers" not in text


def test_who_reads_datagrams_is_not_told_of_more_workers() -> None:
    wait = Wait(WaitKind.SLEEP, "time.sleep")
    assert "ThreadingMixIn" in find(Case(ACCEPT_BACKLOG, wait, datagrams=True))
    assert "ThreadingMixIn" not in find(Case(ACCEPT_BACKLOG, wait))


@pytest.mark.parametrize(
    ("kind", "frame", "word"),
    [
        (BLOCKED_LOOP, FRAMES[0], "BatchSpanProcessor"),
        (BLOCKED_LOOP, "opentelemetry/sdk/trace/export/__init__.py:on_end", "BatchSpanProcessor"),
        (BUSY_LOOP, FRAMES[1], "one httpx.AsyncClient for all"),
        (BLOCKED_LOOP, "httpx/_config.py:create_ssl_context", "one httpx.AsyncClient for all"),
        (ACCEPT_BACKLOG, FRAMES[2], "do_handshake_on_connect=False"),
    ],
)
def test_a_library_that_is_known_for_it_has_a_remedy_of_its_own(
    kind: Kind, frame: str, word: str
) -> None:
    wait = Wait(WaitKind.SOCKET, "sock.recv")
    assert word in find(Case(kind, wait, frames=("app/views.py:handle", frame)))
    assert word not in find(Case(kind, wait, frames=("app/views.py:handle", f"{frame}_more")))
