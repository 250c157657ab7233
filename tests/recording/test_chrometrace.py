"""py-spy's trace: stacks per thread on the common clock, and what a torn one still gives."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import STACKS, Trace, stack
from waitspy.model.stacks import Frame, Stack, StackTable
from waitspy.model.threads import Interval, Intervals, SampledThread, Segment
from waitspy.recording.chrometrace import NativeIds, parse
from waitspy.recording.trace_events import TracedFrames

ZERO = 5_000_000_000_000
PERIOD = 10_000_000
A = stack("main@/app/a.py:3 > work@/app/a.py:9")
B = stack("main@/app/a.py:3 > rest@/app/a.py:20")
ROOT = "thread (11): MainThread"


def us(n: int) -> int:
    return ZERO + n * 1000


def parsed(text: str, end_ns: int | None = None, native_ids: NativeIds = ()) -> Segment:
    """The segment of a file with that text."""
    return parse(text.encode(), STACKS, ZERO, PERIOD, end_ns, native_ids)


def only(segment: Segment) -> SampledThread:
    assert len(segment.threads) == 1
    return segment.threads[0]


def test_stacks_get_times_on_the_common_clock() -> None:
    text = Trace().show(50, 7, ROOT, A).show(80, 7, ROOT, B).end(120)
    segment = parsed(text)
    assert (segment.start_ns, segment.end_ns, segment.period_ns) == (us(50), us(120), PERIOD)
    expected = [Interval(us(50), us(80), A), Interval(us(80), us(120), B)]
    assert only(segment) == SampledThread(11, "MainThread", Intervals.of(expected, STACKS))


def test_a_changed_line_is_another_stack() -> None:
    later = (A[0], Frame("work", "/app/a.py", 10))
    text = Trace().show(0, 7, ROOT, A).show(10, 7, ROOT, later).end(30)
    assert [i.stack for i in only(parsed(text)).intervals] == [A, later]


def test_events_of_other_threads_do_not_cut_an_interval() -> None:
    trace = Trace().show(0, 7, ROOT, A).show(5, 8, "thread (12): other", B)
    text = trace.show(9, 8, "thread (12): other", A).end(30)
    main, other = parsed(text).threads
    assert main.intervals == (Interval(us(0), us(30), A),)
    assert [i.end_ns for i in other.intervals] == [us(9), us(30)]


def test_a_recycled_pthread_id_is_another_thread() -> None:
    trace = Trace().show(0, 7, "thread (11): first", A)
    text = trace.show(40, 7, "thread (12): second", A).end(90)
    first, second = parsed(text).threads
    assert first == SampledThread(11, "first", Intervals.of([Interval(us(0), us(40), A)], STACKS))
    assert second == SampledThread(
        12, "second", Intervals.of([Interval(us(40), us(90), A)], STACKS)
    )


def test_a_thread_that_comes_back_on_another_pthread_id_is_one_thread() -> None:
    trace = Trace().show(0, 7, ROOT, A).show(50, 7, "thread (12): x", B)
    text = trace.show(60, 8, ROOT, A).end(90)
    main = next(t for t in parsed(text).threads if t.tid == 11)
    assert main.intervals == (Interval(us(0), us(50), A), Interval(us(60), us(90), A))


@pytest.mark.parametrize(
    ("root", "tid", "name"),
    [
        ("thread (4711): MainThread", 4711, "MainThread"),
        ("thread (0x7F3A): MainThread", 0x7F3A, "MainThread"),
        ("thread (4711)", 4711, ""),
        ("thread (4711): ", 4711, ""),
        ("thread (4711): a: b (2): c", 4711, "a: b (2): c"),
        ("thread (4711): two\nlines", 4711, "two\nlines"),
    ],
)
def test_the_root_frame_names_the_thread(root: str, tid: int, name: str) -> None:
    thread = only(parsed(Trace().show(0, 7, root, A).end(10)))
    assert (thread.tid, thread.name) == (tid, name)
    assert thread.intervals[0].stack == A


def native(*noted: tuple[int, int, int], start_us: int = 0) -> list[int]:
    """Thread ids of one thread with pthread id 0x7F, noted at those times (milliseconds)."""
    text = Trace().show(start_us, 0x7F, "thread (0x7F): x", A).end(start_us + 10)
    known = [(ZERO + at_ms * 1_000_000, pthread, tid) for at_ms, pthread, tid in noted]
    return [t.tid for t in parsed(text, None, known).threads]


def test_a_pthread_id_is_translated_by_what_was_noted() -> None:
    assert native((0, 0x7F, 4711)) == [4711]
    assert native((0, 0x80, 4711)) == [0x7F]
    assert native() == [0x7F]


def test_a_recycled_pthread_id_means_the_thread_that_had_it_then() -> None:
    noted = ((0, 0x7F, 11), (500, 0x7F, 12))
    assert native(*noted, start_us=100_000) == [11]
    assert native(*noted, start_us=499_000) == [12]  # a thread is noted a little after it starts
    assert native(*noted, start_us=900_000) == [12]


def test_a_thread_that_was_noted_late_is_still_that_one() -> None:
    assert native((300, 0x7F, 11)) == [11]


def test_an_id_of_another_pid_namespace_is_translated_by_what_was_noted() -> None:
    text = Trace().show(0, 0x7F, "thread (17): x", A).show(0, 0x80, "thread (18): y", A).end(10)
    threads = parsed(text, None, [(ZERO, 17, 4711), (ZERO, 0x80, 4712)]).threads
    assert [(thread.tid, thread.name) for thread in threads] == [(18, "y"), (4711, "x")]


def test_a_function_named_like_a_root_is_a_frame() -> None:
    odd: Stack = (Frame("thread (99): fake", "/app/a.py", 1), *A)
    thread = only(parsed(Trace().show(0, 7, ROOT, odd).end(10)))
    assert (thread.tid, thread.intervals[0].stack) == (11, odd)


def test_line_zero_is_unknown_and_a_missing_file_is_empty() -> None:
    events = [
        {"name": ROOT, "ph": "B", "tid": 7, "ts": 0},
        {"name": "f", "ph": "B", "tid": 7, "ts": 0, "args": {"filename": None, "line": 0}},
        {"name": "g", "ph": "B", "tid": 7, "ts": 0},
        {"name": "g", "ph": "E", "tid": 7, "ts": 10},
    ]
    thread = only(parsed(json.dumps(events)))
    assert thread.intervals[0].stack == (Frame("f", "", None), Frame("g", "", None))


def test_nothing_is_said_of_times_after_the_sampler_ended() -> None:
    text = Trace().show(0, 7, ROOT, A).show(60, 7, ROOT, B).end(90)
    segment = parsed(text, us(40))
    assert segment.end_ns == us(40)
    assert only(segment).intervals == (Interval(us(0), us(40), A),)


def test_a_late_reaped_sampler_says_nothing_beyond_its_last_event() -> None:
    segment = parsed(Trace().show(0, 7, ROOT, A).end(90), us(5_000))
    assert segment.end_ns == us(90)


def test_times_that_go_back_are_refused_before_anything_is_kept_of_them() -> None:
    text = Trace().show(9, 7, ROOT, stack("odd@/app/odd.py:1")).show(5, 7, ROOT, A).end(30)
    known = len(STACKS)
    with pytest.raises(ValueError, match="go back"):
        parsed(text)
    assert len(STACKS) == known


def test_a_thread_shows_on_two_pthread_ids_what_ended_first_first() -> None:
    trace = Trace().show(0, 7, ROOT, A).show(5, 8, ROOT, B).show(20, 7, ROOT, B)
    shown = only(parsed(trace.end(40))).intervals
    assert [(i.start_ns, i.end_ns, i.stack) for i in shown] == [
        (us(0), us(20), A), (us(20), us(40), B), (us(5), us(40), B),
    ]  # fmt: skip


def test_frames_of_a_trace_before_have_the_same_stacks() -> None:
    known, table = TracedFrames(), StackTable()
    traces = [
        Trace().show(0, 7, ROOT, A).show(10, 7, ROOT, B).end(20),
        Trace().show(0, 7, ROOT, B).show(10, 7, ROOT, A).end(20),
    ]
    alone = [parse(text.encode(), StackTable(), ZERO, PERIOD) for text in traces]
    for text, expected in zip(traces, alone, strict=True):
        found = parse(text.encode(), table, ZERO, PERIOD, known=known)
        assert [i.stack for i in only(found).intervals] == [
            i.stack for i in only(expected).intervals
        ]


def test_no_sample_at_all_is_an_empty_segment() -> None:
    assert parsed("[]") == Segment(ZERO, ZERO, PERIOD, ())


@pytest.mark.parametrize(
    "text",
    ["", "[", "{}", "null", "[1]", '["x"]', '[{"ts": 1}]', '{"traceEvents": []}', "Error: no"],
)
def test_what_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(text)


def covers(whole: Segment, part: Segment) -> bool:
    """Whether the part shows only what the whole shows at the same time."""
    shown = {t.tid: t.intervals for t in whole.threads}
    return all(
        any(w.start_ns <= i.start_ns and i.end_ns <= w.end_ns and w.stack == i.stack for w in mine)
        for t in part.threads
        for mine in [shown[t.tid]]
        for i in t.intervals
    )


def test_a_trace_cut_at_any_byte_gives_only_what_was_there() -> None:
    trace = Trace().show(0, 7, ROOT, A).show(5, 8, "thread (12): pool[1]", B)
    text = trace.show(20, 7, ROOT, B).show(31, 8, "thread (12): pool[1]", A).end(40)
    whole = parsed(text)
    salvaged = 0
    for length in range(len(text)):
        try:
            part = parsed(text[:length])
        except ValueError:
            # Nothing to salvage before the second event is complete.
            assert text[:length].count("},{") < 1
            continue
        assert covers(whole, part)
        assert part.end_ns <= whole.end_ns
        salvaged += bool(part.threads)
    assert salvaged > len(text) / 2


def test_a_name_that_looks_like_the_end_of_an_event_does_not_hinder_the_salvage() -> None:
    hostile = (*A, Frame("f},{g", "/app/},{.py", 3))
    text = Trace().show(0, 7, ROOT, A).show(20, 7, ROOT, hostile).end(40)
    cut = text.rindex("},{.py") + len("},{.")
    segment = parsed(text[:cut])
    assert only(segment).intervals[0] == Interval(us(0), us(20), A)


@given(st.text(st.characters(categories=("L", "P", "Z", "C")), max_size=40))
def test_any_name_becomes_valid_text_and_keeps_its_place(name: str) -> None:
    """Names can hold lone surrogates, as escapes of the JSON file."""
    odd = (A[0], Frame(name, name, 4))
    text = Trace().show(0, 7, f"thread (11): {name}", odd).end(10)
    thread = only(parsed(text))
    shown = thread.intervals[0].stack[-1]
    for value in (thread.name, shown.function, shown.file):
        value.encode("utf-8")
        assert len(value) == len(name)
    if name.encode("utf-8", "ignore").decode() == name:
        assert (thread.name, shown.function, shown.file) == (name, name, name)


stacks = st.lists(st.sampled_from([*A, *B]), min_size=1, max_size=4).map(tuple)
shows = st.tuples(st.integers(1, 50), st.sampled_from([7, 8]), st.integers(1, 4), stacks)


@given(st.lists(shows, max_size=30))
def test_a_thread_never_shows_two_stacks_at_once(rows: list[tuple[int, int, int, Stack]]) -> None:
    trace, at_us = Trace(), 0
    for step, pthread, tid, shown in rows:
        at_us += step
        trace.show(at_us, pthread, f"thread ({pthread * 10 + tid})", shown)
    segment = parsed(trace.end(at_us + 1))
    for thread in segment.threads:
        ends = [segment.start_ns, *(i.end_ns for i in thread.intervals)]
        for end_ns, interval in zip(ends, thread.intervals, strict=False):
            assert end_ns <= interval.start_ns < interval.end_ns <= segment.end_ns
