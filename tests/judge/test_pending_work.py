"""How much waited, over time."""

from __future__ import annotations

from dataclasses import replace

from tests.examples.build import at, collected, opened, ready, sock, unread, worker
from waitspy.judge.episode import Item
from waitspy.judge.loops import Loop
from waitspy.judge.pending_work import of_loops
from waitspy.model.judged import PendingKind
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


def test_what_is_ready_to_the_end_waits_to_the_end() -> None:
    assert series(worker(epolls=[ready(100, 5)]), LOOP) == {"unread": [(100, 1), (1_000, 0)]}


def test_nothing_waits_on_a_worker_that_is_gone() -> None:
    record = worker(epolls=[ready(100, 5)], gone_ns=at(300))
    assert series(record, LOOP) == {"unread": [(100, 1), (300, 0)]}


def test_late_callbacks_and_timers_add_up_while_they_overlap() -> None:
    items = (
        Item("callback", "a", None, at(10), at(50)),
        Item("callback", "further callbacks", None, at(20), at(40), count=7),
        Item("timer", "b", None, at(30), at(60)),
    )
    assert series(worker(), replace(LOOP, items=items)) == {
        "ready": [(10, 1), (20, 8), (40, 1), (50, 0)],
        "overdue": [(30, 1), (60, 0)],
    }


def test_what_was_due_before_the_recording_waits_from_its_start() -> None:
    items = (Item("timer", "b", None, at(-500), at(60)),)
    assert series(worker(), replace(LOOP, items=items))["overdue"][0] == (0, 1)
