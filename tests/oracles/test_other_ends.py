"""Whose message a thread waits for: pipes and sockets of this process, their other ends in children."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast

import pytest

from tests.examples.build import process
from waitspy.kernel import descriptors, procfs
from waitspy.model import syscalls
from waitspy.model.wait_for import Held, Holder
from waitspy.oracles import Watched
from waitspy.oracles.other_ends import OtherEnds, Readable
from waitspy.oracles.peers import Peers
from waitspy.remote.end_users import EndUse
from waitspy.remote.memory import Torn
from waitspy.remote.reader import Reader

ME = os.getpid()
SLEEPS = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
(ACCEPT,) = syscalls.accepts("x86_64") - {43}


class Users:
    """A reader that says which threads there are, and which use what."""

    def __init__(
        self,
        *threads: int,
        using: Collection[int | EndUse] | Exception = (),
        asked: bool = False,
        loops: Collection[Any] = (),
    ) -> None:
        self.ends = self
        self._threads, self._using, self._loops = threads, using, loops
        self.asked: set[int] = set()
        self._has_asked = asked

    def threads(self) -> list[int]:
        return list(self._threads)

    def using(self, fds: Collection[int]) -> list[EndUse]:
        if isinstance(self._using, Exception):
            raise self._using
        self.asked |= set(fds)
        return [one if isinstance(one, EndUse) else EndUse(one, one) for one in self._using]

    def has_asked(self, tid: int) -> bool:
        return self._has_asked

    def loops(self, *, frames: bool) -> Collection[Any]:
        assert not frames
        return self._loops

    def polled(self, address: int) -> int:
        """As the process's memory tells it; it is our own."""
        with open("/proc/self/mem", "rb") as memory:
            return int.from_bytes(os.pread(memory.fileno(), 4, address), sys.byteorder)


def at(pid: int, users: Users, *, accepting: Collection[int] = ()) -> Readable:
    watched = Watched(process(pid), f"/proc/{pid}")
    watched.stood = lambda _: True
    watched.blocked.update((tid, (ACCEPT, 3)) for tid in accepting)
    return Readable(watched, cast("Reader", users))


@contextlib.contextmanager
def child(*fds: int) -> Iterator[int]:
    """The pid of a process that has these open, too."""
    with subprocess.Popen(SLEEPS, pass_fds=fds) as started:
        yield started.pid
        started.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def waiting(read: Callable[[], object]) -> Iterator[int]:
    """The id of a thread that waits in that call, until the block ends what it waits for."""
    tids: list[int] = []

    def run() -> None:
        tids.append(threading.get_native_id())
        read()

    thread = threading.Thread(target=run)
    thread.start()
    while not tids or not procfs.read(ME, f"task/{tids[0]}/syscall").startswith(
        (b"0 ", b"45 ", b"7 ", b"73 ")
    ):
        time.sleep(0.001)
    yield tids[0]
    thread.join()


def told(
    tid: int, *others: Readable, mine: Users | None = None, kind: Held = "message"
) -> tuple[Holder, ...]:
    me = at(ME, mine or Users(tid, asked=kind == "reply"))
    every = {one.watched.pid: one for one in (me, *others)}
    peers = Peers(ME)
    edges = list(OtherEnds().of(me, peers, [tid], every, time.monotonic_ns()))
    peers.close()
    assert all((one.tid, one.kind) == (tid, kind) for one in edges)
    return edges[0].holders if edges else ()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


Pair = tuple[socket.socket, socket.socket]


@pytest.mark.parametrize("kind", ["message", "reply"])
@pytest.mark.parametrize("timeout_s", [None, 60], ids=["recv", "poll, then recv"])
def test_the_only_thread_of_the_only_process_with_the_other_end_has_to_answer(
    pair: Pair, timeout_s: float | None, kind: Held
) -> None:
    mine, other = pair
    mine.settimeout(timeout_s)
    with child(other.fileno()) as pid, waiting(lambda: mine.recv(1)) as tid:
        found = told(tid, at(pid, Users(pid)), kind=kind)
        other.send(b"x")
    assert found == (Holder(pid, "peer", pid=pid),)


def test_of_several_threads_the_one_that_uses_it_seems_to(pair: Pair) -> None:
    mine, other = pair
    users = Users(7, 8, using=[8])
    with child(other.fileno()) as pid, waiting(lambda: mine.recv(1)) as tid:
        found = told(tid, at(pid, users))
        other.send(b"x")
    assert found == (Holder(8, "reach", pid=pid),)
    assert users.asked == {other.fileno()}


def test_who_waits_for_other_connections_has_handed_it_out(pair: Pair) -> None:
    mine, other = pair
    with child(other.fileno()) as pid, waiting(lambda: mine.recv(1)) as tid:
        found = told(tid, at(pid, Users(7, 8, using=[7, 8]), accepting=[7]))
        alone = told(tid, at(pid, Users(7, 8, using=[7]), accepting=[7]))
        other.send(b"x")
    assert found == (Holder(8, "reach", pid=pid),)
    assert alone == (Holder(7, "reach", pid=pid),), "unless nobody else has it"


