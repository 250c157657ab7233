"""One clock per worker: segments joined, exits closed, and stacks settled by kernel state."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import (
    MS,
    PARKED,
    PERIOD_NS,
    POLL,
    STACKS,
    Shown,
    at,
    dump,
    intervals,
    ms,
    segment,
    stack,
    states,
    worker,
)
from waitspy.judge import timeline
from waitspy.judge.timeline import build, longest_still_ns, state_at
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import (
    NO_STATES,
    Interval,
    KernelState,
    KernelStates,
    SampledThread,
    Segment,
    ThreadRecord,
)

A = stack("main@/app/a.py:3 > work@/app/a.py:9")
B = stack("main@/app/a.py:3 > rest@/app/a.py:20")
C = stack("main@/app/a.py:30")
END = 1_000
STOOD = states((0, "run"), (200, "clock_nanosleep"), (700, "run"))


def still_spans(rows: KernelStates, end_ns: int) -> list[tuple[int, int]]:
    starts, ends = timeline.still_spans(rows, end_ns)
    return [*zip(starts.tolist(), ends.tolist(), strict=True)]


def shown(record: WorkerRecord, tid: int = 1, end_ms: float = END) -> list[Shown]:
    """What one thread of the built timeline shows, in milliseconds."""
    thread = next((t for t in build(record, STACKS, at(end_ms)) if t.tid == tid), None)
    if thread is None:
        return []
    return [(ms(i.start_ns), ms(i.end_ns), i.stack) for i in thread.intervals]


def segments(*found: Segment, **more: object) -> WorkerRecord:
    return worker(segments=found, **more)  # type: ignore[arg-type]


# --- segments -----------------------------------------------------------------------------------


def test_overlapping_segments_join_without_gap_or_double_count() -> None:
    first = segment(0, 600, {1: [(0, 300, A), (300, 600, B)]})
    second = segment(450, 1000, {1: [(450, 1000, B)]})
    assert shown(segments(first, second)) == [(0, 300, A), (300, 1000, B)]


def test_a_newer_segment_wins_where_both_saw_something() -> None:
    first = segment(0, 600, {1: [(0, 600, A)]})
    second = segment(450, 1000, {1: [(450, 1000, B)]})
    assert shown(segments(second, first)) == [(0, 450, A), (450, 1000, B)]


def test_each_segment_ends_where_the_next_one_begins() -> None:
    first = segment(0, 450, {1: [(0, 450, A)]})
    second = segment(300, 800, {1: [(300, 800, B)]})
    third = segment(700, 1000, {1: [(700, 1000, C)]})
    assert shown(segments(first, second, third)) == [(0, 300, A), (300, 700, B), (700, 1000, C)]


def test_a_killed_segment_leaves_a_gap() -> None:
    first = segment(0, 300, {1: [(0, 300, A)]})
    third = segment(800, 1000, {1: [(800, 1000, A)]})
    assert shown(segments(first, third)) == [(0, 300, A), (800, 1000, A)]


def test_a_segment_says_nothing_after_its_end() -> None:
    long = segment(0, 300, {1: [(0, 900, A)]})
    assert shown(segments(long)) == [(0, 300, A)]


def test_a_segment_without_a_sample_takes_nothing_from_the_one_it_follows() -> None:
    first = segment(0, 600, {1: [(0, 600, A)]})
    empty = segment(300, 300, {})
    assert shown(segments(first, empty)) == [(0, 600, A)]


def test_the_name_is_the_last_one_seen() -> None:
    first = segment(0, 300, {1: [(0, 300, A)]})
    (thread,) = build(segments(first), STACKS, at(END))
    assert thread == ThreadRecord(100, 1, "thread-1", intervals((0, 300, A)), NO_STATES)


@pytest.mark.parametrize("rows", [NO_STATES, STOOD], ids=["no kernel state", "kernel state"])
def test_a_thread_that_was_renamed_keeps_its_time_order(rows: KernelStates) -> None:
    # The sampler lists a thread once per name, sorted by name.
    renamed = Segment(
        at(0),
        at(1000),
        PERIOD_NS,
        (
            SampledThread(1, "a-later", intervals((600, 1000, B))),
            SampledThread(1, "z-at-first", intervals((0, 600, A))),
        ),
    )
    (thread,) = build(segments(renamed, kernel={1: rows}), STACKS, at(END))
    assert thread.name == "a-later"
    assert [i.start_ns for i in thread.intervals] == sorted(i.start_ns for i in thread.intervals)
    assert sum(i.end_ns - i.start_ns for i in thread.intervals) == 1_000 * MS
    assert thread.intervals[0].stack == A


def test_nothing_is_shown_after_the_worker_or_the_recording_ended() -> None:
    record = worker(shown={1: [(0, 1000, A)]}, gone_ns=at(700))
    assert shown(record) == [(0, 700, A)]
    assert shown(record, end_ms=500) == [(0, 500, A)]


def test_a_still_span_that_is_known_to_end_later_ends_with_what_is_known() -> None:
    record = worker(shown={1: [(0, 1000, A)]}, kernel={1: STOOD}, gone_ns=at(400))
    assert shown(record) == [(0, 400, A)]
    assert [(ms(a), ms(b)) for a, b in still_spans(STOOD, at(400))] == [(200, 400)]
    assert still_spans(STOOD, at(100)) == []


# --- kernel states --------------------------------------------------------------------------------


def test_still_spans_are_those_in_one_call_without_running() -> None:
    rows = states((0, "run"), (10, "epoll_wait 5"), (60, "run"), (61, "futex 7"), (90, "futex 7"))
    spans = [(ms(a), ms(b)) for a, b in still_spans(rows, at(200))]
    assert spans == [(10, 60), (61, 90), (90, 200)]


def test_a_runnable_thread_inside_a_call_does_not_stand_still() -> None:
    rows = [KernelState(at(0), "R", 202, 7), KernelState(at(50), "D", 0, 3)]
    assert still_spans(KernelStates.of(rows), at(90)) == [(at(50), at(90))]


def test_an_ended_thread_stands_nowhere() -> None:
    assert still_spans(states((0, "futex 7"), (40, "gone")), at(90)) == [(at(0), at(40))]


@pytest.mark.parametrize(
    ("span", "longest"), [((0, 1_000), 500), ((650, 1_000), 50), ((0, 201), 1), ((0, 200), 0)]
)
def test_the_longest_standstill_is_cut_to_the_span(span: tuple[int, int], longest: int) -> None:
    rows = states((0, "run"), (200, "futex 7"), (700, "run"), (750, "futex 7"), (760, "run"))
    assert longest_still_ns(rows, (at(span[0]), at(span[1]))) == longest * MS


def test_who_never_stood_still_has_no_longest_standstill() -> None:
    assert longest_still_ns(states((0, "run")), (at(0), at(100))) == 0
    assert longest_still_ns(NO_STATES, (at(0), at(100))) == 0


def test_state_at_is_the_one_in_force() -> None:
    rows = states((10, "run"), (20, "futex 7"))
    assert state_at(rows, at(9)) is None
    assert state_at(rows, at(10)) == rows[0]
    assert state_at(rows, at(19)) == rows[0]
    assert state_at(rows, at(500)) == rows[1]
    assert state_at(NO_STATES, at(5)) is None


# --- settling ------------------------------------------------------------------------------------


def test_one_sample_inside_a_still_span_names_all_of_it() -> None:
    record = worker(shown={1: [(0, 500, A), (500, 510, B), (510, 1000, A)]}, kernel={1: STOOD})
    # The longest of what was sampled inside: here that is A, seen for 300 ms before B.
    assert shown(record) == [(0, 1000, A)]
    record = worker(shown={1: [(0, 205, A), (480, 700, B), (700, 1000, A)]}, kernel={1: STOOD})
    assert shown(record) == [(0, 200, A), (200, 700, B), (700, 1000, A)]


def test_a_single_sample_at_one_hertz_is_enough() -> None:
    slow = segment(0, 1000, {1: [(0, 690, A), (690, 1000, B)]}, period_ns=1_000_000_000)
    assert shown(segments(slow, kernel={1: STOOD})) == [(0, 200, A), (200, 1000, B)]


def test_a_stack_left_over_from_before_the_span_is_no_evidence() -> None:
    # The sampler's last look was before the thread blocked, and it gave up soon after.
    record = segments(segment(0, 205, {1: [(0, 205, A)]}), kernel={1: STOOD})
    assert shown(record) == [(0, 200, A)]


def test_a_left_over_stack_yields_to_what_was_sampled_inside() -> None:
    record = worker(shown={1: [(0, 209, A), (209, 215, B), (900, 1000, C)]}, kernel={1: STOOD})
    assert shown(record) == [(0, 200, A), (200, 700, B), (900, 1000, C)]


def test_the_stack_after_the_span_is_what_was_sampled_then() -> None:
    record = worker(shown={1: [(0, 210, A), (210, 1000, B)]}, kernel={1: STOOD})
    assert shown(record) == [(0, 200, A), (200, 1000, B)]


@pytest.mark.parametrize(("length", "settled"), [(25, False), (29.9, False), (30, True)])
def test_only_standstills_longer_than_the_error_of_alignment_settle(
    length: float, *, settled: bool
) -> None:
    rows = states((0, "run"), (200, "futex 7"), (200 + length, "run"))
    record = worker(shown={1: [(0, 205, A), (205, 1000, B)]}, kernel={1: rows})
    bound = 200 if settled else 205
    assert shown(record) == [(0, bound, A), (bound, 1000, B)]


def test_a_dump_inside_a_still_span_wins_over_samples() -> None:
    record = worker(
        shown={1: [(0, 1000, A)]}, kernel={1: STOOD}, dumps=(dump(300, {1: B}), dump(100, {1: C}))
    )
    assert shown(record) == [(0, 200, A), (200, 700, B), (700, 1000, A)]


def test_a_dump_that_may_have_been_read_after_the_span_proves_nothing() -> None:
    record = worker(shown={1: [(0, 1000, A)]}, kernel={1: STOOD}, dumps=(dump(690, {1: B}),))
    assert shown(record) == [(0, 1000, A)]


@pytest.mark.parametrize(
    ("at_ms", "proven"), [(100, False), (199.9, False), (200, True), (640, True), (640.1, False)]
)
def test_a_dump_proves_the_span_it_was_surely_read_in(at_ms: float, *, proven: bool) -> None:
    (thread,) = build(worker(kernel={1: STOOD}, dumps=(dump(at_ms, {1: B}),)), STACKS, at(END))
    assert [*thread.intervals] == ([Interval(at(200), at(700), B)] if proven else [])
    assert thread.name == ""


def test_a_dump_of_other_threads_only_is_no_evidence_for_this_one() -> None:
    record = worker(shown={1: [(0, 1000, A)]}, kernel={1: STOOD}, dumps=(dump(300, {2: B}),))
    assert shown(record) == [(0, 1000, A)]
    assert shown(record, 2) == []


def test_a_dump_alone_names_a_thread_that_was_never_sampled() -> None:
    record = worker(kernel={1: STOOD}, dumps=(dump(300, {1: PARKED}),))
    assert shown(record) == [(200, 700, PARKED)]


def test_a_still_span_across_a_gap_between_segments_is_named_whole() -> None:
    first = segment(0, 300, {1: [(0, 205, A), (205, 300, B)]})
    second = segment(690, 1000, {1: [(690, 1000, C)]})
    record = segments(first, second, kernel={1: STOOD})
    # C was sampled from 690 on, 10 ms before the end of the span: B was seen for longer.
    assert shown(record) == [(0, 200, A), (200, 700, B), (700, 1000, C)]


def test_a_span_that_lasts_to_the_end_is_named_to_the_end() -> None:
    rows = states((0, "run"), (200, "epoll_wait 5"))
    record = segments(segment(0, 400, {1: [(0, 205, A), (205, 400, POLL)]}), kernel={1: rows})
    assert shown(record) == [(0, 200, A), (200, 1000, POLL)]


@pytest.mark.parametrize(("until_ms", "settled"), [(209.9, False), (210, True)])
def test_a_stack_that_lasts_a_whole_period_into_the_span_was_sampled_inside(
    until_ms: float, *, settled: bool
) -> None:
    record = worker(shown={1: [(0, until_ms, A)]}, kernel={1: STOOD})
    assert shown(record) == [(0, 700 if settled else 200, A)]


# --- properties -----------------------------------------------------------------------------------

kinds = st.sampled_from(["run", "futex 7", "epoll_wait 5", "clock_nanosleep", "stop", "queue"])
steps = st.lists(st.tuples(st.integers(1, 120), kinds), max_size=20)
shows = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 200), st.sampled_from([A, B, C])), max_size=15
)


def laid_out(steps_: list[tuple[int, int, Stack]], from_ms: float) -> list[Shown]:
    found, now = [], from_ms
    for gap, length, one in steps_:
        found.append((now + gap, now + gap + length, one))
        now += gap + length
    return found


@given(shows, shows, st.integers(0, 900), steps, st.booleans())
def test_intervals_never_overlap_and_stay_in_bounds(
    first: list[tuple[int, int, Stack]],
    second: list[tuple[int, int, Stack]],
    turn_ms: int,
    rows: list[tuple[int, str]],
    ended: bool,
) -> None:
    found = []
    for from_ms, one in ((0, laid_out(first, 0)), (turn_ms, laid_out(second, turn_ms))):
        end_ms = max([from_ms, *(end for _, end, _ in one)])
        found.append(segment(from_ms, end_ms, {1: one}))
    kernel, now = [], 0
    for gap, what in rows:
        now += gap
        kernel.append((now, what))
    if ended:
        kernel.append((now + 1, "gone"))
    record = segments(*found, kernel={1: states(*kernel)})
    for thread in build(record, STACKS, at(END)):
        assert all(i.start_ns < i.end_ns <= at(END) for i in thread.intervals)
        assert all(a.end_ns <= b.start_ns for a, b in pairwise(thread.intervals))
        joined: list[Interval] = list(thread.intervals)
        assert not any(a.end_ns == b.start_ns and a.stack == b.stack for a, b in pairwise(joined))


TENS = st.integers(0, 12).map(lambda n: 10 * n)


def spelled_out(
    rows: list[Shown], kernel: KernelStates, dumps: list[tuple[int, Stack]]
) -> list[Shown]:
    """What is shown of a thread, millisecond by millisecond."""
    spans = [(ms(a), ms(b)) for a, b in still_spans(kernel, at(END)) if b - a >= 30 * MS]
    told: list[Stack | None] = [None] * END
    for start, end, one in rows:
        for n in range(int(start), min(END, int(end))):
            told[n] = one
    for start, end in spans:
        lengths: dict[Stack, float] = {}
        for a, b, one in rows:
            length = min(b, end) - max(a, start)
            if length > 0 and (a >= start or length >= ms(at(0) + PERIOD_NS)):
                lengths[one] = lengths.get(one, 0) + length
        proven = max(lengths, key=lambda one: lengths[one], default=None)
        inside = (one for when, one in dumps if start <= when <= end - 60)
        told[int(start) : int(end)] = [next(inside, proven)] * int(end - start)
    found: list[Shown] = []
    for one, same in groupby(range(END), key=lambda n: told[n]):
        times = [*same]
        if one is not None:
            found.append((times[0], times[-1] + 1, one))
    return found


@given(
    st.lists(st.tuples(TENS, TENS.filter(bool), st.sampled_from([A, B, C])), max_size=12),
    st.lists(st.tuples(TENS.filter(bool), kinds), max_size=10),
    st.lists(st.tuples(TENS, st.sampled_from([A, B, C])), max_size=2),
)
def test_settling_is_what_it_says_millisecond_by_millisecond(
    steps_: list[tuple[int, int, Stack]],
    rows: list[tuple[int, str]],
    dumps: list[tuple[int, Stack]],
) -> None:
    kernel, now = [], 0
    for gap, what in rows:
        now += gap
        kernel.append((now, what))
    own, seen = states(*kernel), laid_out(steps_, 0)
    record = segments(
        segment(0, END, {1: seen}),
        kernel={1: own},
        dumps=tuple(dump(when, {1: one}) for when, one in dumps),
    )
    assert shown(record) == spelled_out(seen, own, dumps)


@given(shows, st.integers(1, 500))
def test_joining_segments_loses_no_time_that_either_saw(
    rows: list[tuple[int, int, Stack]], overlap_ms: int
) -> None:
    """Two segments that saw the same thread: what is shown is the union of both."""
    everything = laid_out([(0, length, one) for _, length, one in rows], 0)
    if not everything:
        return
    end_ms = everything[-1][1]
    cut = end_ms / 2
    old = [(a, min(b, cut + overlap_ms), s) for a, b, s in everything if a < cut + overlap_ms]
    new = [(max(a, cut), b, s) for a, b, s in everything if b > cut]
    record = segments(
        segment(0, min(cut + overlap_ms, end_ms), {1: old}), segment(cut, end_ms, {1: new})
    )
    got = shown(record, end_ms=end_ms)
    assert sum(b - a for a, b, _ in got) == sum(b - a for a, b, _ in everything)


def test_a_sample_that_took_long_proves_only_what_it_was_surely_read_in() -> None:
    """With very many threads it shows what this one did up to so long before."""
    shown = segment(0, 1000, {1: [(100, 250, A), (250, 800, B), (800, 1000, A)]})
    quick, slow = replace(shown, takes_ns=10_000_000), replace(shown, takes_ns=100_000_000)
    stood = replace(worker(kernel={1: STOOD}), segments=(quick,))  # from 200 to 700 ms
    assert [each.stack for each in build(stood, STACKS, at(END))[0].intervals] == [A, B, A]
    (thread,) = build(replace(stood, segments=(slow,)), STACKS, at(END))
    assert [*thread.intervals] == [Interval(at(200), at(700), B)]
    (thread,) = build(
        replace(stood, segments=(replace(shown, late_ns=500_000_000),)), STACKS, at(END)
    )
    assert not [i for i in thread.intervals if at(200) <= i.start_ns < at(700)]
    late = segment(0, 1000, {1: [(290, 1000, A)]}, 500_000_000)
    (thread,) = build(
        replace(stood, segments=(replace(late, takes_ns=100_000_000),)), STACKS, at(END)
    )
    assert [*thread.intervals] == []
