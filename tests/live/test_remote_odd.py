"""What cannot be read is refused with a reason; what is odd is borne with."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.running import TARGETS
from tests.remote.interpreters import HERE, Python, found
from tests.remote.started import started
from waitspy.kernel import procfs
from waitspy.remote.memory import Unavailable
from waitspy.remote.reader import Reader
from waitspy.remote.type_facts import LONGEST_TEXT

pytestmark = pytest.mark.ptrace

ODD = TARGETS / "remote_odd.py"
POOLS = TARGETS / "remote_pools.py"
ALL = [pytest.param(python, id=str(python)) for python in found()]


@contextlib.contextmanager
def command(*argv: str) -> Iterator[int]:
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_what_is_no_python_is_refused() -> None:
    with command("sleep", "60") as pid, pytest.raises(Unavailable, match="no Python"):
        Reader(pid)


def test_what_is_gone_is_gone() -> None:
    with pytest.raises(ProcessLookupError):
        Reader(2**22 - 1)


def test_older_versions_are_refused() -> None:
    code = "print('{}', flush=True); input()"
    for folder in sorted(Path("~/.pyenv/versions").expanduser().glob("3.[67].*")):
        python = Python(folder.name, str(folder / "bin" / "python"))
        with (
            started(python, "-c", code) as process,
            pytest.raises(Unavailable, match="older than"),
        ):
            Reader(process.pid)


def test_a_process_in_its_own_pid_namespace() -> None:
    argv = ["unshare", "--pid", "--fork", "--kill-child", HERE.path, str(POOLS)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=HERE.environment
    ) as process:
        try:
            assert process.stdout is not None
            inside = json.loads(process.stdout.readline())
            (child,) = procfs.children(process.pid)
            reader = Reader(child)
            (loop,) = reader.loops()
            assert inside["tid"] == 1
            assert (loop.running_tid, loop.owner_tid) == (child, child)
            assert reader.whole_snapshot(loop) is not None
            tids = {tid for pool in reader.pools.executors() for tid in pool.tids}
            assert tids == set(procfs.threads(child)) - {child}
        finally:
            process.kill()


@pytest.mark.parametrize("python", ALL)
def test_tasks_not_in_c_are_refused(python: Python) -> None:
    with started(python, ODD, "python_tasks") as process:
        reader = Reader(process.pid)
        for _ in range(2):
            with pytest.raises(Unavailable, match="not those in C"):
                reader.loops()
        assert reader.pools.executors() == ()


@pytest.mark.parametrize("python", ALL)
def test_asyncio_imported_after_attaching(python: Python) -> None:
    with started(python, ODD, "late") as process:
        reader = Reader(process.pid)
        assert reader.loops() == ()
        assert reader.pools.executors() == ()
        process.tell("\n")
        truth = process.line()
        (loop,) = reader.loops()
        assert loop.pending == truth["pending"]


@pytest.mark.parametrize("python", ALL)
def test_hostile_names(python: Python) -> None:
    with started(python, ODD, "hostile") as process:
        reader = Reader(process.pid)
        (loop,) = reader.loops()
        snapshot = reader.snapshot(loop)
        tasks = [callback.task for callback in snapshot.first if callback.task]
        names = [str(task.name) for task in tasks] + [str(task.coroutine) for task in tasks]
        names += [callback.name for callback in snapshot.first]
        assert any(name.startswith("<b>\x1b[31m") for name in names)
        for name in names:
            assert len(name) <= LONGEST_TEXT
            name.encode()  # no lone surrogates


@pytest.mark.parametrize("python", ALL)
def test_a_forked_child_runs_no_loop(python: Python) -> None:
    with started(python, ODD, "forked") as process:
        parent = Reader(process.pid).loops()
        assert [(loop.running, loop.pending) for loop in parent] == [(True, 4)]
        for loop in Reader(process.truth["child"]).loops():
            # from 3.12 on the child clears the mark at once, before that its pid tells
            assert not loop.running


@pytest.mark.parametrize("python", ALL)
def test_loops_that_come_and_go(python: Python) -> None:
    with started(python, ODD, "renewed") as process:
        reader = Reader(process.pid)
        for _ in range(10):
            open_loops = [loop for loop in reader.loops() if not loop.closed]
            assert [loop.pending for loop in open_loops] == [0]
            assert {loop.owner_tid for loop in open_loops} == {process.pid}
            assert reader.service(open_loops[0]).ready == 0
            process.tell("\n")
            process.line()


def test_attaching_is_quick() -> None:
    with started(HERE, ODD, "renewed") as process:
        Reader(process.pid)  # reading the symbols of an interpreter's file is done once
        took_s = []
        for _ in range(5):
            began_s = time.perf_counter()
            Reader(process.pid).loops()
            took_s.append(time.perf_counter() - began_s)
        assert min(took_s) < 0.2  # 10 ms on an idle machine
        loop = Reader(process.pid).loops()[0]
        reader = Reader(process.pid)
        reader.loops()
        began_s = time.perf_counter()
        for _ in range(200):
            reader.service(loop)
        assert (time.perf_counter() - began_s) / 200 < 0.001  # 10 us on an idle machine


def test_this_process_reads_itself() -> None:
    assert Reader(os.getpid()).runtime.layout.pair == sys.version_info[:2]
