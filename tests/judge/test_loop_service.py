"""What a loop's queue and timers tell: when it served, and what was late."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.examples.build import at
from waitspy.judge import loop_service
from waitspy.judge.episode import Item
from waitspy.judge.spans import Span
from waitspy.model.loops import LateTimer, LoopEvent, LoopEvents, LoopInfo, LoopWork


def served(at_ms: float, ready: int, state: int, loop: int = 1) -> LoopEvent:
    return LoopEvent(at(at_ms), loop, service=(ready, state))


def work(
    at_ms: float, *late: tuple[float, str], ready: tuple[str, ...] = (), more: int = 0
) -> LoopEvent:
    timers = tuple(
        LateTimer(at(due), name, f"app.py:{n}", False) for n, (due, name) in enumerate(late)
    )
    first = tuple((name, None, False) for name in ready)
    return LoopEvent(at(at_ms), 1, work=LoopWork(len(ready), first, len(late) + more, timers))


def late_items(
    events: Sequence[LoopEvent], served: Sequence[int], polls: Sequence[Span], stop_ns: int
) -> list[Item]:
    told = LoopEvents.of(events)
    return loop_service.late_items(told, loop_service.Looks(told, served, polls).marks, stop_ns)


def test_callbacks_were_run_when_the_counter_grew_more_than_the_queue() -> None:
    events = [
        served(0, 0, 10),
        served(10, 1, 11),  # one was put in
        served(20, 3, 13),  # two more
        served(30, 0, 16),  # three were taken
        served(40, 0, 18),  # one put in and taken
    ]
    assert tuple(loop_service.Counters(LoopEvents.of(events)).served) == (at(30), at(40))


def test_an_odd_step_is_a_read_in_the_middle_of_one_change() -> None:
    assert (
        tuple(loop_service.Counters(LoopEvents.of([served(0, 0, 10), served(10, 0, 11)])).served)
        == ()
    )


def test_loops_that_follow_each_other_on_one_descriptor_are_not_compared() -> None:
    events = [served(0, 0, 10, loop=1), served(10, 0, 90, loop=2), served(20, 0, 92, loop=2)]
    assert tuple(loop_service.Counters(LoopEvents.of(events)).served) == (at(20),)
    facts = [
        LoopEvent(at(0), loop, facts=LoopInfo("asyncio", epfd, 7, "running", False))
        for loop, epfd in ((1, 5), (2, 5), (3, 6))
    ]
    assert loop_service.addresses(facts, 5) == {1, 2}


def test_a_timer_waits_from_its_due_time_until_the_loop_serves_again() -> None:
    events = [work(150, (100, "flush")), work(350, (100, "flush"), (300, "beat"))]
    items = late_items(events, [at(50), at(600), at(900)], (), at(1000))
    assert items == [
        Item("timer", "flush", "app.py:0", at(100), at(600)),
        Item("timer", "beat", "app.py:1", at(300), at(600)),
    ]


def test_its_own_poll_serves_a_loop_too() -> None:
    items = late_items([work(150, (100, "flush"))], (), [(at(400), at(500))], at(1000))
    assert [item.end_ns for item in items] == [at(400)]


def test_a_wait_that_was_not_over_lasts_until_the_end_of_what_is_known() -> None:
    items = late_items([work(150, (100, "flush"))], (), (), at(700))
    assert [(item.start_ns, item.end_ns) for item in items] == [(at(100), at(700))]
    assert late_items([work(800, (100, "flush"))], (), (), at(700)) == []


def test_timers_beyond_those_that_were_named_are_counted() -> None:
    items = late_items([work(150, (100, "flush"), more=40)], (), (), at(700))
    assert items[1] == Item("timer", "", None, at(150), at(700), count=40)


def test_what_one_look_has_named_a_later_one_goes_by() -> None:
    named = work(150, (100, "flush"), (110, "beat"))
    unnamed = LoopEvent(
        at(350),
        1,
        work=LoopWork(
            0,
            (),
            4,
            tuple(
                LateTimer(at(due), "asyncio.sleep", None, guards=False) for due in (100, 110, 300)
            ),
            named=False,
        ),
    )
    items = late_items([named, unnamed], [at(50), at(600)], (), at(1000))
    assert [(i.name, i.start_ns, i.count) for i in items] == [
        ("flush", at(100), 1),
        ("beat", at(110), 1),
        ("asyncio.sleep", at(300), 1),
        ("", at(350), 1),
    ]
    # In another period it is another timer, even if it was due at the same time.
    items = late_items([named, unnamed], [at(50), at(200), at(600)], (), at(1000))
    assert [i.name for i in items[:2]] == ["flush", "beat"]
    assert [i.name for i in items[2:5]] == ["asyncio.sleep"] * 3


def test_a_look_tells_of_the_time_since_the_loop_last_served() -> None:
    events = [work(150), work(350)]
    looks = loop_service.Looks(
        LoopEvents.of(events), [at(100), at(200), at(400)], [(at(500), at(510))]
    )
    assert looks.any_for((at(100), at(180)))
    assert not looks.any_for((at(100), at(140)))  # the look came later
    assert looks.any_for((at(300), at(390)))
    assert looks.any_for((at(360), at(390)))  # since the look before, nothing was served
    assert not looks.any_for((at(420), at(480)))
    assert not looks.any_for((at(520), at(600)))


def test_a_ready_callback_came_when_the_queue_got_that_long() -> None:
    events = [
        served(0, 0, 10),
        served(60, 1, 11),
        served(90, 3, 13),
        work(200, ready=("first", "second")),
    ]
    items = late_items(events, [at(50)], (), at(500))
    assert [(i.kind, i.name, i.start_ns, i.end_ns) for i in items] == [
        ("callback", "first", at(60), at(500)),
        ("callback", "second", at(90), at(500)),
    ]


@pytest.mark.parametrize(
    ("times", "gap_ms"), [((), 100), ((110, 150), 50), ((100, 200), 100), ((50, 300), 100)]
)
def test_the_longest_time_without_service(times: tuple[int, ...], gap_ms: int) -> None:
    gap = loop_service.longest_gap_ns([at(t) for t in times], at(100), at(200))
    assert gap == at(gap_ms) - at(0)


def test_callbacks_and_tasks_are_told_with_where_they_come_from_and_the_rest_counted() -> None:
    first = (("beat", "app.py:3", False), ("query", "db.py:7", True))
    events = [
        served(0, 0, 10),
        served(40, 5, 15),  # before the loop last served: no longer in the queue
        served(60, 1, 25),
        served(90, 3, 27),
        served(120, 5, 29),
        LoopEvent(at(200), 1, work=LoopWork(5, first, 0, ())),
        served(210, 9, 33),
    ]
    assert late_items(events, [at(50)], (), at(500)) == [
        Item("callback", "beat", "app.py:3", at(60), at(500)),
        Item("task", "query", "db.py:7", at(90), at(500)),
        Item("callback", "", None, at(90), at(500), count=3),
    ]


def test_what_no_length_tells_of_came_when_it_was_seen() -> None:
    events = [served(60, 1, 11), work(200, ready=("first", "second"))]
    items = late_items(events, [at(50), at(300)], (), at(500))
    assert [(i.name, i.start_ns, i.end_ns) for i in items] == [
        ("first", at(60), at(300)),
        ("second", at(200), at(300)),
    ]


def test_one_timer_more_than_was_named_is_told_and_guards_are_marked() -> None:
    timer = LateTimer(at(100), "query", None, guards=True)
    event = LoopEvent(at(150), 1, work=LoopWork(0, (), 2, (timer,)))
    assert late_items([event], (), (), at(700)) == [
        Item("timer", "query", None, at(100), at(700), guards=True),
        Item("timer", "", None, at(150), at(700)),
    ]
    assert late_items([event], (), (), at(150)) == []


def test_what_an_object_said_later_or_of_another_epoll_does_not_count() -> None:
    said = [
        LoopEvent(at(ms), 1, facts=LoopInfo(kind, epfd, 7, how, closed))
        for ms, kind, epfd, how, closed in (
            (100, "uvloop", 5, "running", False),
            (200, "uvloop", 6, "history", False),
            (300, "uvloop", 5, "history", True),
            (400, "uvloop", 5, "history", False),
        )
    ]
    for at_ms, ran, parked in ((99, False, False), (100, True, False), (399, True, False),
                               (400, False, True)):  # fmt: skip
        assert loop_service.ran_in_c(said, 5, at(at_ms)) == ran
        assert loop_service.was_parked(said, 5, at(at_ms)) == parked


def test_how_many_were_run_within_a_span() -> None:
    events = [served(0, 0, 10), served(100, 0, 14), served(200, 0, 20), served(300, 0, 28)]
    counters = loop_service.Counters(LoopEvents.of(events))
    assert counters.run_between(at(0), at(400)) == 2 + 3 + 4
    assert counters.run_between(at(100), at(300)) == 3
    assert counters.run_between(at(99), at(301)) == 2 + 3 + 4
    assert counters.run_between(at(200), at(200)) == 0
    assert counters.run_between(at(300), at(100)) == 0


def test_what_waited_while_nobody_looked_is_not_known() -> None:
    events = [
        served(0, 0, 10), served(100, 2, 12), LoopEvent(at(250), 1, unseen=True),
        served(400, 3, 31), served(600, 0, 34),
        served(0, 1, 5, loop=2), served(700, 0, 6, loop=2),
    ]  # fmt: skip
    waits = loop_service.Counters(LoopEvents.of(events)).waited_long(100_000_000, at(1_000))
    assert [(w.count, w.start_ns, w.end_ns) for w in waits] == [
        (2, at(100), at(250)),
        (3, at(400), at(600)),
        (1, at(0), at(700)),
    ]


def collects(at_ms: float, collecting: bool) -> LoopEvent:
    return LoopEvent(at(at_ms), 1, collecting=collecting)


@pytest.mark.parametrize(
    ("rows", "spent_ms"),
    [
        ([], 0),
        ([(100, True), (300, False)], 200),
        ([(0, True), (300, False)], 250),
        ([(900, True), (1_200, False)], 100),
        ([(100, True), (200, False), (400, True), (500, False)], 200),
        ([(100, True), (200, True), (300, False)], 100),
        ([(100, True)], 0),
        ([(100, True), (200, False), (800, True)], 300),
        ([(100, False)], 0),
    ],
)
def test_garbage_counts_from_a_look_that_saw_it_to_one_that_did_not(
    rows: list[tuple[float, bool]], spent_ms: float
) -> None:
    events = [served(10, 1, 11), *(collects(*row) for row in rows)]
    assert loop_service.collecting_ns(events, at(50), at(1_000)) == spent_ms * 1_000_000
