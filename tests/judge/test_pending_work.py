"""How much waited, over time."""

from __future__ import annotations

from dataclasses import replace

from tests.examples.build import at, collected, opened, ready, sock, unread, worker
from waitspy.judge.episode import Item
from waitspy.judge.loops import Loop
from waitspy.judge.pending_work import of_listeners, of_loops, of_pools
from waitspy.judge.pools import find
from waitspy.model.judged import PendingKind, PendingSeries
from waitspy.model.listeners import ListenerEvent
from waitspy.model.pools import PoolEvent, PoolInfo
from waitspy.model.recorded import WorkerRecord

LOOP = Loop(100, 5, 1, (), "polling")


def series(
    record: WorkerRecord, *loops: Loop, end: float = 1_000
) -> dict[PendingKind, list[tuple[int, int]]]:
    return {
        one.kind: [((at_ns - at(0)) // 10**6, count) for at_ns, count in one.points]
        for one in of_loops(record, loops, at(end))
    }


def test_a_loop_that_never_kept_anything_waiting_has_no_series() -> None:
    assert series(worker(epolls=[opened(0, 5, 1)]), LOOP) == {}


def test_ready_io_counts_one_until_somebody_has_counted() -> None:
    record = worker(
        epolls=[
            ready(100, 5),
            unread(150, 5, sock(1), sock(2)),
            unread(250, 5, sock(1), sock(2), sock(3)),
            collected(400, 5),
            ready(500, 9),  # another loop's
        ]
    )
    assert series(record, LOOP) == {"unread": [(100, 1), (150, 2), (250, 3), (400, 0)]}


def test_a_wake_up_that_a_worker_of_node_leaves_there_counts_until_somebody_has_looked() -> None:
    record = worker(epolls=[ready(100, 5), unread(150, 5), unread(250, 5, sock(1), sock(2))])
    assert series(record, LOOP) == {"unread": [(100, 1), (250, 2), (1_000, 0)]}
    of_node = replace(record, worker=replace(record.worker, python=None, node="20.20.2"))
    assert series(of_node, LOOP) == {"unread": [(100, 1), (150, 0), (250, 2), (1_000, 0)]}


def test_what_is_ready_to_the_end_waits_to_the_end() -> None:
    assert series(worker(epolls=[ready(100, 5)]), LOOP) == {"unread": [(100, 1), (1_000, 0)]}


def test_nothing_waits_on_a_worker_that_is_gone() -> None:
    record = worker(epolls=[ready(100, 5)], gone_ns=at(300))
    assert series(record, LOOP) == {"unread": [(100, 1), (300, 0)]}


def test_late_callbacks_and_timers_add_up_while_they_overlap() -> None:
    items = (
        Item("callback", "a", None, at(10), at(50)),
        Item("callback", "", None, at(20), at(40), count=7),
        Item("timer", "b", None, at(30), at(60)),
    )
    assert series(worker(), replace(LOOP, items=items)) == {
        "ready": [(10, 1), (20, 8), (40, 1), (50, 0)],
        "overdue": [(30, 1), (60, 0)],
    }


def test_what_was_due_before_the_recording_waits_from_its_start() -> None:
    items = (Item("timer", "b", None, at(-500), at(60)),)
    assert series(worker(), replace(LOOP, items=items))["overdue"][0] == (0, 1)


def test_two_waits_that_begin_at_once_are_two() -> None:
    twice = (
        Item("callback", "a", None, at(10), at(50)),
        Item("callback", "b", None, at(10), at(40)),
    )
    assert series(worker(), replace(LOOP, items=twice)) == {"ready": [(10, 2), (40, 1), (50, 0)]}


def test_a_series_names_who_should_serve_it() -> None:
    items = (Item("callback", "a", None, at(10), at(50)),)
    record = worker(epolls=[ready(300, 9), ready(100, 5), collected(400, 5)])
    assert list(of_loops(record, [replace(LOOP, tid=7, items=items)], at(1_000))) == [
        PendingSeries(100, 7, "loop on epoll descriptor 5", "unread", ((at(100), 1), (at(400), 0))),
        PendingSeries(100, 7, "loop on epoll descriptor 5", "ready", ((at(10), 1), (at(50), 0))),
    ]


def test_an_epoll_that_is_seen_beyond_the_end_waits_until_it_was_seen() -> None:
    assert series(worker(epolls=[ready(100, 5), unread(700, 5, sock(1))]), LOOP, end=600) == {
        "unread": [(100, 1), (700, 0)]
    }


def test_the_queue_of_a_pool() -> None:
    rows = [PoolEvent(at(ms), 7, queue=counts) for ms, counts in
            ((0, (0, 0)), (100, (2, 0)), (200, (2, 1)), (300, (1, 2)), (400, (0, 3)))]  # fmt: skip
    info = PoolInfo("executor", "crawl", None, 2, (11, 12))
    record = worker(pools=(PoolEvent(at(0), 7, info=info), *rows))
    assert list(of_pools(find(record, {}, at(1_000), 10**8))) == [
        PendingSeries(
            100, None, "thread pool crawl", "queued",
            ((at(100), 2), (at(300), 1), (at(400), 0)),
        )
    ]  # fmt: skip
    idle = worker(pools=(PoolEvent(at(0), 7, info=info), rows[0]))
    assert list(of_pools(find(idle, {}, at(1_000), 10**8))) == []


def test_the_queue_of_a_socket_that_several_processes_share() -> None:
    first = worker(
        100,
        listeners=(
            ListenerEvent(at(0), 500, name="127.0.0.1:80", fd=3),
            ListenerEvent(at(100), 500, waiting=2),
            ListenerEvent(at(300), 500, waiting=0),
            ListenerEvent(at(300), 501, waiting=4),  # nobody has named it
        ),
    )
    second = worker(
        101,
        listeners=(
            ListenerEvent(at(0), 500, name="127.0.0.1:80", fd=3),
            ListenerEvent(at(0), 502, name="127.0.0.1:81", fd=4),
            ListenerEvent(at(200), 500, waiting=5),
            ListenerEvent(at(200), 502, waiting=0),
        ),
    )
    assert list(of_listeners([first, second])) == [
        PendingSeries(
            100, None, "connections to 127.0.0.1:80", "backlog",
            ((at(100), 2), (at(200), 5), (at(300), 0)),
        )
    ]  # fmt: skip
