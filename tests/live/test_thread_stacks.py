"""Stacks of threads that stand still are those that py-spy shows, frame by frame."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, starved_by_itself, target, wait_until
from tests.remote.interpreters import HERE, Python, found
from waitspy.kernel import procfs
from waitspy.model.clock import NS
from waitspy.model.stacks import Stack
from waitspy.recording import loading
from waitspy.remote import native_ids
from waitspy.remote.reader import Reader
from waitspy.samplers.pyspy_binary import find_pyspy
from waitspy.target import interpreter

pytestmark = pytest.mark.ptrace


def shown_by_pyspy(pid: int, version: str) -> dict[int, list[tuple[str, str, int | None]]]:
    argv = [find_pyspy(), "dump", "--json", "--full-filenames", "--nonblocking", "--pid", str(pid)]
    threads = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    span = interpreter.runtime_span(pid)
    here = native_ids.here(pid, version, span[0] if span else None)
    return {
        thread["os_thread_id"] or here[thread["thread_id"]]: [
            (frame["name"], frame["filename"], frame["line"] or None)
            for frame in reversed(thread["frames"])
        ]
        for thread in threads
    }


@pytest.mark.parametrize("python", found(), ids=str)
def test_every_thread_that_stands_still_has_the_stack_that_pyspy_shows(python: Python) -> None:
    argv = [python.path, TARGETS / "standing_threads.py"]
    with target(argv, env=python.environment) as process:
        shown = shown_by_pyspy(process.pid, python.version)
        reader = Reader(process.pid)
        read = reader.stacks(procfs.threads(process.pid), NS)
        tids, states = zip(*reader.python_threads().items(), strict=True)
        moving = reader.moving_stacks([state for (state,) in states])
    assert len(read) == process.ready["threads"]
    told = {tid: [(f.function, f.file, f.line) for f in stack] for tid, stack in read.items()}
    assert told == shown
    assert all(whole for _, whole in moving)
    copied = {tid: stack for tid, (stack, _) in zip(tids, moving, strict=True)}
    assert {t: [(f.function, f.file, f.line) for f in s] for t, s in copied.items()} == shown


def test_a_thread_that_runs_has_no_stack_or_a_right_one() -> None:
    """Two callers of one function: no stack has a frame of the one below a frame of the other."""
    over = threading.Event()
    ran = threading.Thread(target=left_and_right, args=(over,))
    ran.start()
    try:
        assert ran.native_id is not None
        reader, stacks = Reader(os.getpid()), set[Stack]()
        end_s = time.monotonic() + 2
        while time.monotonic() < end_s:
            stacks |= set(reader.stacks([ran.native_id], NS).values())
    finally:
        over.set()
        ran.join()
    names = {tuple(f.function for f in s if f.file == __file__) for s in stacks}
    assert {"left_and_right"} < {name for each in names for name in each}
    assert not [each for each in names if {"left", "right_leaf"} <= set(each)]
    assert not [each for each in names if {"right", "left_leaf"} <= set(each)]


def left_and_right(over: threading.Event) -> None:
    while not over.is_set():
        left()
        right()


def left() -> None:
    left_leaf()


def right() -> None:
    right_leaf()


def left_leaf() -> None:
    sum(range(20))


def right_leaf() -> None:
    sum(range(30))


def test_only_as_many_as_the_time_allows_are_read_and_those_first_that_are_asked_for() -> None:
    with target([HERE.path, TARGETS / "standing_threads.py"], env=HERE.environment) as process:
        tids = sorted(procfs.threads(process.pid), reverse=True)
        reader = Reader(process.pid)
        assert list(reader.stacks(tids, 0)) == tids[:1]
        assert list(reader.stacks(tids, NS)) == tids


@pytest.mark.parametrize("sampler", ["auto", pytest.param("py-spy", marks=pytest.mark.slow)])
def test_a_wait_among_a_thousand_threads_has_the_line_it_is_on(
    tmp_path: Path, sampler: str
) -> None:
    """py-spy takes too long for all of them to tell which line it was: single stacks do then.

    So they may with our own sampler, where the budget has no room for a sample when a wait begins.
    """
    argv = [HERE.path, TARGETS / "crowded_loop.py", 0.3, 0.7, "threads", 1000]
    with target(argv) as server:
        wait_until(lambda: len(procfs.threads(server.pid)) > 1000, "threads did not start")
        report = record(server.pid, tmp_path / "rec", "--sampler", sampler, seconds=4)
    told = starved_by_itself(report)
    assert {finding["kind"] for finding in told} == {"blocked-loop"}
    blamed = {(f["blame"] or {}).get("function"): f["occurrences"] for f in told}
    assert blamed["hold_up"] >= 2
    assert blamed.keys() <= {"hold_up", None}  # None: it began before the first look
    if sampler == "py-spy":
        assert loading.load(str(tmp_path / "rec")).workers[0].dumps
