"""The threads oracle: what it holds of a thread, and when it looks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.build import process
from waitspy.oracles import Watched, threads
from waitspy.oracles.threads import ThreadsOracle, _Files

pytestmark = pytest.mark.ptrace


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_thread_whose_files_go_while_they_are_opened_leaves_none_open(tmp_path: Path) -> None:
    (tmp_path / "schedstat").write_bytes(b"1 2 3")
    before = open_fds()
    files = _Files(str(tmp_path))
    assert files.read("schedstat", 3) == b"1 2"
    with pytest.raises(FileNotFoundError):
        files.read("syscall", 9)
    files.close()
    assert open_fds() == before


def test_of_very_many_threads_some_are_looked_at_in_each_tick_and_all_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "_AT_ONCE", 3)
    end = threading.Event()
    many = [threading.Thread(target=end.wait) for _ in range(10)]
    for one in many:
        one.start()
    reads: list[str] = []
    read = _Files.read

    def noted(self: _Files, name: str, size: int) -> bytes:
        if name == "schedstat":
            reads.append(self._folder.rpartition("/")[2])
        return read(self, name, size)

    monkeypatch.setattr(_Files, "read", noted)
    watched = Watched(process(os.getpid()), f"/proc/{os.getpid()}")
    oracle = ThreadsOracle()
    assert oracle.attach(watched) == "ok"
    try:
        told = [row.tid for row in oracle.tick(watched, 10**9)]
        watched.begin_tick(ran=False)
        for n in range(6):  # the process does not run any more, and nobody was forgotten
            assert len(reads) <= 3 + 2  # this very thread runs
            reads.clear()
            told += [row.tid for row in oracle.tick(watched, (2 + n) * 10**9)]
            watched.running.clear()
        assert set(told) >= {one.native_id for one in many} | {os.getpid()}
        reads.clear()
        list(oracle.tick(watched, 9 * 10**9))
        assert reads == []
    finally:
        end.set()
        for one in many:
            one.join()
        oracle.detach(watched)


@pytest.fixture
def parked() -> Iterator[None]:
    """A second thread that waits."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


@pytest.mark.usefixtures("parked")
def test_threads_that_stand_still_are_read_while_work_is_due_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[str] = []
    read = _Files.read

    def noted(self: _Files, name: str, size: int) -> bytes:
        reads.append(name)
        return read(self, name, size)

    watched = Watched(process(os.getpid()), f"/proc/{os.getpid()}")
    oracle = ThreadsOracle()
    assert oracle.attach(watched) == "ok"
    list(oracle.tick(watched, 0))
    watched.running.clear()  # this very thread
    monkeypatch.setattr(_Files, "read", noted)
    watched.due = True  # said by one that looks later
    seen = []
    for now_ns in (1, 2):
        reads.clear()
        watched.begin_tick(ran=False)
        list(oracle.tick(watched, now_ns))
        watched.running.clear()
        seen.append(bool(reads))
    assert seen == [True, False]
    oracle.detach(watched)
