"""The threads oracle on threads of this very process: when there is another row."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from tests.examples.build import process
from tests.live.running import futexes, wait_until
from tests.live.started import started
from waitspy.model.clock import NS
from waitspy.oracles import Watched
from waitspy.oracles.threads import ThreadsOracle, _Thread
from waitspy.recording.threads import ThreadRow

pytestmark = pytest.mark.ptrace


@pytest.fixture
def inbox() -> Iterator[queue.SimpleQueue[bool]]:
    """What a thread waits for, again and again, until it gets False."""
    inbox: queue.SimpleQueue[bool] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: all(iter(inbox.get, None)), name="waiter")
    thread.start()
    yield inbox
    inbox.put(item=False)
    thread.join()


def rows(oracle: ThreadsOracle, watched: Watched, at_ns: int) -> list[ThreadRow]:
    """The rows of the waiter, once it has had time to wait again."""
    time.sleep(0.1)
    (tid,) = [t.native_id for t in threading.enumerate() if t.name == "waiter"]
    return [row for row in oracle.tick(watched, at_ns) if row.tid == tid]


def test_that_a_thread_ran_is_told_where_the_kernel_does_not_count_its_time(
    inbox: queue.SimpleQueue[bool],
) -> None:
    """Without schedstat a row may be like the one before: it ends a span of standing still."""
    oracle = ThreadsOracle()
    oracle._has_schedstat = False
    watched = Watched(process(os.getpid()), f"/proc/{os.getpid()}")
    assert oracle.attach(watched) == "ok"
    (first,) = rows(oracle, watched, 1)
    assert (first.state, first.ran_ns, first.queued_ns) == ("S", None, None)
    assert rows(oracle, watched, 2) == []
    inbox.put(item=True)
    assert rows(oracle, watched, 3) == [replace(first, at_ns=3)]
    oracle.detach(watched)


def test_whether_a_thread_stood_since_its_state_was_read_is_known(
    inbox: queue.SimpleQueue[bool],
) -> None:
    oracle = ThreadsOracle()
    watched = Watched(process(os.getpid()), f"/proc/{os.getpid()}")
    assert not watched.stood(os.getpid())
    assert oracle.attach(watched) == "ok"
    (first,) = rows(oracle, watched, 1)
    assert watched.stood(first.tid)
    inbox.put(item=True)
    while watched.stood(first.tid):
        pass
    rows(oracle, watched, 2)
    assert watched.stood(first.tid)
    assert not watched.stood(1 << 30)
    oracle.detach(watched)


BESIDE = """
import sys, threading, time
threading.Thread(target=sys.stdin.read, args=(), daemon=True).start()
for _ in range(8):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
while True:
    time.sleep(0.002)
"""


def test_who_cannot_have_run_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process has used is what those used that were asked: nobody else has run."""
    with started([sys.executable, "-c", BESIDE]) as (child, _):
        before: list[dict[int, int]] = [{}]

        def stand_still() -> bool:
            before.append(futexes(child.pid))
            return before[-2] == before[-1] and len(set(before[-1].values())) == 8

        wait_until(stand_still, "the threads beside it do not wait")
        oracle = ThreadsOracle()
        watched = Watched(process(child.pid), f"/proc/{child.pid}")
        assert oracle.attach(watched) == "ok"
        marks, asked = oracle._marks, list[object]()

        def asking(thread: _Thread) -> bytes:
            asked.append(thread)
            return marks(thread)

        monkeypatch.setattr(oracle, "_marks", asking)
        everyone = {row.tid for row in oracle.tick(watched, NS)}
        assert len(everyone) == 10
        few = n = 0
        while few < 10:  # all are asked only where somebody runs while it is looked
            n += 1
            assert n < 5_000
            asked.clear()
            assert {row.tid for row in oracle.tick(watched, (1 + n) * NS)} <= {child.pid}
            few += len(asked) < 3
            time.sleep(0.003)
        assert child.stdin is not None
        child.stdin.close()

        def others() -> set[int]:
            return {row.tid for row in oracle.tick(watched, 60 * NS)} - {child.pid}

        wait_until(others, "the thread that has read the end was not asked")
        oracle.detach(watched)
