"""What is read of other processes' loops equals what they print of themselves."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from tests import pythons
from tests.live.running import TARGETS, wait_until
from tests.remote.interpreters import HERE, Python, found, with_modules
from tests.remote.started import started
from waitspy.model import syscalls
from waitspy.remote.memory import Unreadable
from waitspy.remote.reader import Reader
from waitspy.remote.values import LoopFacts, LoopSnapshot

pytestmark = pytest.mark.ptrace

LOOPS = TARGETS / "remote_loops.py"

BOTH = [
    *(pytest.param(python, (), id=f"{python}-asyncio") for python in found()),
    *(
        pytest.param(python, ("uvloop",), id=f"{python}-uvloop")
        for python in with_modules("uvloop")
    ),
]
FEW = [
    pytest.param(*each.values, id=each.id, marks=pythons.marks(str(each.values[0])))
    for each in BOTH
]
ASYNCIO = [pytest.param(python, id=str(python)) for python in found()]


def only_loop(reader: Reader) -> LoopFacts:
    loops = [loop for loop in reader.loops() if not loop.closed]
    assert len(loops) == 1, loops
    return loops[0]


def polls(tid: int | None) -> bool:
    """Whether a thread stands in epoll_wait, as the kernel says."""
    number = Path(f"/proc/{tid}/syscall").read_text().split()[0]
    return number.isdecimal() and int(number) in syscalls.epoll_waits()


def sure_snapshot(reader: Reader, loop: LoopFacts) -> LoopSnapshot:
    taken: list[LoopSnapshot] = []

    def take() -> bool:
        snapshot = reader.whole_snapshot(loop)
        taken.extend([snapshot] if snapshot else [])
        return bool(taken)

    wait_until(take, "a snapshot of a loop that stands still")
    return taken[0]


@pytest.mark.parametrize(("python", "more"), BOTH)
def test_blocked_loop(python: Python, more: tuple[str, ...]) -> None:
    with started(python, LOOPS, "blocked", *more) as process:
        truth = process.truth
        reader = Reader(process.pid)
        loop = only_loop(reader)
        assert loop.kind == ("uvloop" if more else "asyncio")
        assert (loop.running, loop.closed) == (True, False)
        assert (loop.running_tid, loop.owner_tid, loop.owner_how) == (
            truth["tid"],
            truth["tid"],
            "running",
        )
        assert loop.pending == truth["pending"]
        assert [loop.epfd] == truth["epfd"]
        snapshot = sure_snapshot(reader, loop)
        assert snapshot.ready == truth["ready"]
        assert snapshot.service == reader.service(loop)
        assert snapshot.running_tid == truth["tid"]
        check_timers(snapshot, truth)
        everything = reader.snapshot(loop, names=100)
        check_names(everything, truth)
        check_guards(everything, truth)


def check_timers(snapshot: LoopSnapshot, truth: dict[str, Any]) -> None:
    timers = snapshot.timers
    assert timers is not None
    assert timers.overdue == truth["overdue"]
    assert timers.oldest_due_s is not None
    assert timers.next_due_s is not None
    # all were set within the second before the truth was told
    assert truth["now_s"] - 1 < timers.oldest_due_s < truth["now_s"] + 0.3
    assert truth["now_s"] + 3500 < timers.next_due_s < truth["now_s"] + 3601
    assert [t.due_s for t in timers.late] == sorted(t.due_s for t in timers.late)


def check_names(snapshot: LoopSnapshot, truth: dict[str, Any]) -> None:
    steps = [callback.task for callback in snapshot.first if callback.task]
    assert {task.name for task in steps} == set(truth["names"])
    woken = [task for task in steps if task.coroutine == "waiter"]
    assert len(woken) == 3
    for task in woken:
        assert [frame.function for frame in task.stack[:2]] == ["waiter", "inner"]
        assert task.stack[1].line == truth["inner_line"]
        assert task.stack[1].file.endswith("remote_loops.py")
    assert len([task for task in steps if task.coroutine == "fresh"]) == 2
    method = [callback for callback in snapshot.first if not callback.task]
    assert [callback.name.rpartition(".")[2] for callback in method] == ["method"]
    assert str(method[0].where).endswith(f"remote_loops.py:{truth['owner_line']}")


def check_guards(snapshot: LoopSnapshot, truth: dict[str, Any]) -> None:
    assert snapshot.timers is not None
    late = snapshot.timers.late
    assert len(late) == truth["overdue"]
    guards = [timer for timer in late if timer.guards]
    assert len(guards) == truth["guards"]
    assert {timer.task.coroutine for timer in guards if timer.task} == {
        "limited",
        "limited_by_timeout",
    } & {"limited", *(["limited_by_timeout"] if truth["guards"] == 2 else [])}
    sleeping = [timer for timer in late if timer.task and timer.task.coroutine == "sleeper"]
    assert len(sleeping) == 20
    for timer in sleeping:
        assert timer.task is not None
        assert timer.task.stack[0].line == truth["sleeper_line"]
        assert timer.task.stack[1].function == "sleep"
    plain = {timer.callback.name: timer.callback.where for timer in late if timer.task is None}
    assert str(plain.pop("overdue_callback")).endswith(f":{truth['callback_line']}")
    assert [str(where).rpartition(":")[2] for where in plain.values()] == [str(truth["owner_line"])]


@pytest.mark.parametrize(("python", "more"), BOTH)
def test_parked_loop(python: Python, more: tuple[str, ...]) -> None:
    with started(python, LOOPS, "parked", *more) as process:
        truth = process.truth
        reader = Reader(process.pid)
        loop = only_loop(reader)
        assert (loop.running, loop.running_tid, loop.closed) == (False, None, False)
        assert loop.owner_tid == truth["tid"]
        assert loop.owner_how == ("task-list" if python.pair >= (3, 14) else "frames")
        assert loop.pending == truth["pending"]
        snapshot = sure_snapshot(reader, loop)
        assert snapshot.ready == truth["ready"]
        assert snapshot.timers is not None
        assert snapshot.timers.overdue == truth["overdue"]
        assert snapshot.running_tid is None


@pytest.mark.parametrize(("python", "more"), FEW)
def test_what_is_due_together_with_the_timer_that_blocks_is_seen(
    python: Python, more: tuple[str, ...]
) -> None:
    with started(python, LOOPS, "among_timers", *more) as process:
        reader = Reader(process.pid)
        snapshot = sure_snapshot(reader, only_loop(reader))
        assert snapshot.timers is not None
        late = [*snapshot.first, *(timer.callback for timer in snapshot.timers.late)]
        assert [one.name for one in late] == ["overdue_callback"] * process.truth["waiting"]
        assert snapshot.timers.next_due_s is not None


@pytest.mark.parametrize("python", ASYNCIO)
def test_loops_without_tasks(python: Python) -> None:
    with started(python, LOOPS, "threads") as process:
        truth = process.truth
        loops = {loop.owner_tid: loop for loop in Reader(process.pid).loops()}
        assert loops.keys() == set(truth.values())
        assert loops[truth["local"]].type_name == "MixedLoop"
        assert loops[truth["local"]].epfd is not None
        assert loops[truth["attribute"]].owner_how == "frames"
        running = loops[truth["running"]]
        assert (running.running_tid, running.type_name) == (truth["running"], "PollLoop")
        assert running.epfd is None
        assert loops[truth["closed"]].closed is True
        assert [tid for tid, loop in loops.items() if loop.closed] == [truth["closed"]]
        assert {loop.kind for loop in loops.values()} == {"asyncio"}
        assert {loop.pending for loop in loops.values()} == {0}


@pytest.mark.parametrize(("python", "more"), BOTH)
def test_served_callbacks_are_counted_exactly(python: Python, more: tuple[str, ...]) -> None:
    with started(python, LOOPS, "counter", *more) as process:
        reader = Reader(process.pid)
        loop = only_loop(reader)
        before = reader.service(loop)
        assert before.ready == 0
        for count in (0, 1, 63, 64, 65, 1000, 3):
            process.tell(f"{count}\n")
            assert process.line() == {"blocked": True}
            after = reader.service(loop)
            assert after.served_since(before) == count + 1
            assert after.added_since(before) == count + 1
            before = after


@pytest.mark.alone
@pytest.mark.parametrize(("python", "more"), FEW)
def test_beside_a_loop_at_full_speed_every_snapshot_is_right(
    python: Python, more: tuple[str, ...]
) -> None:
    with started(python, LOOPS, "beside", *more) as process:
        truth = process.truth
        reader = Reader(process.pid)
        loop = next(loop for loop in reader.loops() if loop.running_tid == truth["tid"])
        assert loop.pending == truth["all"]  # all_tasks() of it, told by its own thread
        delivered = 0
        # How many are delivered depends on how busy the machine is; all that are must be right.
        for _ in range(300):
            if delivered == 10:
                break
            snapshot = reader.whole_snapshot(loop, tries=8, names=1)
            if snapshot is None:
                continue
            delivered += 1
            assert snapshot.timers is not None
            assert snapshot.ready == truth["ready"]
            assert snapshot.timers.overdue == truth["overdue"]
        assert delivered == 10


@pytest.mark.parametrize(("python", "more"), BOTH)
def test_a_loop_at_full_speed_breaks_nothing(python: Python, more: tuple[str, ...]) -> None:
    with started(python, LOOPS, "busy", *more) as process:
        truth = process.truth
        reader = Reader(process.pid)
        loop = next(loop for loop in reader.loops() if loop.running_tid == truth["tid"])
        before = reader.service(loop)
        served = 0
        for _ in range(20):
            began_s = time.perf_counter()
            with contextlib.suppress(Unreadable):
                reader.snapshot(loop)
            reader.whole_snapshot(loop, tries=1)
            # generous: the machine may be busy, a walk without bounds would take far longer
            assert time.perf_counter() - began_s < 2
            now = reader.service(loop)
            count = now.served_since(before)
            assert count is not None
            served += count
            before = now
        assert served > 300


@pytest.mark.parametrize(("python", "more"), BOTH)
def test_between_bursts_every_snapshot_is_right(python: Python, more: tuple[str, ...]) -> None:
    with started(python, LOOPS, "gentle", *more) as process:
        truth = process.truth
        reader = Reader(process.pid)
        loop = next(loop for loop in reader.loops() if loop.running_tid == truth["tid"])
        right = 0
        for _ in range(15):
            snapshot = reader.whole_snapshot(loop, tries=5, names=2)
            if snapshot is None:
                continue
            # It stands in its own poll, and did so all the while: a busy machine may stop it anywhere.
            if polls(loop.running_tid) and snapshot.service == reader.service(loop):
                assert snapshot.ready == 0
                right += 1
        assert right >= 5


@pytest.mark.parametrize(("python", "more"), BOTH)
def test_idle_loop(python: Python, more: tuple[str, ...]) -> None:
    with started(python, LOOPS, "idle", *more) as process:
        truth = process.truth
        reader = Reader(process.pid)
        loop = only_loop(reader)
        assert loop.pending == truth["pending"]
        snapshot = sure_snapshot(reader, loop)
        assert snapshot.ready == 0
        assert snapshot.timers is not None
        assert (snapshot.timers.overdue, snapshot.timers.oldest_due_s) == (0, None)
        assert snapshot.timers.next_due_s is not None


@pytest.mark.alone
@pytest.mark.parametrize(("python", "more"), FEW)
def test_many_tasks_in_bounded_time(python: Python, more: tuple[str, ...]) -> None:
    with started(python, LOOPS, "many", *more, "1000") as process:
        truth = process.truth
        reader = Reader(process.pid)
        loop = only_loop(reader)
        assert loop.pending == truth["pending"]
        taken = [sure_snapshot(reader, loop) for _ in range(5)]
        for snapshot in taken:
            assert snapshot.timers is not None
            assert snapshot.timers.overdue == truth["overdue"]
        # about 6 ms on an idle machine
        assert min(snapshot.cost_s for snapshot in taken) < 0.06


@pytest.mark.parametrize("python", ASYNCIO)
def test_a_loop_that_was_seen_running_keeps_its_owner(python: Python) -> None:
    with started(python, LOOPS, "history") as process:
        reader = Reader(process.pid)
        running = only_loop(reader)
        process.tell("\n")
        assert process.line() == {"parked": True}
        parked = only_loop(reader)
        assert parked.address == running.address
        assert (parked.running, parked.owner_tid, parked.owner_how) == (
            False,
            process.truth["tid"],
            "history",
        )
        # who sees it for the first time now cannot tell: three threads hold it
        assert only_loop(Reader(process.pid)).owner_tid is None
        assert only_loop(reader).owner_tid == process.truth["tid"]


def test_a_process_that_ends_is_gone() -> None:
    with started(HERE, LOOPS, "blocked") as process:
        reader = Reader(process.pid)
        loop = only_loop(reader)
        process.process.kill()
        process.process.wait()
        with pytest.raises(ProcessLookupError):
            reader.loops()
        with pytest.raises(ProcessLookupError):
            reader.service(loop)
        with pytest.raises(ProcessLookupError):
            reader.whole_snapshot(loop)
