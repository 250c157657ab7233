"""What a thread did, interval by interval: cut where its state means something else, and named."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import (
    ARCH,
    DISPATCH,
    GIL_WORD,
    HANDLER,
    HEAP_WORD,
    PARKED,
    POLL,
    RUNTIME_SPAN,
    SOURCES,
    apart,
    at,
    frame,
    intervals,
    states,
)
from waitspy.judge.classify import Context, activities, name_wait
from waitspy.judge.timeline import state_at
from waitspy.model.activities import Activity
from waitspy.model.stacks import Stack
from waitspy.model.threads import ThreadRecord
from waitspy.model.waits import Wait, WaitKind

FETCH = frame("fetch@/app/client.py:41")
USER = (*DISPATCH, FETCH)
K = WaitKind


def acts(thread: ThreadRecord, epfds: tuple[int, ...] = (5,)) -> Sequence[Activity]:
    return activities(thread, Context(ARCH, SOURCES, frozenset(epfds), RUNTIME_SPAN))


def test_an_interval_is_split_where_the_kernel_state_changes_its_meaning() -> None:
    rows = states((0, "epoll_wait 5"), (100, "run"), (102, "clock_nanosleep"), (400, "run"))
    thread = ThreadRecord(1, 1, "", intervals((0, 100, POLL), (100, 405, HANDLER)), rows)
    sleep = Wait(K.SLEEP, "time.sleep", "clock_nanosleep")
    assert acts(thread) == (
        Activity(at(0), at(100), POLL, Wait(K.LOOP_POLL, None, "epoll_wait")),
        Activity(at(100), at(102), HANDLER, Wait(K.ON_CPU)),
        Activity(at(102), at(400), HANDLER, sleep),
        Activity(at(400), at(405), HANDLER, Wait(K.ON_CPU)),
    )


def test_states_that_mean_the_same_do_not_split() -> None:
    rows = states((0, "futex 7"), (50, "futex 7"), (90, "futex 7"))
    thread = ThreadRecord(1, 1, "", intervals((0, 200, PARKED)), rows)
    assert acts(thread) == (
        Activity(at(0), at(200), PARKED, Wait(K.QUEUE, "queue.Queue.get", "futex")),
    )


def test_time_before_the_first_state_is_named_from_the_stack() -> None:
    thread = ThreadRecord(1, 1, "", intervals((0, 200, PARKED)), states((120, "futex 7")))
    assert [(a.start_ns, a.end_ns, a.wait.syscall) for a in acts(thread)] == [
        (at(0), at(120), None),
        (at(120), at(200), "futex"),
    ]


def test_the_state_that_began_long_before_holds() -> None:
    rows = states((0, "run"), (10, "futex 7"))
    thread = ThreadRecord(1, 1, "", intervals((5_000, 6_000, PARKED)), rows)
    (one,) = acts(thread)
    assert one.wait.kind is K.QUEUE


what = st.sampled_from(["run", "futex 7", "epoll_wait 5", "clock_nanosleep", "stop", "queue"])
rows_ = st.lists(st.tuples(st.integers(1, 50), what), max_size=20)
shown_ = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 80), st.sampled_from([POLL, HANDLER, PARKED, ()])),
    max_size=12,
)


@given(rows_, shown_, st.integers(0, 100))
def test_activities_cover_exactly_the_intervals(
    kernel: list[tuple[int, str]], shown: list[tuple[int, int, Stack]], from_ms: int
) -> None:
    now, rows = from_ms, []
    for gap, one in kernel:
        now += gap
        rows.append((now, one))
    now, found = 0, []
    for gap, length, one_stack in shown:
        now += gap
        found.append((now, now + length, one_stack))
        now += length
    thread = ThreadRecord(1, 1, "", intervals(*found), states(*rows))
    got = acts(thread)
    assert all(a.start_ns < a.end_ns for a in got)
    assert all(a.end_ns <= b.start_ns for a, b in pairwise(got))
    for interval in thread.intervals:
        mine = [
            (max(a.start_ns, interval.start_ns), min(a.end_ns, interval.end_ns), a.stack)
            for a in got
        ]
        inside = [(a, b) for a, b, one_stack in mine if a < b and one_stack == interval.stack]
        assert sum(b - a for a, b in inside) == interval.end_ns - interval.start_ns
    assert sum(a.end_ns - a.start_ns for a in got) == sum(
        i.end_ns - i.start_ns for i in thread.intervals
    )
    assert not any(
        a.end_ns == b.start_ns and (a.stack, a.wait) == (b.stack, b.wait) for a, b in pairwise(got)
    )


WORDS = (
    "run", "stop", "queue", "clock_nanosleep", "epoll_wait 5", "epoll_wait 9", "epoll_wait 11",
    "epoll_pwait 5", f"futex {GIL_WORD}", f"futex {HEAP_WORD}", "read 5", "recvfrom 9", "gone",
)  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(1, 50), st.sampled_from(WORDS)), max_size=25),
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 80), st.sampled_from([POLL, HANDLER, USER])),
        max_size=12,
    ),
)
def test_each_activity_is_named_as_its_stack_in_its_state_would_be(
    kernel: list[tuple[int, str]], shown: list[tuple[int, int, Stack]]
) -> None:
    now, rows = 0, []
    for gap, what in kernel:
        now += gap
        rows.append((now, what))
    own = states(*rows)
    seen = [
        (start, end, one)
        for (start, end), (*_, one) in zip(apart((a, b) for a, b, _ in shown), shown, strict=True)
    ]
    context = Context(ARCH, SOURCES, frozenset({5, 9}), RUNTIME_SPAN, frozenset({9}))
    expected: list[Activity] = []
    for start, end, one in seen:
        for a, b in pairwise(sorted({start, end, *(t for t, _ in rows if start < t < end)})):
            wait = name_wait(one, state_at(own, at(a)), context)
            last = expected[-1] if expected else None
            if last and last.end_ns == at(a) and (last.stack, last.wait) == (one, wait):
                expected[-1] = Activity(last.start_ns, at(b), one, wait)
            else:
                expected.append(Activity(at(a), at(b), one, wait))
    assert activities(ThreadRecord(1, 1, "", intervals(*seen), own), context) == tuple(expected)
