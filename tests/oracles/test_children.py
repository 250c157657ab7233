"""The children oracle on processes of this very one: who stands, who waits, and who may read."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.examples.build import process
from waitspy.kernel import pipe_fds, procfs
from waitspy.model import syscalls
from waitspy.model.children import StandingChild
from waitspy.model.clock import NS
from waitspy.oracles import Watched
from waitspy.oracles.children import ChildrenOracle
from waitspy.recording.children import ChildrenRow
from waitspy.remote.children import Buffered, ChildHolders, ChildLook, ChildTask
from waitspy.remote.memory import Torn
from waitspy.remote.reader import Reader
from waitspy.remote.values import StandingTask

ME = os.getpid()
HEAD = ("head", "-c", "1000000", "/dev/zero")
WAIT4, READ, WRITE = (
    next(n for n, name in syscalls.TABLES[os.uname().machine].items() if name == call)
    for call in ("wait4", "read", "write")
)
_PATIENCE_S = 20.0
Child = subprocess.Popen[bytes]


class Scripted:
    """A reader that says who waits, and who has a process at hand."""

    def __init__(self) -> None:
        self.tasks: list[ChildTask] = []
        self.threads: set[tuple[int, int]] = set()
        self.holders: set[tuple[int, int]] = set()
        self.fault: Exception | None = None
        self.asked: list[set[int]] = []
        self.looks = 0
        self.deep = False

    def child_waits(self, known: Collection[int], cpu_ns: int) -> ChildLook:
        assert cpu_ns > 0
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        return ChildLook(tuple(self.tasks), ())

    def child_holders(self, look: ChildLook, pids: Collection[int], deep: bool) -> ChildHolders:
        self.asked.append(set(pids))
        self.deep = deep
        return ChildHolders(frozenset(self.threads), frozenset(self.holders))

    def where(self, task: StandingTask) -> tuple[tuple[()], None]:
        return (), None


class Looks:
    """An oracle at this process, which looks whenever it is told to."""

    def __init__(self) -> None:
        self.reader = Scripted()
        start_ticks = procfs.read_stat(ME).start_ticks
        self.watched = Watched(process(ME, start_ticks=start_ticks), f"/proc/{ME}")
        self.watched.reader = cast("Reader", self.reader)
        self.watched.stood = lambda _: True
        self.watched.routine_share = 1e9
        self.oracle = ChildrenOracle()
        assert self.oracle.attach(self.watched) == "ok"
        self.now_ns = NS

    def look(self, after_s: int = 10) -> ChildrenRow | None:
        """What it tells so much later."""
        self.now_ns += after_s * NS
        return next(self.oracle.tick(self.watched, self.now_ns), None)

    def standing(self) -> tuple[StandingChild, ...]:
        """Those that it has told of after three looks."""
        told: tuple[StandingChild, ...] = ()
        for _ in range(3):
            row = self.look()
            told = told if row is None else row.standing
        return told

    def stands(self, tid: int, number: int, argument: int) -> None:
        self.watched.blocked[tid] = number, argument
        self.watched.blocked_since_ns[tid] = NS


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """Starts children that stand in a write, or in another call, and ends them."""
    started: list[Child] = []

    def begin(*argv: str, call: str = "write", below: bool = False, **more: Any) -> Child:
        child: Child = subprocess.Popen(argv, **{"stdout": subprocess.PIPE, **more})
        started.append(child)
        until(lambda: any(_is_in(pid, call) for pid in (child.pid, *procfs.children(child.pid))))
        if below:
            until(lambda: bool(procfs.children(child.pid)) and _is_in(child.pid, "wait4"))
        return child

    yield begin
    for child in started:
        for pid in procfs.children(child.pid):
            os.kill(pid, 9)
        child.kill()
        child.communicate()


def _is_in(pid: int, call: str) -> bool:
    table = syscalls.TABLES[os.uname().machine]
    try:
        found = pipe_fds.calls(pid)
    except OSError:
        return False
    return found is not None and table.get(found[pid].number) == call


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def waiting(wait: Callable[[], object]) -> int:
    """Starts a thread that waits, in the kernel, until its child ends, and gives its id."""

    def run() -> None:
        with contextlib.suppress(OSError):  # somebody else has collected it
            wait()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    tid = thread.native_id
    assert tid is not None
    numbers = {b"%d" % number for number in (WAIT4, READ, WRITE)}
    until(lambda: procfs.read(ME, f"task/{tid}/syscall").split()[0] in numbers)
    return tid


def task(pid: int, fd: int | None = None, buffered: int = 0) -> ChildTask:
    standing = StandingTask(0x500, 0x600, b"", (), 0x700, 0x800)
    return ChildTask(0xA0, standing, pid, fd, (Buffered(0x900, buffered),))


def test_a_process_that_only_this_one_can_let_go_on(start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD), Looks()
    assert looks.look() is None
    assert looks.reader.looks == 0, "it may have come there just now"
    row = looks.look()
    assert row is not None
    (one,) = row.standing
    assert child.stdout is not None
    assert (one.pid, one.name, one.fd) == (child.pid, "head", child.stdout.fileno())
    assert one.pipe == os.fstat(child.stdout.fileno()).st_ino
    assert (one.since_ns, one.waits) == (11 * NS, ())
    assert looks.look() is None, "nothing is new"
    assert looks.reader.asked == [], "nobody waits"


def test_a_task_that_has_waited_for_it_since_a_look_before(start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD), Looks()
    looks.reader.tasks = [task(child.pid)]
    ((wait,),) = (one.waits for one in looks.standing())
    assert (wait.awaits, wait.pid, wait.loop, wait.count) == ("exit", child.pid, 0xA0, 1)
    assert wait.since_ns == 21 * NS


def test_who_takes_from_its_stream_does_not_wait(start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD), Looks()
    for size in (900, 800, 700, 600):
        looks.reader.tasks = [task(child.pid, buffered=size)]
        row = looks.look()
        assert row is None or [one.waits for one in row.standing] == [()]


def test_a_thread_that_waits_for_its_end(start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD), Looks()
    tid = waiting(lambda: os.waitpid(child.pid, 0))
    looks.stands(tid, WAIT4, child.pid)
    ((wait,),) = (one.waits for one in looks.standing())
    assert (wait.awaits, wait.tid, wait.pid, wait.since_ns) == ("exit", tid, child.pid, NS)
    assert tid in looks.watched.holders


def test_a_thread_that_waits_for_another_process_does_not_wait_for_this_one(
    start: Callable[..., Child],
) -> None:
    start(*HEAD)
    other, looks = start("sleep", "60", call="clock_nanosleep"), Looks()
    tid = waiting(lambda: os.waitpid(other.pid, 0))
    looks.stands(tid, WAIT4, other.pid)
    assert [one.waits for one in looks.standing()] == [()]


def test_a_thread_that_reads_its_other_pipe(start: Callable[..., Child]) -> None:
    line = "while :; do echo many errors >&2; done"
    child, looks = start("sh", "-c", line, stderr=subprocess.PIPE), Looks()
    assert child.stdout is not None
    fd = child.stdout.fileno()
    tid = waiting(lambda: os.read(fd, 1))
    looks.stands(tid, READ, fd)
    ((wait,),) = (one.waits for one in looks.standing())
    assert (wait.awaits, wait.tid, wait.pid) == ("output", tid, child.pid)


def test_a_thread_that_writes_what_it_does_not_read(start: Callable[..., Child]) -> None:
    line = "head -c 1000000 /dev/zero; cat"
    child, looks = start("sh", "-c", line, stdin=subprocess.PIPE, below=True), Looks()
    assert child.stdin is not None
    fd = child.stdin.fileno()
    tid = waiting(lambda: os.write(fd, bytes(1_000_000)))
    looks.stands(tid, WRITE, fd)
    ((wait,),) = (one.waits for one in looks.standing())
    assert (wait.awaits, wait.tid) == ("input", tid)
    assert looks.reader.deep


def test_a_task_that_writes_what_it_does_not_read(start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD, stdin=subprocess.PIPE), Looks()
    assert child.stdin is not None
    looks.reader.tasks = [replace(task(child.pid, child.stdin.fileno()), writes=True)]
    ((wait,),) = (one.waits for one in looks.standing())
    assert (wait.awaits, wait.tid, wait.pid) == ("input", None, child.pid)


def test_a_pipe_that_others_can_write_may_have_something_soon(start: Callable[..., Child]) -> None:
    reads, writes = os.pipe()
    line = "while :; do echo many errors >&2; done"
    start("sh", "-c", line, stdout=writes, stderr=subprocess.PIPE)
    start("sleep", "60", stdout=writes, call="clock_nanosleep")
    looks = Looks()
    os.close(writes)
    tid = waiting(lambda: os.read(reads, 1))
    looks.stands(tid, READ, reads)
    assert [one.waits for one in looks.standing()] == [()]


def test_the_one_that_is_blocked_may_be_further_below(start: Callable[..., Child]) -> None:
    shell = start("sh", "-c", "head -c 1000000 /dev/zero; echo done", below=True)
    looks = Looks()
    looks.reader.tasks = [task(shell.pid)]
    ((wait,),) = (one.waits for one in looks.standing())
    (one,) = looks.oracle._processes[ME].told
    assert (one.pid,) == procfs.children(shell.pid)
    assert (wait.pid, wait.name) == (shell.pid, "sh")


@pytest.mark.parametrize("who", ["threads", "holders"])
def test_what_somebody_else_has_at_hand_may_be_read(who: str, start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD), Looks()
    looks.reader.tasks = [task(child.pid)]
    setattr(looks.reader, who, {(0x501, child.pid + 1), (0x500, child.pid)})
    assert (looks.standing() == ()) == (who == "threads"), "the task itself waits"
    setattr(looks.reader, who, {(0x501, child.pid)})
    assert looks.standing() == ()


def test_who_has_it_at_hand_is_asked_rarely(start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD), Looks()
    looks.reader.tasks = [task(child.pid)]
    looks.standing()
    assert looks.reader.asked == [{child.pid}]
    looks.look(after_s=5)
    assert looks.reader.asked == [{child.pid}]
    looks.look(after_s=5)
    assert looks.reader.asked == [{child.pid}] * 2
    looks.reader.tasks = []
    looks.look(after_s=1)
    looks.reader.tasks = [task(child.pid)]
    looks.look(after_s=1)
    looks.look(after_s=1)
    assert looks.reader.asked == [{child.pid}] * 3, "somebody waits anew"


def test_a_pipe_that_another_process_reads_is_none_of_ours(start: Callable[..., Child]) -> None:
    child = start(*HEAD)
    start("sleep", "60", stdin=child.stdout, call="clock_nanosleep")
    looks = Looks()
    looks.reader.tasks = [task(child.pid)]
    assert looks.standing() == ()


@pytest.mark.parametrize("argv", [("sleep", "60"), ("cat",)])
def test_a_process_that_waits_for_something_else(
    argv: tuple[str, ...], start: Callable[..., Child]
) -> None:
    call = {"sleep": "clock_nanosleep", "cat": "read"}[argv[0]]
    child, looks = start(*argv, stdin=subprocess.PIPE, call=call), Looks()
    looks.reader.tasks = [task(child.pid)]
    assert looks.standing() == ()
    assert looks.reader.looks == 0, "its memory need not be read"


def test_one_that_goes_on_is_told_to(start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD), Looks()
    assert len(looks.standing()) == 1
    assert child.stdout is not None
    os.read(child.stdout.fileno(), 1 << 17)
    until(lambda: _is_in(child.pid, "write"))
    row = looks.look()
    assert row is not None
    assert (row.standing, row.ended) == ((), ())


def test_one_that_is_ended_is_told_to_have(start: Callable[..., Child]) -> None:
    child, looks = start(*HEAD), Looks()
    assert len(looks.standing()) == 1
    child.kill()
    until(lambda: procfs.read_stat(child.pid).zombie)
    row = looks.look()
    assert row is not None
    assert (row.standing, row.ended) == ((), (child.pid,))


def test_what_cannot_be_read_once_holds_on(start: Callable[..., Child]) -> None:
    start(*HEAD)
    looks = Looks()
    assert len(looks.standing()) == 1
    looks.reader.fault = Torn("it changes")
    assert looks.look() is None
    looks.reader.fault = None
    assert looks.look() is None


def test_below_a_process_of_many_threads_it_is_seen_as_well(start: Callable[..., Child]) -> None:
    shell = start("sh", "-c", "head -c 1000000 /dev/zero; echo done", below=True)
    looks = Looks()
    looks.watched.tids = set(range(1_000))
    (one,) = looks.standing()
    assert (one.pid,) == procfs.children(shell.pid)


def test_a_hostile_name_is_one_line_that_can_be_shown(
    start: Callable[..., Child], tmp_path: Path
) -> None:
    head = shutil.which("head")
    assert head is not None
    named = shutil.copy(head, tmp_path / "<b>\x1b[31m\n\udcff")
    start(str(named), *HEAD[1:])
    (one,) = Looks().standing()
    assert one.name == "<b>\ufffd[31m\ufffd\ufffd"


def test_looks_are_rare() -> None:
    looks = Looks()
    looks.look()
    process = looks.oracle._processes[ME]
    assert process.next_ns == looks.now_ns + NS // 2


def test_an_unreadable_process_says_why() -> None:
    watched = Watched(process(), "/proc/100")
    watched.reader = "no Python interpreter is mapped"
    assert ChildrenOracle().attach(watched) == "no Python interpreter is mapped"
    assert list(ChildrenOracle().tick(watched, NS)) == []


def test_who_has_no_processes_below_is_asked_again_only_once_one_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To list them takes milliseconds where there are many threads."""
    made, below, asked = list[bytes | None]([b"1"]), dict[int, int](), list[int]()

    def listed(pid: int, threads: int) -> dict[int, int]:
        asked.append(pid)
        return dict(below)

    monkeypatch.setattr("waitspy.oracles.children._below", listed)
    monkeypatch.setattr(procfs, "last_made", lambda: made[0])
    looks = Looks()
    for _ in range(3):
        looks.look()
    assert asked == [ME]
    made[0], below[1 << 30] = b"2", ME
    for _ in range(3):
        looks.look()
    assert asked == 4 * [ME], "those that it has may end, or go elsewhere, at any time"
    below.clear()
    for _ in range(3):
        looks.look()
    assert len(asked) == 5
    made[0] = None
    looks.look()
    assert len(asked) == 6, "nobody knows"


def test_what_was_made_last_is_told() -> None:
    before = procfs.last_made()
    assert before is not None
    subprocess.run(["true"], check=True)
    assert procfs.last_made() != before
