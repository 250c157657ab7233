"""Pipes of this very process and of children of it: their ends, and who stands in calls on them."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from waitspy.kernel import pipe_fds
from waitspy.kernel.pipe_fds import Call, PipeEnd
from waitspy.model import syscalls

ME = os.getpid()
_PATIENCE_S = 20.0


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for fd in ends:
            os.close(fd)


@contextlib.contextmanager
def child(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def standing(pid: int, call: str) -> dict[int, Call]:
    """In what its threads are blocked, once the first one is in that call, and stays there."""
    numbers = {n for n, name in syscalls.TABLES[os.uname().machine].items() if name == call}
    until_s = time.monotonic() + _PATIENCE_S
    before: dict[int, Call] | None = None
    while time.monotonic() < until_s:
        found = pipe_fds.calls(pid)
        if found is not None and found == before and found[pid].number in numbers:
            return found
        before = found
        time.sleep(0.01)
    raise TimeoutError(call)


def test_both_ends_of_a_pipe() -> None:
    with pipe() as (reads, writes):
        inode = os.fstat(reads).st_ino
        mine = [end for end in pipe_fds.ends(ME) if end.pipe == inode]
        assert sorted(mine, key=lambda end: end.fd) == sorted(
            [PipeEnd(reads, inode, True, False), PipeEnd(writes, inode, False, True)],
            key=lambda end: end.fd,
        )
        assert pipe_fds.of_fd(ME, reads) == pipe_fds.of_fd(ME, writes) == inode
        closed = writes
    assert pipe_fds.of_fd(ME, closed) is None


def test_one_that_is_open_for_both_is_both() -> None:
    with pipe() as (reads, _):
        both = os.open(f"/proc/self/fd/{reads}", os.O_RDWR)
        try:
            (end,) = (end for end in pipe_fds.ends(ME) if end.fd == both)
        finally:
            os.close(both)
    assert (end.reads, end.writes) == (True, True)


def test_other_files_are_no_pipes() -> None:
    with open("/dev/null", "rb") as file:
        assert pipe_fds.of_fd(ME, file.fileno()) is None
        assert file.fileno() not in {end.fd for end in pipe_fds.ends(ME)}


def test_whether_an_epoll_watches_it() -> None:
    with pipe() as (reads, writes), contextlib.closing(select.epoll()) as epoll:
        assert not any(pipe_fds.watching(ME, reads))
        epoll.register(reads, select.EPOLLIN)
        assert any(pipe_fds.watching(ME, reads))
        assert not any(pipe_fds.watching(ME, writes))
        epoll.unregister(reads)
        assert not any(pipe_fds.watching(ME, reads))


def test_a_process_that_stands_in_a_write_does_so_until_somebody_reads() -> None:
    with child("head", "-c", "1000000", "/dev/zero") as process:
        assert process.stdout is not None
        before = standing(process.pid, "write")
        (call,) = before.values()
        inode = os.fstat(process.stdout.fileno()).st_ino
        assert pipe_fds.of_fd(process.pid, call.args[0]) == inode
        assert pipe_fds.may_be_full(process.pid, process.pid)
        assert standing(process.pid, "write") == before, "it has not run"
        os.read(process.stdout.fileno(), 1 << 16)
        until_s = time.monotonic() + _PATIENCE_S
        while standing(process.pid, "write") == before:
            assert time.monotonic() < until_s


def test_a_process_that_sleeps_is_not_before_a_full_pipe() -> None:
    with child("sleep", "60") as process:
        standing(process.pid, "clock_nanosleep")
        assert not pipe_fds.may_be_full(process.pid, process.pid)


def test_of_one_that_runs_nothing_is_said() -> None:
    with child(sys.executable, "-c", "print('ready', flush=True)\nwhile True: pass") as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert pipe_fds.calls(process.pid) is None


def test_one_that_is_gone_says_so() -> None:
    with child("true") as process:
        process.wait()
    for look in (pipe_fds.ends, pipe_fds.calls):
        with pytest.raises(ProcessLookupError):
            look(process.pid)


@pytest.mark.parametrize("raw", [b"running\n", b"-1 0x7ffc 0x7f\n", b"", b"1 0x1\n"])
def test_what_is_no_call(raw: bytes) -> None:
    assert pipe_fds.parse_call(raw, b"3 4") is None


def test_a_call_has_its_arguments_and_marks() -> None:
    raw = b"1 0x2 0x55d0 0x1000 0x0 0x0 0xffffffff 0x7ffc 0x7f21\n"
    call = pipe_fds.parse_call(raw, b"3 4")
    assert call is not None
    assert (call.number, call.args) == (1, (2, 0x55D0, 0x1000, 0, 0, 0xFFFFFFFF))
    assert call == pipe_fds.parse_call(raw, b"3 4")
    assert call != pipe_fds.parse_call(raw, b"3 5")