@pytest.mark.parametrize("using", [[], Torn("it runs")], ids=["nobody", "not known"])
def test_nobody_is_told_where_nobody_is_known(
    pair: Pair, using: Collection[int] | Exception
) -> None:
    mine, other = pair
    with child(other.fileno()) as pid, waiting(lambda: mine.recv(1)) as tid:
        assert told(tid, at(pid, Users(7, 8, using=using))) == ()
        assert told(tid) == (), "the process with the other end is not watched"
        other.send(b"x")


def test_of_processes_that_have_inherited_it_the_one_that_uses_it(pair: Pair) -> None:
    mine, other = pair
    with (
        child(other.fileno()) as first,
        child(other.fileno()) as second,
        waiting(lambda: mine.recv(1)) as tid,
    ):
        found = told(tid, at(first, Users(first)), at(second, Users(second, using=[second])))
        other.send(b"x")
    assert found == (Holder(second, "reach", pid=second),)


def test_a_frame_of_the_process_from_which_several_were_forked_is_nobodys_use(pair: Pair) -> None:
    mine, other = pair
    with (
        child(other.fileno()) as first,
        child(other.fileno()) as second,
        waiting(lambda: mine.recv(1)) as tid,
    ):
        of_parent = EndUse(first, 0x10), EndUse(second, 0x10)
        found = told(
            tid,
            at(first, Users(first, using=of_parent[:1])),
            at(second, Users(second, using=[of_parent[1], EndUse(second, 0x20)])),
        )
        other.send(b"x")
    assert found == (Holder(second, "reach", pid=second),)


def test_who_can_only_read_a_pipe_does_not_answer() -> None:
    reads, writes = os.pipe()
    with (
        child(reads) as reader,
        child(writes) as writer,
        waiting(lambda: os.read(reads, 1)) as tid,
    ):
        found = told(tid, at(reader, Users(reader)), at(writer, Users(writer)))
        os.write(writes, b"x")
    os.close(reads)
    os.close(writes)
    assert found == (Holder(writer, "peer", pid=writer),)


def test_another_thread_of_the_same_process(pair: Pair) -> None:
    mine, other = pair
    with waiting(lambda: mine.recv(1)) as tid:
        found = told(tid, mine=Users(tid, 7, using=[tid, 7]))
        alone = told(tid, mine=Users(tid, using=[tid]))
        other.send(b"x")
    assert found == (Holder(7, "reach"),)
    assert alone == (), "it will not answer itself"


def test_the_thread_whose_loop_watches_for_it(pair: Pair) -> None:
    mine, other = pair
    watches = subprocess.Popen(
        [sys.executable, "-c", f"""
import select, sys, time
poll = select.epoll(); poll.register({other.fileno()}, select.EPOLLIN); print(poll.fileno(), flush=True)
time.sleep(1000)"""],
        pass_fds=[other.fileno()], stdout=subprocess.PIPE,
    )  # fmt: skip
    assert watches.stdout is not None
    with watches, waiting(lambda: mine.recv(1)) as tid:
        epfd = int(watches.stdout.readline())
        assert epfd in descriptors.epoll_fds(watches.pid)

        class Loop:
            def __init__(self, at: int, owner_tid: int | None) -> None:
                self.epfd, self.owner_tid = at, owner_tid

        loops = [Loop(epfd, 8), Loop(epfd + 1, 9), Loop(epfd, None)]
        found = told(tid, at(watches.pid, Users(7, 8, 9, loops=loops)))
        other.send(b"x")
        watches.kill()
    assert found == (Holder(8, "reach", pid=watches.pid),)


def test_who_runs_waits_for_no_message(pair: Pair) -> None:
    with child(pair[1].fileno()) as pid:
        assert told(threading.get_native_id(), at(pid, Users(pid))) == ()


def test_what_a_task_reads(pair: Pair) -> None:
    mine, other = pair
    peers = Peers(ME)
    with child(other.fileno()) as pid:
        every = {one.watched.pid: one for one in (at(ME, Users(1)), at(pid, Users(pid)))}
        now_ns = time.monotonic_ns()
        found = OtherEnds().of_fd(ME, mine.fileno(), peers, every, now_ns)
        assert found == (Holder(pid, "peer", pid=pid),)
        with open(os.devnull) as other_file:
            assert OtherEnds().of_fd(ME, other_file.fileno(), peers, every, now_ns) == ()
        alone = {ME: at(ME, Users(1, 2, using=[2]))}
        assert OtherEnds().of_fd(ME, mine.fileno(), peers, alone, now_ns) == (), "its own threads"
    peers.close()
