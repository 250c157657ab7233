"""Event loops from the oracles alone: whose an epoll is, and when its I/O went unserved."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import (
    ARCH,
    at,
    closed,
    collected,
    ms,
    opened,
    ready,
    sock,
    states,
    unread,
    worker,
)
from waitspy.judge.episode import Look
from waitspy.judge.loops import Loop, Pending, find, pending, split, was_left, was_served
from waitspy.model.epolls import UnreadSocket
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import KernelState
from waitspy.recording.gaps import settle

END_NS = at(10_000)
IDLE_POOL = states((0, "futex 7"))


def found(
    record: WorkerRecord,
    running: Collection[int] = (),
    shared: Collection[int] = (),
) -> list[tuple[int, int, str]]:
    """Descriptor, owner and how it is known, of every loop."""
    loops = find(record, END_NS, ARCH, set(running), set(shared))
    assert all(loop.pid == record.worker.pid for loop in loops)
    return [(loop.epfd, loop.tid, loop.seen) for loop in loops]


# --- owners ---------------------------------------------------------------------------------------


def test_the_thread_that_polls_owns_the_loop() -> None:
    kernel = {1: states((0, "epoll_wait 5"), (900, "run")), 2: IDLE_POOL}
    record = worker(kernel=kernel, epolls=[opened(0, 5, 1)])
    (loop,) = find(record, END_NS, ARCH, set(), set())
    assert loop == Loop(100, 5, 1, ((at(0), at(900)),), "polling")


def test_two_loops_in_two_threads() -> None:
    kernel = {1: states((0, "epoll_wait 5")), 2: states((0, "epoll_pwait 9"))}
    record = worker(kernel=kernel, epolls=[opened(0, 9, 2), opened(0, 5, 1)])
    assert found(record) == [(5, 1, "polling"), (9, 2, "polling")]


def test_the_thread_that_polled_most_often_owns_a_loop_that_moved() -> None:
    often = states((0, "run"), (100, "epoll_wait 5"), (200, "run"), (300, "epoll_wait 5"))
    kernel = {1: states((0, "epoll_wait 5"), (50, "futex 7")), 2: often}
    record = worker(kernel=kernel, epolls=[opened(0, 5, 1)])
    assert found(record) == [(5, 2, "polling")]


def test_a_poll_of_a_descriptor_that_no_oracle_saw_is_no_loop() -> None:
    assert found(worker(kernel={1: states((0, "epoll_wait 5"))})) == []


def test_a_loop_that_is_only_visited_belongs_to_the_thread_that_collects() -> None:
    visits = states((0, "futex 7"), (300, "futex 7"), (800, "futex 7"), (900, "clock_nanosleep"))
    kernel = {1: states((0, "futex 9")), 2: visits}
    epolls = [opened(0, 5, 1), ready(100, 5), collected(300, 5), ready(500, 5), collected(800, 5)]
    assert found(worker(kernel=kernel, epolls=epolls)) == [(5, 2, "collecting")]


def test_a_thread_that_ran_at_other_times_only_is_not_the_collector() -> None:
    visits = states((0, "futex 7"), (300, "futex 7"), (800, "futex 7"))
    others = states((0, "futex 7"), (290, "futex 7"), (790, "futex 7"))
    epolls = [opened(0, 5, 1), ready(100, 5), collected(300, 5), ready(500, 5), collected(800, 5)]
    assert found(worker(kernel={1: others, 2: visits}, epolls=epolls)) == [(5, 2, "collecting")]
    assert found(worker(kernel={1: others, 3: IDLE_POOL}, epolls=epolls)) == []


def test_one_collection_among_several_threads_proves_nothing() -> None:
    visits = states((0, "futex 7"), (300, "futex 7"))
    epolls = [opened(0, 5, 1), ready(100, 5), collected(300, 5)]
    assert found(worker(kernel={1: IDLE_POOL, 2: visits}, epolls=epolls)) == []
    assert found(worker(kernel={2: visits}, epolls=epolls)) == [(5, 2, "collecting")]


def test_two_threads_that_ran_at_every_collection_leave_it_open() -> None:
    visits = states((0, "futex 7"), (300, "futex 7"), (800, "futex 7"))
    epolls = [opened(0, 5, 1), ready(100, 5), collected(300, 5), ready(500, 5), collected(800, 5)]
    assert found(worker(kernel={1: visits, 2: visits}, epolls=epolls)) == []


def test_a_thread_that_runs_another_loop_does_not_collect_for_an_abandoned_one() -> None:
    # Its owner closed nothing and runs a new loop; what is left of the old one is nobody's.
    busy = states((0, "epoll_wait 9"), (300, "epoll_wait 9"), (800, "epoll_wait 9"))
    epolls = [
        opened(0, 5, 1), opened(0, 9, 2),
        ready(100, 5), collected(300, 5), ready(500, 5), collected(800, 5),
    ]  # fmt: skip
    record = worker(kernel={1: busy, 2: IDLE_POOL}, epolls=epolls)
    assert found(record) == [(9, 1, "polling")]
    assert found(record, running={1}) == [(9, 1, "polling")]


def test_an_inherited_epoll_is_no_loop() -> None:
    # A forked child holds its parent's epoll and never touches it.
    record = worker(kernel={1: states((0, "run"))}, epolls=[opened(0, 5, 7), ready(100, 5)])
    assert found(record, running={1}, shared={7}) == []


def test_an_abandoned_epoll_is_no_loop() -> None:
    record = worker(
        kernel={1: IDLE_POOL, 2: states((0, "run"))}, epolls=[opened(0, 5, 1), ready(100, 5)]
    )
    assert found(record) == []


def test_the_only_thread_with_a_loops_frames_owns_the_only_epoll() -> None:
    record = worker(
        kernel={1: states((0, "run")), 2: IDLE_POOL}, epolls=[opened(0, 5, 1), ready(100, 5)]
    )
    assert found(record, running={1}) == [(5, 1, "frames")]
    assert found(record, running={1, 2}) == []


def test_frames_decide_nothing_between_two_epolls() -> None:
    record = worker(kernel={1: states((0, "run"))}, epolls=[opened(0, 5, 1), opened(0, 6, 2)])
    assert found(record, running={1}) == []


def test_a_lone_thread_whose_sockets_are_served_owns_the_loop() -> None:
    epolls = [
        opened(0, 5, 1), ready(100, 5),
        unread(200, 5, sock(1), sock(2)), unread(300, 5, sock(2), sock(3)),
    ]  # fmt: skip
    assert found(worker(kernel={1: states((0, "run"))}, epolls=epolls)) == [(5, 1, "serving")]


def test_a_lone_thread_whose_sockets_are_not_served_owns_nothing() -> None:
    epolls = [
        opened(0, 5, 1), ready(100, 5), unread(200, 5, sock(1)), unread(300, 5, sock(1), sock(2)),
    ]  # fmt: skip
    assert found(worker(kernel={1: states((0, "run"))}, epolls=epolls)) == []


# --- pending --------------------------------------------------------------------------------------


def spans(record: WorkerRecord, loop: Loop | None = None) -> list[tuple[float, float]]:
    loop = loop or Loop(100, 5, 1, (), "polling")
    return [(ms(p.start_ns), ms(p.end_ns)) for p in pending(loop, record, END_NS)]


def test_io_is_pending_from_ready_to_collected() -> None:
    epolls = [opened(0, 5, 1), ready(100, 5), collected(300, 5), ready(700, 5), collected(710, 5)]
    assert spans(worker(epolls=epolls)) == [(100, 300), (700, 710)]


def test_another_epolls_io_is_not_this_ones() -> None:
    epolls = [ready(100, 5), ready(120, 9), collected(150, 9), collected(300, 5)]
    assert spans(worker(epolls=epolls)) == [(100, 300)]


def test_io_that_is_never_collected_is_pending_until_the_end() -> None:
    assert spans(worker(epolls=[ready(100, 5)])) == [(100, 10_000)]
    assert spans(worker(epolls=[ready(100, 5)], gone_ns=at(400))) == [(100, 400)]


def test_a_closed_epoll_has_nothing_pending() -> None:
    assert spans(worker(epolls=[ready(100, 5), closed(250, 5)])) == [(100, 250)]
    reused = [ready(100, 5), closed(250, 5), opened(400, 5, 2), ready(500, 5), collected(600, 5)]
    assert spans(worker(epolls=reused)) == [(100, 250), (500, 600)]


def test_a_repeated_ready_does_not_start_again() -> None:
    assert spans(worker(epolls=[ready(100, 5), ready(200, 5), collected(300, 5)])) == [(100, 300)]


def test_what_was_never_ready_is_not_collected() -> None:
    assert spans(worker(epolls=[collected(100, 5), closed(200, 5)])) == []


def test_the_loops_own_poll_resets_what_is_pending() -> None:
    # Ready at two ticks in a row, and polled in between: served, although always ready.
    loop = Loop(100, 5, 1, ((at(250), at(260)), (at(400), at(420))), "polling")
    record = worker(epolls=[ready(100, 5), collected(500, 5)])
    assert spans(record, loop) == [(100, 250), (260, 400), (420, 500)]


def test_a_poll_before_or_after_changes_nothing() -> None:
    loop = Loop(100, 5, 1, ((at(0), at(100)), (at(500), at(900))), "polling")
    assert spans(worker(epolls=[ready(100, 5), collected(500, 5)]), loop) == [(100, 500)]


def test_polls_of_several_threads_may_overlap() -> None:
    # Threads that share one epoll (EPOLLEXCLUSIVE): while any of them waits, nothing is pending.
    long, short = (at(0), at(1_000)), (at(100), at(200))
    loop = Loop(100, 5, 1, (long, short), "polling")
    assert spans(worker(epolls=[ready(500, 5), collected(1_200, 5)]), loop) == [(1_000, 1_200)]


def test_looks_belong_to_the_span_they_were_taken_in() -> None:
    loop = Loop(100, 5, 1, ((at(250), at(260)),), "polling")
    epolls = [ready(100, 5), unread(150, 5, sock(1)), unread(300, 5), collected(500, 5)]
    first, second = pending(loop, worker(epolls=epolls), END_NS)
    assert [ms(look.at_ns) for look in first.looks] == [150]
    assert second.looks == (Look(at(300), ()),)


# --- served ---------------------------------------------------------------------------------------


def looks(*rows: tuple[float, Sequence[UnreadSocket]]) -> list[Look]:
    return [Look(at(at_ms), tuple(sockets)) for at_ms, sockets in rows]


def test_a_socket_that_disappears_or_shrinks_was_served() -> None:
    assert was_served(looks((0, [sock(1)]), (100, [sock(2)]))) == [at(100)]
    assert was_served(looks((0, [sock(1, 100)]), (100, [sock(1, 40)]))) == [at(100)]


def test_a_socket_that_stays_or_grows_was_not() -> None:
    assert was_served(looks((0, [sock(1)]), (100, [sock(1)]))) == []
    assert was_served(looks((0, [sock(1, 10)]), (100, [sock(1, 90), sock(2)]))) == []


def test_one_of_several_is_some_but_not_all() -> None:
    rows = looks((0, [sock(1), sock(2)]), (100, [sock(2)]), (200, [sock(3)]))
    assert was_served(rows) == [at(100), at(200)]
    assert was_served(rows, all_of_them=True) == [at(200)]


def test_looks_that_saw_nothing_say_nothing() -> None:
    # Pipes and Unix sockets are in no table: nothing listed does not mean that it was served.
    assert was_served(looks((0, [sock(1)]), (100, []), (200, [sock(1)]))) == []
    assert was_served(looks((0, []), (100, []))) == []
    assert was_served([]) == []


def test_what_was_read_of_a_connection_decides_where_the_kernel_says_it() -> None:
    # A new request of the same size on a connection that was answered in between.
    assert was_served(looks((0, [sock(1, 50, read=100)]), (100, [sock(1, 50, read=150)]))) == [
        at(100)
    ]
    assert was_served(looks((0, [sock(1, 50, read=100)]), (100, [sock(1, 90, read=100)]))) == []
    # Known at one of the looks only: the sizes decide.
    assert was_served(looks((0, [sock(1, 50)]), (100, [sock(1, 40, read=10)]))) == [at(100)]
    assert was_served(looks((0, [sock(1, 50)]), (100, [sock(1, 50, read=10)]))) == []


def test_only_a_connection_known_not_to_be_read_was_left() -> None:
    assert was_left(looks((0, [sock(1, read=7)]), (100, [sock(1, 400, read=7), sock(2)])))
    assert not was_left(looks((0, [sock(1, read=7)]), (100, [sock(1, read=8)])))
    assert not was_left(looks((0, [sock(1, read=7)]), (100, [sock(2, read=7)])))
    assert not was_left(looks((0, [sock(1)]), (100, [sock(1)])))
    assert not was_left(looks((0, [sock(1, read=7)])))
    assert not was_left([])


def test_one_connection_left_is_enough_though_others_are_served() -> None:
    rows = looks((0, [sock(1, read=7), sock(2, read=0)]), (100, [sock(1, read=9), sock(2, read=0)]))
    assert was_left(rows)


def test_split_cuts_a_span_and_its_looks() -> None:
    span = Pending(
        Loop(100, 5, 1, (), "polling"),
        at(0),
        at(500),
        tuple(looks((50, [sock(1)]), (200, [sock(2)]))),
    )
    pieces = split(span, [at(200), at(300)])
    assert [(ms(p.start_ns), ms(p.end_ns)) for p in pieces] == [(0, 200), (200, 300), (300, 500)]
    assert [len(p.looks) for p in pieces] == [1, 1, 0]
    assert split(span, []) == [span]
    assert [(ms(p.start_ns), ms(p.end_ns)) for p in split(span, [at(0)])] == [(0, 500)]


# --- properties -----------------------------------------------------------------------------------

flips = st.lists(st.integers(1, 40), max_size=20)
naps = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=10)


@given(flips, naps)
def test_pending_is_what_is_ready_and_not_polled(
    turns: list[int], polls: list[tuple[int, int]]
) -> None:
    events, now, is_ready = [], 0, False
    truth: set[int] = set()
    for gap in turns:
        if is_ready:
            truth.update(range(now, now + gap))
        now += gap
        is_ready = not is_ready
        events.append(ready(now, 5) if is_ready else collected(now, 5))
    end = now + 50
    if is_ready:
        truth.update(range(now, end))
    now, own = 0, []
    for gap, length in polls:
        now += gap
        own.append((at(now), at(now + length)))
        truth.difference_update(range(now, now + length))
        now += length
    loop = Loop(100, 5, 1, tuple(own), "polling")
    got = pending(loop, worker(epolls=events), at(end))
    covered = [n for p in got for n in range(round(ms(p.start_ns)), round(ms(p.end_ns)))]
    assert len(covered) == len(set(covered))
    assert set(covered) == truth
    assert [p.start_ns for p in got] == sorted(p.start_ns for p in got)


def test_io_collected_before_a_threads_only_row_is_not_what_it_collected() -> None:
    rows = {tid: states((50, "run")) for tid in (1, 2)}
    record = worker(kernel=rows, epolls=[opened(0, 5, 1), ready(5, 5), collected(10, 5)])
    assert find(record, END_NS, ARCH, set(), set()) == ()
    alone = worker(kernel={1: rows[1]}, epolls=[opened(0, 5, 1), ready(5, 5), collected(10, 5)])
    assert find(alone, END_NS, ARCH, set(), set()) == ()


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.sampled_from([5, 9])), max_size=15))
def test_at_most_one_owner_per_epoll(rows: list[tuple[int, int]]) -> None:
    kernel: dict[int, list[KernelState]] = {}
    for n, (tid, epfd) in enumerate(rows):
        kernel.setdefault(tid, []).append(KernelState(at(n * 10), "S", 232, epfd, n, 0))
    record = worker(kernel=kernel, epolls=[opened(0, 5, 1), opened(0, 9, 2)])
    loops = find(record, END_NS, ARCH, set(), set())
    assert len({loop.epfd for loop in loops}) == len(loops)
    assert {loop.epfd for loop in loops} == {epfd for _, epfd in rows}


@pytest.mark.parametrize(
    ("ran", "reads", "spans"),
    [
        (False, None, [(0, 500)]),  # the thread did not run: nothing was served
        (True, None, [(0, 100), (400, 500)]),  # it ran: it may have served everything
        (True, (100, 100), [(0, 500)]),  # it ran, but this connection was left unread
        (True, (100, 150), [(0, 100), (400, 500)]),
    ],
)
def test_no_episode_is_made_of_time_in_which_nobody_looked(
    ran: bool, reads: tuple[int, int] | None, spans: list[tuple[int, int]]
) -> None:
    rows = states((0, "clock_nanosleep 1"), *([(400, "clock_nanosleep 1")] if ran else []))
    events = [opened(0, 9, 1), ready(0, 9), collected(500, 9)]
    events += [unread(t, 9, sock(1, read=n)) for t, n in zip((50, 450), reads or (), strict=False)]
    record = worker(kernel={5: rows}, epolls=events)
    record = settle(record, [(at(100), at(400))])
    found = pending(Loop(100, 9, 5, (), "polling"), record, END_NS)
    assert [(ms(p.start_ns), ms(p.end_ns)) for p in found] == spans
