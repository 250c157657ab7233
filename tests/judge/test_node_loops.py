"""Loops of Node.js: what starves them, how that is named, and the pools that are silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.examples.build import (
    at,
    collected,
    opened,
    process,
    ready,
    recording,
    sock,
    stack,
    states,
    unread,
    worker,
)
from waitspy.judge.analysis import analyse
from waitspy.model.epolls import EpollEvent, UnreadSocket
from waitspy.model.judged import Analysis, Finding
from waitspy.model.loops import LateTimer, LoopEvent, LoopEvents, LoopInfo, LoopWork
from waitspy.model.pools import PoolEvent, PoolInfo, PoolKind, PoolWaits
from waitspy.model.recorded import HeldUp, WorkerRecord
from waitspy.model.stacks import Frame, Stack
from waitspy.model.threads import KernelState, KernelStates

MAIN, OF_POOL, LIBUV_POOL = 100, 101, 102
END = 4_000
ATOMICS = "futex 12345"
ORACLES = {"threads": "ok", "epoll": "ok", "libuv": "ok", "backlog": "ok"}
LOOPS = (
    LoopEvent(at(0), 0x10, facts=LoopInfo("libuv", 14, MAIN, "running", False)),
    LoopEvent(at(0), 0x10, service=(0, 0)),
    LoopEvent(at(0), 0x20, facts=LoopInfo("libuv", 20, OF_POOL, "running", False)),
    LoopEvent(at(0), 0x20, service=(0, 0)),
)
PISCINA = stack(
    "onMessage@/app/node_modules/piscina/dist/worker.js:142"
    " > atomicsWaitLoop@/app/node_modules/piscina/dist/worker.js:102"
)
OWN = stack("processTimers@node:internal/timers:512 > flush@/app/worker.js:9")


def node(
    waits: Sequence[KernelState],
    epolls: Sequence[EpollEvent] = (),
    loops: Sequence[LoopEvent] = (),
    shown: Stack | None = None,
) -> WorkerRecord:
    """A main thread that polls, a thread of libuv's that sleeps, and a worker thread."""
    record = worker(
        MAIN,
        shown={} if shown is None else {OF_POOL: [(0, END, shown)]},
        kernel={
            MAIN: states((0, "epoll_wait 14")),
            OF_POOL: waits,
            LIBUV_POOL: states((0, "futex 777")),
        },
        epolls=[opened(0, 14, 1), opened(0, 20, 2), *epolls],
    )
    return replace(
        record,
        worker=process(MAIN, command="node main.js", python=None, node="20.20.2", framework="node"),
        oracles=ORACLES,
        runtime_span=None,
        loops=LoopEvents.of([*LOOPS, *loops]),
    )


def judged(record: WorkerRecord) -> Analysis:
    return analyse(recording(record, end_ms=END))


def finding(record: WorkerRecord) -> Finding:
    (found,) = judged(record).report.findings
    return found


def waiting(*sockets: UnreadSocket) -> list[EpollEvent]:
    """Ready from half a second on, and these sockets at each look."""
    return [ready(500, 20), *(unread(at_ms, 20, *sockets) for at_ms in range(550, END, 100))]


REPLY = sock(7, read=0)


def test_a_worker_parked_in_a_futex_while_a_reply_waits_is_a_parked_loop() -> None:
    found = finding(node(states((0, ATOMICS)), waiting(REPLY)))
    assert (found.kind.name, found.verdict, found.threads) == (
        "parked-loop",
        "starving",
        (OF_POOL,),
    )
    assert found.starved_s == pytest.approx(3.5)
    assert (found.wait.kind, found.wait.syscall, found.blames, found.stack) == (
        *("lock", "futex"),
        *((), ()),
    )
    assert "--inspect" in found.remedy


def test_a_read_on_a_loops_thread_is_a_blocked_loop_of_which_no_more_is_known() -> None:
    found = finding(node(states((0, "read 30")), waiting(REPLY)))
    assert (found.kind.name, found.wait.syscall) == ("blocked-loop", "read")
    assert found.blame is None


def test_a_loop_that_computes_and_does_not_turn_is_busy() -> None:
    found = finding(node(states((0, "run"), (END, "run")), waiting(REPLY)))
    assert found.kind.name == "busy-loop"


def test_a_loop_is_not_starved_by_the_program_while_we_hold_up_its_thread() -> None:
    record = node(states((0, "run"), (END, "run")), waiting(REPLY))
    ours = (HeldUp(OF_POOL, at(480), at(3_980)), HeldUp(MAIN, at(0), at(END)))
    assert not judged(replace(record, held_up=ours)).report.findings
    some = HeldUp(OF_POOL, at(480), at(2_000))
    assert finding(replace(record, held_up=(some,))).starved_s == pytest.approx(2.0)
    assert finding(replace(record, held_up=ours[1:])).starved_s == pytest.approx(3.5)


