"""The threads oracle: what it holds of a thread, and when it looks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.build import process
from waitspy.oracles import Watched
from waitspy.oracles.threads import ThreadsOracle, _Files

pytestmark = pytest.mark.ptrace


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_thread_whose_files_go_while_they_are_opened_leaves_none_open(tmp_path: Path) -> None:
    (tmp_path / "schedstat").write_bytes(b"1 2 3")
    before = open_fds()
    with pytest.raises(FileNotFoundError):
        _Files(str(tmp_path), ("schedstat", "syscall"))
    assert open_fds() == before


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
