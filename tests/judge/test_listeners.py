"""Listening sockets: connections that waited while all who accept were blocked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.examples.build import (
    ARCH,
    activities,
    activity,
    at,
    ms,
    sock,
    stack,
    states,
    unread,
    worker,
)
from waitspy.judge import listeners
from waitspy.judge.episode import Starvation
from waitspy.model.judged import Unaccepted
from waitspy.model.listeners import ListenerEvent
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.requests import RequestsEvent
from waitspy.model.stacks import Stack
from waitspy.model.threads import KernelState
from waitspy.model.waits import Wait, WaitKind

INODE = 500
FD = 3
HANDLER = stack("<module>@/app/main.py:9 > serve@/app/server.py:20 > view@/app/views.py:7")
SLEEPS = Wait(WaitKind.SLEEP, "time.sleep", "clock_nanosleep")
RUNS = Wait(WaitKind.ON_CPU)


def listens(*waiting: tuple[float, int], accepted: int | None = 1) -> list[ListenerEvent]:
    """The rows of a process that holds the socket (milliseconds, connections)."""
    rows = [ListenerEvent(at(0), INODE, name="127.0.0.1:80", fd=FD)]
    rows += [ListenerEvent(at(when), INODE, waiting=count) for when, count in waiting]
    if accepted is not None:
        rows.append(ListenerEvent(at(200), INODE, accepted=accepted))
    return rows


def process(
    pid: int,
    events: Sequence[ListenerEvent],
    kernel: Sequence[KernelState],
    ppid: int = 50,
    **more: Any,
) -> WorkerRecord:
    made = worker(pid, kernel={pid: kernel}, listeners=tuple(events), **more)
    return replace(made, worker=replace(made.worker, ppid=ppid))


def found(
    *workers: WorkerRecord,
    wait: Wait = SLEEPS,
    shown: Stack = HANDLER,
    end: float = 3_000,
    watched: Collection[int] = (),
) -> list[Starvation]:
    done = {
        w.thread(tid): activities(activity(0, end, shown, wait))
        for w in workers
        for tid in w.states
    }
    return [
        starved
        for listener in listeners.find(workers, ARCH, set(watched))
        for starved in listeners.starvations(listener, workers, done, at(end), 100_000_000)
    ]


BLOCKED = states((0, "clock_nanosleep 1"))
WAITING = listens((100, 2), (400, 5), (900, 0))


def test_connections_that_wait_while_the_only_worker_is_blocked() -> None:
    (one,) = found(process(100, WAITING, BLOCKED))
    assert (one.kind.name, one.verdict) == ("accept-backlog", "starving")
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 900)
    assert one.waiting == 5
    assert sum(item.count for item in one.items) == 5
    assert one.detail == "connections to 127.0.0.1:80: its only worker blocked"


def test_every_worker_must_be_blocked() -> None:
    busy = states(*[(n * 50.0, "clock_nanosleep 1") for n in range(60)])
    first, second = process(100, WAITING, BLOCKED), process(101, listens(), BLOCKED)
    (one,) = found(first, second)
    assert one.threads == (ThreadKey(100, 100), ThreadKey(101, 101))
    assert one.detail == "connections to 127.0.0.1:80: all 2 workers blocked"
    assert found(first, process(101, listens(), busy)) == []


def test_a_sibling_counts_even_if_it_was_never_seen_to_hold_a_connection() -> None:
    busy = states(*[(n * 50.0, "clock_nanosleep 1") for n in range(60)])
    sibling = process(101, listens(accepted=0), busy)
    assert found(process(100, WAITING, BLOCKED), sibling) == []


def test_the_master_and_what_a_worker_has_forked_do_not_count() -> None:
    busy = states(*[(n * 50.0, "clock_nanosleep 1") for n in range(60)])
    master = process(50, listens(accepted=0), busy, ppid=1)
    child = process(150, listens(), busy, ppid=100)
    (one,) = found(master, process(100, WAITING, BLOCKED), child)
    assert one.threads == (ThreadKey(100, 100),)


def test_a_socket_that_nobody_accepts_from_is_nobodys() -> None:
    assert found(process(100, listens((100, 2), accepted=None), BLOCKED)) == []
    assert found(process(100, listens((100, 2), accepted=0), BLOCKED)) == []


def test_who_was_seen_to_wait_for_connections_accepts_though_none_was_seen_open() -> None:
    kernel = states((0, f"accept4 {FD:#x}"), (50, "clock_nanosleep 1"))
    rows = listens((100, 2), (900, 0), accepted=0)
    (one,) = found(process(100, rows, kernel))
    assert (one.kind.name, ms(one.start_ns), ms(one.end_ns)) == ("accept-backlog", 100, 900)
    elsewhere = states((0, "accept4 0x9"), (50, "clock_nanosleep 1"))
    assert found(process(100, rows, elsewhere)) == []


def test_a_descriptor_is_a_sockets_own_only_as_long_as_that_is_open() -> None:
    kernel = states((0, "clock_nanosleep 1"), (940, f"accept4 {FD:#x}"), (1_500, "futex 1"))
    closed = ListenerEvent(at(950), INODE, closed=True)
    other = ListenerEvent(at(950), INODE + 1, name="127.0.0.1:81", fd=FD)
    rows = [*listens((100, 2), (900, 0), accepted=0), closed, other]
    assert found(process(100, rows, kernel)) == []
    assert len(found(process(100, rows[:-2], kernel))) == 1


def test_the_thread_that_accepts_is_the_one_that_counts() -> None:
    accepts = states((0, f"accept4 {FD}"), (50, "clock_nanosleep 1"))
    record = worker(kernel={100: BLOCKED, 101: accepts}, listeners=tuple(WAITING))
    (one,) = found(record)
    assert one.threads == (ThreadKey(100, 101),)
    assert ms(one.start_ns) == 100


def test_a_thread_that_is_in_code_that_accepts_is_told_from_a_main_thread_that_polls() -> None:
    """What was accepted tells nothing of a thread that runs at all times."""
    polls = states(*[(n * 50.0, "clock_nanosleep 1") for n in range(60)])
    taken = listens((100, 2), (500, 1), (900, 0))
    kernel = {100: polls, 101: states((0, "futex 1"), (500, "run"), (501, "futex 1"))}
    assert found(worker(kernel=kernel, listeners=tuple(taken))) == []
    looked = ListenerEvent(at(300), INODE, accepted=1, acceptors=(101,))
    other = ListenerEvent(at(300), INODE + 1, accepted=1, acceptors=(100,))
    (one,) = found(worker(kernel=kernel, listeners=(*taken, looked, other)))
    assert one.threads == (ThreadKey(100, 101),)
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 900)


def test_a_thread_accepts_nothing_before_it_is_there() -> None:
    """As the first one of a program that is called by exec, seen under the pid of the one before."""
    blocked = states((0, f"accept {FD}"), (50, "clock_nanosleep 1"), (1_000, f"accept {FD}"))
    later = states((950, f"accept {FD}"), (1_050, "clock_nanosleep 1"))
    made = worker(
        100, kernel={100: states((0, "futex 7")), 101: blocked, 102: later}, listeners=WAITING
    )
    (one,) = found(made)
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 900)


def test_a_listener_that_a_loop_watches_is_judged_with_the_loop() -> None:
    seen = [unread(200, 5, sock(INODE, kind="listener"))]
    record = process(100, WAITING, BLOCKED, epolls=seen)
    assert found(record, watched=[INODE]) == []
    assert len(found(record)) == 1  # behind an epoll that nobody serves it is nobody else's


def test_a_listener_is_shared_by_processes_or_by_epolls() -> None:
    first, second = process(100, WAITING, BLOCKED), process(101, listens(), BLOCKED)
    assert listeners.shared([first]) == frozenset()
    assert listeners.shared([first, second]) == {INODE}
    seen = [unread(200, epfd, sock(INODE, kind="listener"), sock(501)) for epfd in (5, 6)]
    assert listeners.shared([process(100, WAITING, BLOCKED, epolls=seen[:1])]) == frozenset()
    assert listeners.shared([process(100, WAITING, BLOCKED, epolls=seen)]) == {INODE}


def test_short_waits_and_running_acceptors_are_none() -> None:
    assert found(process(100, listens((100, 2), (190, 0)), BLOCKED)) == []
    running = states((0, "run"), (3_000, "run"))
    assert found(process(100, WAITING, running), wait=RUNS) == []
    stopped = states((0, "stop"), (3_000, "stop"))
    assert found(process(100, WAITING, stopped), wait=Wait(WaitKind.UNKNOWN)) == []


def test_between_two_requests_the_rest_waits_on() -> None:
    turns = states((0, "clock_nanosleep 1"), (400, "run"), (402, "clock_nanosleep 1"))
    (one,) = found(process(100, listens((100, 5), (401, 4), (900, 0)), turns))
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 900)


def test_a_worker_that_ended_is_not_waited_for() -> None:
    gone = process(101, listens(), BLOCKED, gone_ns=at(150))
    (one,) = found(process(100, WAITING, BLOCKED), gone)
    assert ms(one.end_ns) == 900


def test_a_thread_that_waits_for_connections_may_only_lack_the_cpu() -> None:
    accepting = states((0, f"accept {FD}"))
    waits = Wait(WaitKind.SOCKET, "socket.accept", "accept")
    assert found(process(100, WAITING, accepting), wait=waits) == []


def test_a_poll_of_the_program_holds_the_worker_one_of_the_server_does_not() -> None:
    polls = states((0, "poll 1"))
    waits = Wait(WaitKind.SOCKET, "sock.recv", "poll")
    assert len(found(process(100, WAITING, polls), wait=waits)) == 1
    server = stack("run@site/gunicorn/workers/sync.py:124 > wait@site/gunicorn/workers/sync.py:35")
    assert found(process(100, WAITING, polls), wait=waits, shown=server) == []
    serves = "<module>@/app/main.py:9 > serve_forever@lib/socketserver.py:233"
    idle = stack(f"{serves} > select@lib/selectors.py:415")
    assert found(process(100, WAITING, polls), wait=waits, shown=idle) == []
    asks = stack(f"{serves} > view@/app/views.py:7 > select@lib/selectors.py:415")
    assert len(found(process(100, WAITING, polls), wait=waits, shown=asks)) == 1


def test_a_loop_in_its_own_poll_is_not_blocked() -> None:
    polls = states((0, "epoll_wait 5"))
    waits = Wait(WaitKind.LOOP_POLL, None, "epoll_wait")
    assert found(process(100, WAITING, polls), wait=waits) == []


def test_without_a_known_wait_nothing_is_claimed() -> None:
    assert found(process(100, WAITING, BLOCKED), wait=Wait(WaitKind.UNKNOWN)) == []


def test_an_episode_tells_the_socket_and_how_long_each_connection_waited() -> None:
    events = listens((50, 1), (60, 0), (100, 2), (400, 5), (600, 3), (700, 4), (900, 0))
    (one,) = found(process(100, events, BLOCKED))[-1:]
    assert (one.pid, one.tid, one.place) == (100, 100, "127.0.0.1:80")
    assert one.evidence == ("backlog", "threads")
    assert [(i.kind, i.name, i.count, ms(i.start_ns), ms(i.end_ns)) for i in one.items] == [
        ("connection", "connections to accept on 127.0.0.1:80", 2, 100, 600),
        ("connection", "connections to accept on 127.0.0.1:80", 3, 400, 900),
        ("connection", "connections to accept on 127.0.0.1:80", 1, 700, 900),
    ]


def test_connections_that_are_there_when_all_get_blocked_wait_from_then_on() -> None:
    kernel = states((0, "run"), (300, "clock_nanosleep 1"))
    (one,) = found(process(100, WAITING, kernel))
    assert [(i.count, ms(i.start_ns), ms(i.end_ns)) for i in one.items] == [
        (2, 300, 900),
        (3, 400, 900),
    ]


def test_what_waits_at_the_end_waits_to_the_end() -> None:
    (one,) = found(process(100, listens((100, 2)), BLOCKED), end=700)
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 700)
    assert [(i.count, ms(i.end_ns)) for i in one.items] == [(2, 700)]
    assert found(process(100, listens((700, 2)), BLOCKED), end=700) == []


def test_one_wait_that_is_none_hides_no_other() -> None:
    kernel = states((0, "stop"), (500, "clock_nanosleep 1"))
    events = listens((100, 2), (400, 0), (600, 3), (900, 0))
    done = {
        ThreadKey(100, 100): activities(
            activity(0, 500, HANDLER, Wait(WaitKind.UNKNOWN)),
            activity(500, 3_000, HANDLER, SLEEPS),
        )
    }
    record = process(100, events, kernel)
    (listener,) = listeners.find([record], ARCH)
    seen = listeners.starvations(listener, [record], done, at(3_000), 100_000_000)
    assert [(ms(one.start_ns), ms(one.end_ns)) for one in seen] == [(600, 900)]


@pytest.mark.parametrize(("known", "episodes"), [(399, 0), (400, 1)])
def test_that_they_waited_must_be_known_for_half_of_the_time(known: float, episodes: int) -> None:
    done = {
        ThreadKey(100, 100): activities(
            activity(100, 100 + known, HANDLER, SLEEPS),
            activity(100 + known, 900, HANDLER, Wait(WaitKind.UNKNOWN)),
        )
    }
    record = process(100, WAITING, BLOCKED)
    (listener,) = listeners.find([record], ARCH)
    seen = listeners.starvations(listener, [record], done, at(3_000), 100_000_000)
    assert len(list(seen)) == episodes
    assert list(listeners.starvations(listener, [record], {}, at(3_000), 100_000_000)) == []


@pytest.mark.parametrize(("end", "episodes"), [(199, 0), (200, 1)])
def test_connections_wait_from_the_least_stall_on(end: float, episodes: int) -> None:
    assert len(found(process(100, listens((100, 2), (end, 0)), BLOCKED))) == episodes


def test_who_accepts_elsewhere_or_uses_the_descriptor_otherwise_does_not_accept_here() -> None:
    other = states((0, "accept4 9"), (50, f"recvfrom {FD}"), (60, "clock_nanosleep 1"))
    record = worker(kernel={100: BLOCKED, 101: other}, listeners=tuple(WAITING))
    (one,) = found(record)
    assert one.threads == (ThreadKey(100, 100),)


def test_a_blocking_call_of_a_framework_that_is_no_poll_holds_the_worker() -> None:
    server = stack("run@site/gunicorn/workers/sync.py:124 > wait@site/gunicorn/workers/sync.py:35")
    assert len(found(process(100, WAITING, BLOCKED), shown=server)) == 1


def taken_each(step: float, until: float) -> list[tuple[float, int]]:
    """A backlog from which one connection is taken every so often, and to which one comes then."""
    times = [100 + n * step for n in range(int((until - 100) / step))]
    return [row for at_ms in times for row in ((at_ms, 4), (at_ms + step / 2, 5))]


def test_who_ran_whenever_a_connection_was_taken_accepts_and_not_a_parked_main_thread() -> None:
    """Under load accept() never waits, so that no thread is seen in it."""
    step, end = 300.0, 1_900.0
    parked = states((0, "futex 0x7000"))
    turns = [(100 + n * step, "clock_nanosleep 1") for n in range(7)]
    record = worker(
        kernel={
            100: parked,
            101: states((0, "run"), *turns, (end, "run"), (3_000, "run")),
            102: states((0, "run"), (200, "clock_nanosleep 1"), (3_000, "run")),
            103: states((0, "run"), (90, "gone")),
        },
        listeners=tuple(listens(*taken_each(step, end), (end, 0))),
    )
    starved = found(record)
    assert {key for one in starved for key in one.threads} == {ThreadKey(100, 101)}
    assert (ms(starved[0].start_ns), ms(starved[-1].end_ns)) == (100, end)


def test_a_thread_beside_it_that_runs_does_not_excuse_the_main_thread() -> None:
    """Two processes take turns: at each time, one main thread of them has run."""
    many = [(n * 20.0, "clock_nanosleep 1") for n in range(150)]
    takes = [(at_ms, "clock_nanosleep 1") for at_ms, n in taken_each(200, 1_900) if n == 4]
    events = listens(*taken_each(200, 1_900))
    first = process(100, events, states((0, "run"), *takes[::2]))
    second = process(101, listens(), states((0, "run"), *takes[1::2]))
    beside = {key: states(*many) for key in (200, 201)}
    first = replace(first, states={**first.states, 200: beside[200]})
    second = replace(second, states={**second.states, 201: beside[201]})
    (listener,) = listeners.find([first, second], ARCH)
    assert listener.acceptors == (ThreadKey(100, 100), ThreadKey(101, 101))


def test_two_programs_of_one_pid_accept_one_after_the_other() -> None:
    only = "connections to 127.0.0.1:80: its only worker blocked"
    before = process(100, WAITING, BLOCKED, gone_ns=at(1_000))
    rows = [ListenerEvent(at(1_000), INODE, name="127.0.0.1:80", fd=FD)]
    rows += [ListenerEvent(at(when), INODE, waiting=n) for when, n in ((1_500, 3), (2_000, 0))]
    rows.append(ListenerEvent(at(1_600), INODE, accepted=1))
    after = process(100, rows, states((1_000, "clock_nanosleep 1")))
    after = replace(after, attached_ns=at(1_000), process=1)
    done = {
        ThreadKey(100, 100): activities(activity(0, 1_000, HANDLER, SLEEPS)),
        ThreadKey(100, 100, 1): activities(activity(1_000, 3_000, HANDLER, SLEEPS)),
    }
    (listener,) = listeners.find([before, after], ARCH)
    seen = listeners.starvations(listener, [before, after], done, at(3_000), 100_000_000)
    assert [(one.threads, ms(one.start_ns), ms(one.end_ns), one.detail) for one in seen] == [
        ((ThreadKey(100, 100),), 100, 900, only),
        ((ThreadKey(100, 100, 1),), 1_500, 2_000, only),
    ]


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        ([(100, 2), (400, 3)], [("127.0.0.1:80", 3, 2.9)]),
        ([(100, 2), (1_100, 0)], [("127.0.0.1:80", 2, 1.0)]),
        ([(100, 2), (1_099, 0)], []),
        ([(100, 2), (900, 1), (1_700, 2), (2_500, 0)], [("127.0.0.1:80", 2, 1.6)]),
        ([(100, 1), (900, 0), (950, 1), (1_700, 0)], []),
        ([(2_500, 4)], []),
        ([], []),
    ],
)
def test_connections_that_nobody_takes_for_long_are_told_whatever_their_owner_does(
    waiting: list[tuple[float, int]], told: list[tuple[str, int, float]]
) -> None:
    """A server that has no descriptors left, or enough clients, is blocked in nothing."""
    idle = process(1, listens(*waiting), states((0, "epoll_wait 5")))
    found = listeners.unaccepted([idle], at(3_000))
    assert [(one.listener, one.most, one.longest_s) for one in found] == told


def test_one_that_waits_long_is_told_though_others_are_taken() -> None:
    looks = (
        RequestsEvent(at(1_000), 80, outside=3, outside_since_ns=at(300)),
        RequestsEvent(at(1_500), 80, outside=2, outside_since_ns=at(900)),
    )
    waiting = [(100.0, 3), (500, 2), (600, 3), (1_200, 2), (1_300, 3), (2_000, 2), (2_600, 1)]
    one = process(1, listens(*waiting), states((0, "epoll_wait 5")), requests=looks)
    (told,) = listeners.unaccepted([one], at(3_000))
    assert told == Unaccepted("127.0.0.1:80", 3, None, 2.1)
    elsewhere = process(1, listens(), states((0, "epoll_wait 5")), requests=looks)
    assert listeners.unaccepted([elsewhere], at(3_000)) == ()
    gone = replace(one, gone_ns=at(1_800))
    assert listeners.unaccepted([gone], at(3_000)) == ()


def test_nobody_is_let_in_by_who_has_ended_or_has_no_name() -> None:
    gone = process(1, listens((100, 2)), states((0, "epoll_wait 5")), gone_ns=at(1_000))
    assert listeners.unaccepted([gone], at(3_000)) == ()
    nameless = [event for event in listens((100, 2)) if event.name is None]
    assert listeners.unaccepted([process(1, nameless, BLOCKED)], at(3_000)) == ()