def test_a_loop_that_turns_all_the_time_is_not_busy() -> None:
    turns = [
        LoopEvent(at(t), 0x20, service=(0, 2 * n + 2)) for n, t in enumerate(range(0, END, 50))
    ]
    assert not judged(node(states((0, "run")), waiting(sock(7)), turns)).report.findings


@pytest.mark.parametrize("sockets", [(), (sock(7, 0, kind="eof"),)])
def test_a_wake_up_that_was_left_in_the_epoll_of_a_parked_worker_is_nothing(
    sockets: tuple[UnreadSocket, ...],
) -> None:
    report = judged(node(states((0, ATOMICS)), waiting(*sockets))).report
    assert not report.findings
    assert report.watched is not None
    assert report.watched.loops == 2


def test_an_overdue_timer_starves_a_loop_that_was_parked_before_we_came() -> None:
    late = LateTimer(at(-700), "setTimeout or setInterval", None, guards=False)
    work = LoopEvent(at(60), 0x20, work=LoopWork(0, (), 1, (late,)))
    found = finding(node(states((0, ATOMICS)), loops=[work]))
    assert (found.kind.name, found.starved_s) == ("parked-loop", 4.0)
    assert [(v.kind, v.count) for v in found.victims] == [("timer", 1)]
    assert found.episodes[0].evidence == ("libuv", "epoll", "threads")


def test_the_poll_of_a_thread_that_is_no_loop_of_node_is_nothing() -> None:
    nested = [opened(0, 33, 3), ready(500, 33), unread(600, 33, REPLY), unread(900, 33, REPLY)]
    record = node(states((0, "epoll_wait 20")), nested)
    record.states[LIBUV_POOL] = states((0, "epoll_wait 33"), (400, "read 30"))  # type: ignore[index]
    assert not judged(record).report.findings


def test_a_nested_poll_of_spawn_sync_blocks_the_loop_around_it() -> None:
    nested = [opened(0, 33, 3)]
    found = finding(node(states((0, "epoll_wait 33")), [*nested, *waiting(REPLY)]))
    assert found.kind.name == "blocked-loop"
    assert (found.wait.kind, found.wait.syscall) == ("unknown", "epoll_wait"), "no socket is known"


def test_a_pools_own_wait_parks_and_the_programs_own_wait_blocks() -> None:
    of_pool = finding(node(states((0, ATOMICS)), waiting(REPLY), shown=PISCINA))
    assert of_pool.kind.name == "parked-loop"
    assert of_pool.blame is not None
    assert of_pool.blame.function == "atomicsWaitLoop"
    assert "piscina's idle workers" in of_pool.remedy
    own = finding(node(states((0, ATOMICS)), waiting(REPLY), shown=OWN))
    assert own.kind.name == "blocked-loop"
    assert own.blame is not None
    assert (own.blame.function, own.blame.line) == ("flush", 9)
    assert "Atomics.waitAsync" in own.remedy


def test_the_programs_own_code_is_blamed_before_packages_and_node_itself() -> None:
    shown = stack(
        "emit@node:events:518 > handle@/app/server.js:4"
        " > run@/app/node_modules/cross-spawn/index.js:7 > spawnSync@node:child_process:832"
        " > spawn@node:native:1"
    )
    nested = [opened(0, 33, 3), *waiting(REPLY)]
    found = finding(node(states((0, "epoll_wait 33")), nested, shown=shown))
    assert (found.kind.name, found.wait.kind, found.wait.call) == (
        *("blocked-loop", "subprocess"),
        "child_process.spawnSync",
    )
    assert found.blame is not None
    assert (found.blame.function, found.blame.line) == ("handle", 4)
    assert "instead of spawnSync" in found.remedy
    without = tuple(frame for frame in shown if frame.function != "handle")
    found = finding(node(states((0, "epoll_wait 33")), nested, shown=without))
    assert found.blame is not None
    assert found.blame.function == "run"


def test_a_busy_loop_that_mostly_collects_is_a_pause_of_the_collector() -> None:
    runs = states((0, "run"), (END, "run"))
    collecting = stack("(garbage collector)@node:native:1")
    assert finding(node(runs, waiting(REPLY), shown=collecting)).kind.name == "gc-pause"
    own = stack("(garbage collector)@/app/worker.js:9")
    assert finding(node(runs, waiting(REPLY), shown=own)).kind.name == "busy-loop"


