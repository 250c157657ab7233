"""Remedies: every row can be told, and the first that fits is."""

from __future__ import annotations

import pytest

from waitspy.judge.remedies import ROWS, find
from waitspy.model.judged import Wait, WaitKind

KINDS = (
    "blocked-loop", "parked-loop", "busy-loop", "gil-bound", "no-cpu", "exhausted-pool",
    "accept-backlog", "overloaded-loop", "overloaded-pool",
)  # fmt: skip


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
    assert word in find(kind, wait, line)


def test_the_driver_is_known_by_its_frames() -> None:
    recv = Wait(WaitKind.SOCKET, "sock.recv")
    assert "redis.asyncio" in find(
        "blocked-loop", recv, "cart = carts.hgetall(key)", called={"redis"}
    )
    assert "redis.asyncio" not in find("blocked-loop", recv, "cart = carts.hgetall(key)")


@pytest.mark.parametrize("kind", ["no-cpu", "gil-bound", "busy-loop", "parked-loop"])
def test_the_kind_comes_before_the_call(kind: str) -> None:
    """Nobody whose machine is busy is told to use another HTTP client."""
    text = find(kind, Wait(WaitKind.SOCKET, "requests.get"), "requests.get(url)")
    assert "httpx" not in text


def test_every_row_can_be_told() -> None:
    # Calls that each row's pattern knows, with all kinds and waits.
    calls = ("", "x.y", "requests.get", "cur.execute", "logging", "time.sleep")
    abouts = (None, "AnyIO's", "asgiref", "the default executor", "deadlock of")
    told = {
        find(kind, Wait(wait, call), None, None, about)
        for kind in KINDS
        for wait in WaitKind
        for call in calls
        for about in abouts
    }
    assert {row.text for row in ROWS} <= told


@pytest.mark.parametrize(
    ("detail", "word"),
    [
        ("AnyIO's worker threads: all 40 threads", "total_tokens"),
        ("asgiref thread-sensitive: its only thread", "thread_sensitive=False"),
        ("the default executor: all 5 threads", "executor of their own"),
        ("deadlock of the default executor: all 5 threads wait", "never wait"),
        ("thread pool crawl: all 3 threads", "max_workers"),
    ],
)
def test_a_pool_gets_the_remedy_of_its_framework(detail: str, word: str) -> None:
    sleep = Wait(WaitKind.SLEEP, "time.sleep")
    assert word in find("exhausted-pool", sleep, None, None, detail)


def test_every_row_names_kinds_that_exist() -> None:
    for row in ROWS:
        assert row.kinds <= set(KINDS)


def test_greenlets_and_trio_have_remedies_of_their_own() -> None:
    sleep = Wait(WaitKind.SLEEP, "time.sleep")
    assert "monkey" in find("blocked-loop", sleep, None, "gevent")
    assert "trio.to_thread" in find("blocked-loop", sleep, None, "trio")
    assert "GIL" in find("gil-bound", sleep, None, "gevent")


def test_there_is_always_a_remedy() -> None:
    for kind in (*KINDS, "something-new"):
        for wait in WaitKind:
            for library in (None, "gevent", "trio"):
                text = find(kind, Wait(wait), None, library)
                assert text
                assert "\n" not in text


def test_greenlets_wait_together_unless_it_is_for_a_file() -> None:
    for kind, said in ((WaitKind.FILE, "no monkey-patching"), (WaitKind.SOCKET, "monkey-patch be")):
        assert find("blocked-loop", Wait(kind), None, "gevent").startswith(said)
        assert not find("busy-loop", Wait(kind), None, "gevent").startswith(said)


def test_a_kind_without_a_row_says_so() -> None:
    said = find("another", Wait(WaitKind.UNKNOWN), None)
    assert said == "look at the stack: no remedy is known for this wait"
