"""What threads wait for, and who holds it, is what they say themselves."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.live.running import TARGETS, Target, futexes, target
from tests.pythons import marks
from tests.remote.interpreters import HERE, Python, found, with_modules
from tests.remote.memories import Wrong
from tests.remote.started import started
from waitspy.kernel import procfs
from waitspy.kernel.nettable import Ends
from waitspy.model.clock import NS
from waitspy.model.code_origin import base_name
from waitspy.model.connection_pools import PoolUse
from waitspy.model.wait_for import Holder, How, LentPool, TaskEdge, WaitEdge
from waitspy.remote.memory import Torn, Unavailable, Unreadable
from waitspy.remote.process_locks import SharedWait
from waitspy.remote.reader import Reader
from waitspy.remote.values import HeldByTasks
from waitspy.remote.wait_for import WaitLook

pytestmark = pytest.mark.ptrace


def told(waiting: WaitEdge | None, path: str) -> dict[str, Any] | None:
    if waiting is None:
        return None
    holders = sorted(waiting.holders, key=lambda holder: holder.tid)
    assert all(holder.at is None or holder.at.file == path for holder in holders)
    return {
        "kind": waiting.kind,
        "holders": [holder.tid for holder in holders],
        "lines": [holder.at.line if holder.at else None for holder in holders],
        "how": holders[0].how if holders else None,
    }


@pytest.mark.parametrize("python", found(), ids=str)
def test_who_waits_for_what_and_who_holds_it(python: Python) -> None:
    path = str(TARGETS / "holding_threads.py")
    with target([python.path, path], env=python.environment) as process:
        cases = process.ready["cases"]
        reader = Reader(process.pid)
        tids = [case["waits"] for case in cases.values()]
        look = reader.wait_for(tids, futexes(process.pid), {}, NS)
        seen = {one.tid: one for one in look.waiting}
    for case in cases.values():
        pairs = sorted(zip(case["holders"], case["lines"], strict=True))
        case["holders"], case["lines"] = [p[0] for p in pairs], [p[1] for p in pairs]
    truth = {
        name: {part: case[part] for part in ("kind", "holders", "lines", "how")}
        for name, case in cases.items()
    }
    assert {n: told(seen.get(c["waits"]), path) for n, c in cases.items()} == truth
    assert all(one.whole for one in seen.values())


@pytest.mark.parametrize(
    "python",
    [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()],
)
def test_locks_between_processes(python: Python) -> None:
    path = str(TARGETS / "process_locks.py")
    with target([python.path, path, "known"], env=python.environment) as process:
        holder, waiting = process.ready["holder"], process.ready["waiting"]
        held = Reader(holder).held_between()[::-1]  # the innermost block comes first
        assert [(one.tid, one.at.function) for one in held] == [(holder, "holding")] * 3
        assert len({one.place for one in held}) == 3
        assert [one.alone for one in held] == [True, True, False]
        for pid, lock in zip(waiting, held, strict=True):
            while not futexes(pid):  # it is about to wait
                time.sleep(0.01)
            reader = Reader(pid)
            look = reader.wait_for([pid], futexes(pid), {}, NS)
            assert [(one.tid, one.kind, one.holders) for one in look.waiting] == [(pid, "lock", ())]
            assert look.shared == {pid: SharedWait(lock.place, queued=1)}
            assert reader.held_between() == ()
        for kind, pids in process.ready["signals"].items():
            while not (waits := next((pid for pid in pids if pid in futexes(pid)), 0)):
                time.sleep(0.01)
            look = Reader(waits).wait_for([waits], futexes(waits), {}, NS)
            assert [(one.kind, one.holders) for one in look.waiting] == [(kind, ())]
            assert look.shared == {}


@pytest.mark.parametrize(
    "python",
    [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()],
)
def test_which_threads_use_a_descriptor_and_have_sent_something_before(python: Python) -> None:
    with target([python.path, str(TARGETS / "answering.py")], env=python.environment) as process:
        fd, ends = process.ready["fd"], Reader(process.pid).ends
        # the main thread has it in a variable, and begins the one that uses it now and then
        while len(users := {use.tid for use in ends.using([fd])}) < len([process.pid, "user"]):
            time.sleep(0.01)
        (user,) = users - {process.pid}
        while not ends.has_asked(user):
            time.sleep(0.01)
        assert not ends.has_asked(process.pid)
        assert users < set(ends.threads())
        assert ends.using([fd + 1000]) == []
        with pytest.raises(Torn):
            ends.using([fd], 0)


@pytest.mark.parametrize("python", found(), ids=str)
def test_which_tasks_hold_what_others_wait_for(python: Python) -> None:
    path = str(TARGETS / "holding_tasks.py")
    with target([python.path, path], env=python.environment) as process:
        reader = Reader(process.pid)
        (look,) = reader.tasks_looks(set(), NS)
        assert look.looked == look.pending
        waited = {task.task for task in look.tasks}
        seen = reader.held_by_tasks(look.loop, look.tasks, waited, NS)
        again = reader.held_by_tasks(look.loop, look.tasks, waited, 0)
    assert seen is not None
    assert again is not None
    assert [(one.subject, one.waiters, one.holders, one.use) for one in again] == [
        (one.subject, one.waiters, one.holders, one.use) for one in seen
    ], "what stands still is not read again"
    assert all(at.file == path for one in seen for _, at, _ in one.holders)
    assert PoolUse("AsyncAdaptedQueuePool", 2, 2) in {one.use for one in seen}
    told = sorted(
        (one.kind, len(one.waiters), len(one.holders), one.holders[0][1].line if one.holders else 0)
        for one in seen
    )
    assert told == sorted(
        (case["kind"], case["waiters"], case["holders"], case["line"] or 0)
        for case in process.ready["cases"].values()
    )


@pytest.mark.parametrize(
    "python",
    [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()],
)
def test_what_nobody_but_those_who_wait_for_it_can_reach(python: Python) -> None:
    with target([python.path, TARGETS / "lost_waits.py"], env=python.environment) as process:
        truth = process.ready["truth"]
        reader = Reader(process.pid)
        (look,) = reader.tasks_looks(set(), NS)
        waited = {task.task for task in look.tasks}
        seen, again = (
            reader.lost_by_tasks(look.loop, look.tasks, waited, cpu_ns) for cpu_ns in (NS, 0)
        )
        functions = {
            task.task: [base_name(frame.function) for frame in reader.where(task)[0]]
            for task in look.tasks
        }
    assert again == seen, "what is lost stays so"
    kinds = {task: one.kind for one in seen for task in one.waiters}
    told = {
        name: kinds.get(task)
        for task, names in functions.items()
        for name in names[:1]
        if name in truth
    }
    assert told == truth
    assert kinds.keys() <= {task for task, names in functions.items() if names[0] in truth}
    assert [at.function for one in seen for at in one.ended] == ["takes_some"]


@pytest.mark.parametrize(
    "python",
    [
        pytest.param(python, id=str(python), marks=marks(python.version))
        for python in found()
        if int(python.version.split(".")[1]) >= 11
    ],
)
def test_what_nobody_but_threads_that_wait_for_it_can_reach(python: Python) -> None:
    path = TARGETS / "lost_thread_waits.py"
    with target([python.path, path], env=python.environment) as process:
        truth = {int(tid): (kind, name) for tid, (kind, name) in process.ready["truth"].items()}
        look = Reader(process.pid).wait_for(truth, futexes(process.pid), {}, NS)
    assert {one.tid: (one.kind, truth[one.tid][1]) for one in look.waiting} == truth


def held(reader: Reader) -> list[HeldByTasks]:
    """What tasks wait for at this time; all of them may have waited there before."""
    (look,) = reader.tasks_looks(set(), NS)
    seen = reader.held_by_tasks(look.loop, look.tasks, {task.task for task in look.tasks}, NS)
    return sorted(seen or (), key=lambda one: one.subject)


@pytest.mark.parametrize(
    "python",
    [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()],
)
def test_who_has_stayed_in_line_and_who_has_come_again(python: Python) -> None:
    with started(python, TARGETS / "moving_lines.py") as process:
        many, in_line = process.truth["lines"], process.truth["in_line"]
        reader = Reader(process.pid)
        first, again = held(reader), held(reader)
        assert [len(one.waiters) for one in first] == [in_line] * many
        assert [one.stayed for one in first] == [frozenset()] * many, "seen once"
        assert {
            (one.in_line, one.use and one.use.limit, one.use and one.use.lent)
            for one in first
            if one.kind == "connections"
        } == {(in_line, 1, 1)}
        assert [(one.stayed, one.left) for one in again] == [
            (frozenset(one.waiters), 0) for one in first
        ]
        process.tell("come\n")
        process.line()
        come = held(reader)
        assert [len(one.waiters) for one in come] == [1 + in_line] * many
        assert [(one.stayed, one.left) for one in come] == [(one.stayed, 0) for one in again]
        process.tell("hand\n")
        process.line()
        handed = held(reader)
    assert [(one.subject, {*one.waiters}) for one in handed] == [
        (one.subject, {*one.waiters}) for one in come
    ]
    assert [one.stayed for one in handed] == [frozenset()] * many
    assert all(one.left > in_line for one in handed)


def test_a_line_that_counts_nothing_tells_by_its_order() -> None:
    with started(HERE, TARGETS / "moving_lines.py", "ordered") as process:
        reader = Reader(process.pid)
        (first,), (again,) = held(reader), held(reader)
        assert (first.stayed, first.in_line) == (frozenset(), None)
        assert (again.stayed, again.left) == (frozenset(first.waiters), 0)
        process.tell("hand\n")
        process.line()
        (handed,) = held(reader)
    # the first one has come again, the second one has its turn, the third one still waits
    assert len(handed.waiters) == len(first.waiters) == 3
    assert handed.stayed is not None
    assert len(handed.stayed & {*first.waiters}) == len(handed.stayed) == 1
    assert handed.left == 2


@pytest.mark.parametrize(
    "python",
    [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()],
)
def test_who_makes_room_in_a_full_queue(python: Python) -> None:
    with started(python, TARGETS / "full_queues.py") as process:
        takes, reader = process.truth, Reader(process.pid)
        reader.wait_for(takes.values(), futexes(process.pid), {}, NS)
        process.tell("fill\n")
        waits = process.line()
        look = reader.wait_for(waits.values(), futexes(process.pid), {}, NS)
        late = Reader(process.pid)
        unseen = late.wait_for(waits.values(), futexes(process.pid), {}, NS)
        late.pools.groups(())
        told = late.wait_for(waits.values(), futexes(process.pid), {}, NS)
    assert {one.kind for one in (*look.waiting, *unseen.waiting)} == {"full-queue"}
    assert {one.tid: one.holders for one in look.waiting} == {
        tid: (Holder(takes[name], "takes" if name in {"attribute", "variable"} else "reach"),)
        for name, tid in waits.items()
    }
    assert not any(one.holders for one in unseen.waiting)
    holders = {one.tid: one.holders for one in told.waiting}
    assert all(holders[tid] == (Holder(takes[n], "reach"),) for n, tid in waits.items())


def taken(reader: Reader) -> dict[int, tuple[tuple[How, ...], tuple[str, ...]]]:
    """How it is known who takes from each full queue, and where those have ended that did."""
    (look,) = reader.tasks_looks(set(), NS)
    waited = {task.task for task in look.tasks}
    held = reader.held_by_tasks(look.loop, look.tasks, waited, NS)
    assert held is not None
    assert {one.kind for one in held} == {"full-queue"}
    return {
        one.subject: (
            tuple(how for *_, how in one.holders),
            tuple(at.function for at in one.ended),
        )
        for one in held
    }


@pytest.mark.parametrize(
    "python",
    [pytest.param(python, id=str(python), marks=marks(python.version)) for python in found()],
)
def test_which_tasks_make_room_in_a_full_queue(python: Python) -> None:
    with started(python, TARGETS / "full_task_queues.py") as process:
        names, reader = {at: name for name, at in process.truth.items()}, Reader(process.pid)
        reader.tasks_looks(set(), NS)
        process.tell("fill\n")
        process.line()
        seen = {names[queue]: how for queue, how in taken(reader).items()}
        unseen = {names[queue]: how for queue, how in taken(Reader(process.pid)).items()}
    likely, nobody = (("reach",), ()), ((), ())
    assert seen == {
        "variable": (("takes",), ()), "attribute": (("takes",), ()), "name": likely,
        "own task": likely, "died": ((), ("died",)), "nobody": nobody,
    }  # fmt: skip
    assert unseen == {
        "variable": likely, "attribute": likely, "name": nobody,
        "own task": likely, "died": nobody, "nobody": nobody,
    }  # fmt: skip


def crossed(look: WaitLook, tid: int, path: str) -> dict[str, Any] | None:
    """What is known of a thread, in the words of the target."""
    waiting = next((one for one in look.waiting if one.tid == tid), None)
    if waiting is None:
        return None
    tasks = {one.task: one for one in look.tasks}
    first = waiting.holders[0] if waiting.holders else None
    assert first is None or first.at is None or first.at.file == path
    held_by = [tasks[holder.task] for holder in waiting.holders if holder.task is not None]
    of = {task.task for task in held_by}
    after = held_by[0] if held_by else None
    holders = after.holders if after is not None else ()

    def name(task: TaskEdge) -> str:
        return task.stack[0].function.rpartition(".")[2]

    thens: list[Any] = [name(tasks[one.task]) if one.task else one.tid for one in holders]
    thens.sort()

    return {
        "kind": waiting.kind,
        "how": first and first.how,
        "tasks": [name(task) for task in held_by],
        "line": first and first.at and first.at.line,
        "thread": next((h.tid for h in waiting.holders if h.task is None), None),
        "loop": after.tid if after is not None else None,
        "peer": next(
            (
                ends.peer_port
                for at, ends in look.streams.items()
                if at in of and isinstance(ends, Ends)
            ),
            None,
        ),
        "then": [after.kind, thens[0]] if after is not None and thens else None,
        "count": len(thens),
    }


def assert_crossed(process: Target, path: str) -> Reader:
    """What is read of a target is what that one says."""
    reader = Reader(process.pid)
    cases = process.ready["cases"]
    blocked = futexes(process.pid)
    tids = [case["waits"] for case in cases.values()]
    look = reader.wait_for(tids, blocked, {}, NS)
    assert reader.wait_for(tids, blocked, {}, NS) == look
    assert all(one.whole for one in look.waiting)
    truth = {
        name: {**case, "loop": case["loop"] if case["tasks"] else None}
        for name, case in cases.items()
    }
    for case in truth.values():
        tid = case.pop("waits")
        case["seen"] = crossed(look, tid, path)
    assert {name: case.pop("seen") for name, case in truth.items()} == truth
    return reader


@pytest.mark.parametrize("python", found(), ids=str)
def test_threads_and_tasks_that_wait_for_each_other(python: Python) -> None:
    path = str(TARGETS / "crossed_waits.py")
    with target([python.path, path], env=python.environment) as process:
        reader = assert_crossed(process, path)
        tasks = [task for each in reader.tasks_looks(set(), NS) for task in each.tasks]
        at_last = [reader.where_at_last(task)[1] for task in tasks]
    through = [stack for stack in at_last if "inner" in {base_name(f.function) for f in stack[1:]}]
    assert len(through) == sum(
        case["count"] == 1 and bool(case["tasks"]) and case["then"][0] == "task"
        for case in process.ready["cases"].values()
    )
    assert all(base_name(stack[-1].function) == "sleep" for stack in through)


@pytest.mark.parametrize(
    "python",
    [pytest.param(one, id=str(one), marks=marks(one.version)) for one in with_modules("asgiref")],
)
def test_threads_and_tasks_that_wait_for_each_other_by_asgiref(python: Python) -> None:
    path = str(TARGETS / "asgiref_waits.py")
    with target([python.path, path], env=python.environment) as process:
        assert_crossed(process, path)


def looks_with_errors(script: str, share: float) -> Iterator[WaitLook]:
    """What is read of a target in whose memory that share of the words is wrong; each in time."""
    with target([sys.executable, TARGETS / script]) as process:
        blocked = futexes(process.pid)
        for seed in range(8):
            memory = Wrong(process.pid, seed, 0.0)
            reader = Reader(process.pid, memory)
            memory.share = share
            began_s = time.monotonic()
            with contextlib.suppress(Unreadable, Unavailable):
                yield reader.wait_for(blocked, blocked, {}, NS)
            assert time.monotonic() - began_s < 10


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5])
def test_tasks_that_are_read_with_errors(share: float) -> None:
    for look in looks_with_errors("crossed_waits.py", share):
        written = msgspec.json.encode((look.waiting, look.tasks))
        msgspec.json.decode(written, type=tuple[tuple[WaitEdge, ...], tuple[TaskEdge, ...]])


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
def test_references_that_are_read_with_errors(share: float) -> None:
    for look in looks_with_errors("lost_thread_waits.py", share):
        written = msgspec.json.encode(look.waiting)
        msgspec.json.decode(written, type=tuple[WaitEdge, ...])
    with target([sys.executable, TARGETS / "lost_waits.py"]) as process:
        for seed in range(8):
            memory = Wrong(process.pid, seed, 0.0)
            reader = Reader(process.pid, memory)
            (look_at,) = reader.tasks_looks(set(), NS)
            waited = {task.task for task in look_at.tasks}
            memory.share = share
            began_s = time.monotonic()
            with contextlib.suppress(Unreadable, Unavailable):
                for one in reader.lost_by_tasks(look_at.loop, look_at.tasks, waited, NS):
                    assert {*one.waiters} <= waited
            assert time.monotonic() - began_s < 10


def test_a_task_that_has_gone_on_meanwhile_waits_for_no_pool() -> None:
    with target([sys.executable, TARGETS / "holding_tasks.py"]) as process:
        reader = Reader(process.pid)
        (look,) = reader.tasks_looks(set(), NS)
        waited = {task.task for task in look.tasks}
        (pool,) = (
            one
            for one in reader.held_by_tasks(look.loop, look.tasks, waited, NS) or ()
            if one.use is not None and one.use.name == "BlockingConnectionPool"
        )
        waiter = next(task for task in look.tasks if task.task in pool.waiters)
        other = next(task for task in look.tasks if task.task in pool.holders[0])
        coroutines = [step[0] for step in other.steps]
        moved = tuple(
            (coroutines[n % len(coroutines)], code, instruction)
            for n, (_, code, instruction) in enumerate(waiter.steps)
        )
        gone = waiter._replace(task=other.task, steps=moved)
        seen = reader.held_by_tasks(look.loop, [waiter, gone], {waiter.task, gone.task}, NS)
    assert seen is not None
    assert [(one.subject, one.waiters) for one in seen] == [(pool.subject, (waiter.task,))]


@pytest.mark.parametrize("python", found(), ids=str)
def test_which_threads_have_connections_that_others_wait_for(python: Python) -> None:
    path = str(TARGETS / "lent_connections.py")
    with target([python.path, path], env=python.environment) as process:
        truth = process.ready["pools"]
        reader = Reader(process.pid)
        blocked = futexes(process.pid)
        still = dict.fromkeys(procfs.threads(process.pid), 1)
        begun = reader.wait_for(blocked, blocked, still, 0)
        look = reader.wait_for(blocked, blocked, still, NS)
        again = reader.wait_for(blocked, blocked, still, 0)
    assert not any(pool.whole for pool in begun.pools), "no time was left"
    assert again == look, "what stands still is not read again"
    assert all(pool.whole for pool in look.pools)
    assert len(look.pools) == len(truth)
    for pool in look.pools:
        assert pool.use is not None
        told = truth[pool.use.name]
        waiting = [e for e in look.waiting if e.subject == pool.subject]
        assert {edge.kind for edge in waiting} == {"connections"}
        assert sorted(edge.tid for edge in waiting) == sorted(told["waits"])
        assert (pool.use.limit, pool.use.lent) == (told["limit"], told["limit"])
        assert all(holder.at is None or holder.at.file == path for holder in pool.holders)
        assert sorted((h.tid, h.how, h.at and h.at.line) for h in pool.holders) == sorted(
            map(tuple, told["holders"])
        )


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5])
def test_connections_that_are_read_with_errors(share: float) -> None:
    for look in looks_with_errors("lent_connections.py", share):
        msgspec.json.decode(msgspec.json.encode(look.pools), type=tuple[LentPool, ...])