def test_a_collection_is_told_also_where_those_that_help_with_it_take_the_cpu() -> None:
    def of(helper: KernelStates) -> WorkerRecord:
        shown = stack("(garbage collector)@node:native:1")
        record = node(denied(), waiting(REPLY), shown=shown)
        return replace(record, states={**record.states, LIBUV_POOL: helper})

    ran = KernelStates.of(
        [KernelState(at(0), "R", ran_ns=0), KernelState(at(END), "R", ran_ns=at(END))]
    )
    assert finding(of(ran)).kind.name == "gc-pause"
    assert finding(of(states((0, "futex 777")))).kind.name == "no-cpu"


def denied() -> KernelStates:
    """Runnable all the time, and on the CPU for a hundredth of it."""
    return KernelStates.of(
        KernelState(at(t), "R", ran_ns=t * 10_000, queued_ns=t * 990_000)
        for t in range(0, END + 1, 10)
    )


def test_what_v8_does_itself_is_nobodys_fault() -> None:
    shown = stack("(program)@node:native:1")
    found = finding(node(states((0, "run"), (END, "run")), waiting(REPLY), shown=shown))
    assert found.kind.name == "busy-loop"
    assert found.blame is not None
    assert (found.blame.function, found.blame.file) == ("native code", None)


def test_what_a_thread_waits_in_is_known_before_its_first_stack() -> None:
    waits = states((0, ATOMICS), (900, "epoll_wait 20"))
    later = worker(MAIN, shown={OF_POOL: [(1_000, END, OWN)]}).segments
    looks = [ready(100, 20), unread(200, 20, REPLY), collected(900, 20)]
    found = finding(replace(node(waits, looks), segments=later))
    assert (found.kind.name, found.wait.syscall, found.blame) == ("parked-loop", "futex", None)


@pytest.mark.parametrize(("from_ms", "blamed"), [(2_500, "flush"), (3_900, "native code")])
def test_functions_are_blamed_for_what_v8_does_in_between(from_ms: int, blamed: str) -> None:
    native = stack("(program)@node:native:1")
    record = replace(
        node(states((0, "run"), (END, "run")), waiting(REPLY)),
        segments=worker(
            MAIN, shown={OF_POOL: [(0, from_ms, native), (from_ms, END, OWN)]}
        ).segments,
    )
    found = finding(record)
    assert found.blame is not None
    assert found.blame.function == blamed
    assert found.stack == (OWN if blamed == "flush" else native)


@pytest.mark.parametrize(
    ("read_by", "kind"), [(2, "overloaded-loop"), (0, "busy-loop")], ids=["served", "stands"]
)
def test_a_turn_in_which_many_are_served_is_no_single_callback(read_by: int, kind: str) -> None:
    looks = [
        unread(at_ms, 20, *(sock(inode, read=read_by * (at_ms + inode)) for inode in range(7, 17)))
        for at_ms in range(550, END, 100)
    ]
    turns = [LoopEvent(at(t), 0x20, service=(0, 2 * n)) for n, t in enumerate(range(0, END, 300))]
    record = node(states((0, "run"), (END, "run")), [ready(500, 20), *looks], turns, shown=OWN)
    found = finding(record)
    assert found.kind.name == kind
    assert found.blame is not None
    assert found.blame.function == "flush"


IN_LINE = Frame("flush", "/app/worker.js", 12, 9)


IN_FUNCTION = (*OWN[:-1], Frame("flush", "/app/worker.js", 9, 9))


def spots(found: Finding) -> list[tuple[str, int | None, bool, float]]:
    return [(one.function, one.line, one.begins, round(one.share, 2)) for one in found.blames]


def test_who_waits_is_told_with_its_line_also_where_it_was_woken_in_between() -> None:
    woken = states((0, ATOMICS), (2_000, "run"), (2_400, ATOMICS))
    found = finding(node(woken, waiting(REPLY), shown=(*OWN[:-1], IN_LINE)))
    assert spots(found) == [("flush", 12, False, 1.0)]
    assert found.stack[-1].line == 12


def test_who_computes_is_told_by_its_function_alone() -> None:
    """V8 may have compiled another function into it, and tells that one's lines."""
    runs = states((0, "run"), (END, "run"))
    found = finding(node(runs, waiting(REPLY), shown=(*OWN[:-1], IN_LINE)))
    assert (found.kind.name, spots(found)) == ("busy-loop", [("flush", 9, True, 1.0)])


