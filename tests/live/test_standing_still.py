"""A process that made something and then stands still must still be looked at once more."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.examples.build import process
from waitspy.model.clock import NS
from waitspy.oracles import Oracle, Watched
from waitspy.oracles.epolls import EpollOracle
from waitspy.oracles.loops import LoopsOracle
from waitspy.oracles.pools import PoolsOracle
from waitspy.recording.epolls import EpollOpened
from waitspy.recording.loops import LoopFound, LoopServed
from waitspy.recording.pools import PoolFound, PoolQueue
from waitspy.recording.rows import Row

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_POOL = """
pool, done = ThreadPoolExecutor(1), threading.Event()
pool.submit(done.wait)
pool.submit(len, ())
"""
_LOOP = """
loop = asyncio.new_event_loop()
task = loop.create_task(asyncio.sleep(100))
loop.run_until_complete(asyncio.sleep(0))
"""
_EPOLL = "epoll = select.epoll()"
_TARGET = """
import asyncio, select, sys, threading
from concurrent.futures import ThreadPoolExecutor
print(flush=True)
sys.stdin.readline()
{}
print(flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def _target(made: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-c", _TARGET.format(made)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        assert target.stdout is not None
        target.stdout.readline()
        try:
            yield target
        finally:
            target.kill()


_ONSET_NS = NS // 20


def _rows(oracle: Oracle, watched: Watched, at_s: float, *, ran: bool) -> list[Row]:
    watched.ran = ran
    return list(oracle.tick(watched, int(at_s * NS)))


@pytest.mark.parametrize(
    ("oracle", "made", "what"),
    [
        (PoolsOracle(_ONSET_NS), _POOL, {PoolFound, PoolQueue}),
        (LoopsOracle(_ONSET_NS), _LOOP, {LoopFound, LoopServed}),
        (EpollOracle(_ONSET_NS), _EPOLL, {EpollOpened}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_was_made_between_two_scans_is_seen(
    oracle: Oracle, made: str, what: set[type[Row]]
) -> None:
    with _target(made) as target:
        watched = Watched(process(target.pid), f"/proc/{target.pid}")
        assert oracle.attach(watched) == "ok"
        _rows(oracle, watched, 0, ran=True)
        assert target.stdin is not None
        assert target.stdout is not None
        target.stdin.write(b"\n")
        target.stdin.flush()
        target.stdout.readline()
        rows = _rows(oracle, watched, 0.01, ran=True)
        for n in range(1, 200):  # nothing runs there any more; the costs of scans space them out
            rows += _rows(oracle, watched, 0.01 + n * 0.1, ran=False)
        oracle.detach(watched)
    assert {type(row) for row in rows} >= what