def test_who_calls_native_code_that_computes_is_told_with_its_line() -> None:
    shown = (*OWN[:-1], IN_LINE, *stack("hashSync@node:native:1"))
    found = finding(node(states((0, "run"), (END, "run")), waiting(REPLY), shown=shown))
    assert (found.kind.name, spots(found)) == ("busy-loop", [("flush", 12, False, 1.0)])


def test_waits_of_one_function_are_one_finding_whether_the_line_is_known_or_not() -> None:
    shown = [(0, 1_500, (*OWN[:-1], IN_LINE)), (2_000, END, IN_FUNCTION)]
    waits = states((0, ATOMICS), (1_500, "epoll_wait 20"), (2_000, ATOMICS))
    looks = [ready(500, 20), unread(550, 20, REPLY), collected(1_500, 20)]
    looks += [ready(2_100, 20), unread(2_150, 20, REPLY)]
    record = replace(node(waits, looks), segments=worker(MAIN, shown={OF_POOL: shown}).segments)
    found = finding(record)
    assert found.occurrences == 2
    assert spots(found) == [("flush", 9, True, 0.66), ("flush", 12, False, 0.34)]


POOL_TIDS, COND = (111, 112), 777
POOL = (
    PoolEvent(at(0), 0x99, info=PoolInfo("group", None, PoolKind.LIBUV, None, POOL_TIDS, (COND,))),
    PoolEvent(at(0), 0x99, queue=(0, 0)),
    PoolEvent(at(500), 0x99, queue=(2, 2)),
    PoolEvent(at(600), 0x99, waits=PoolWaits((("a call of fs", None),) * 2, ())),
    PoolEvent(at(3_000), 0x99, queue=(0, 4)),
)


def with_pool(*waits: str) -> WorkerRecord:
    """A healthy loop, and two threads of libuv's pool: what they wait in from 0.4 s to 3 s."""
    record = node(states((0, "epoll_wait 20")))
    mine = {
        tid: states((0, f"futex {COND}"), (400, wait), (3_000, f"futex {COND}"))
        for tid, wait in zip(POOL_TIDS, waits, strict=True)
    }
    oracles = {**ORACLES, "pools": "ok"}
    return replace(record, states={**record.states, **mine}, pools=POOL, oracles=oracles)


def test_a_pool_of_libuv_whose_threads_all_stand_in_calls_is_exhausted() -> None:
    found = finding(with_pool("read 30", "poll"))
    assert (found.kind.name, found.verdict, found.blame) == ("exhausted-pool", "starving", None)
    assert found.starved_s == pytest.approx(2.5)
    assert found.detail == "libuv's thread pool: all 2 threads"
    assert [(v.kind, v.name, v.count) for v in found.victims] == [("work-item", "a call of fs", 2)]
    assert "UV_THREADPOOL_SIZE" in found.remedy


def of_lookups(record: WorkerRecord) -> WorkerRecord:
    """The same where one of these threads may look up names at a time, for which others wait."""
    info = PoolInfo("group", None, PoolKind.LOOKUPS, 1, POOL_TIDS, (COND,))
    waits = PoolEvent(at(600), 0x99, waits=PoolWaits((("dns.lookup", None),) * 2, ()))
    return replace(record, pools=(PoolEvent(at(0), 0x99, info=info), *POOL[1:3], waits, POOL[4]))


@pytest.mark.parametrize("other", ["read 30", f"futex {COND}"], ids=["reads", "idles"])
def test_lookups_of_libuv_that_wait_for_others_are_exhausted_whatever_else_its_threads_do(
    other: str,
) -> None:
    found = finding(of_lookups(with_pool("poll", other)))
    assert (found.kind.name, found.verdict, found.blame) == ("exhausted-pool", "starving", None)
    assert found.starved_s == pytest.approx(2.5)
    assert found.detail == "lookups of names in libuv's thread pool: no more than 1 at a time"
    assert [(v.name, v.count) for v in found.victims] == [("dns.lookup", 2)]
    assert "dns.resolve" in found.remedy


def test_lookups_are_not_judged_where_it_is_not_known_who_does_them() -> None:
    assert not judged(of_lookups(with_pool(f"futex {COND}", f"futex {COND}"))).report.findings
    seen = judged(of_lookups(with_pool("poll", "read 30"))).report.watched
    assert seen is not None
    assert seen.pools == 0, "they are a part of libuv's pool"


@pytest.mark.parametrize("waits", [("read 30", f"futex {COND}"), (f"futex {COND}",) * 2])
def test_a_pool_of_libuv_with_a_thread_to_spare_starves_nothing(waits: tuple[str, ...]) -> None:
    assert not judged(with_pool(*waits)).report.findings
