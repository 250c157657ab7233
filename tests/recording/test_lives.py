"""Stacks end with the life of their thread, by the kernel's rows or by what was sampled last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import POLL, START_NS, Shown, Trace, apart, at, ms, segment, stack, states
from tests.examples.recording_examples import WORKER, load, write
from waitspy.model.columns import Int64s
from waitspy.model.threads import KernelStates, SampledThread, Segment
from waitspy.recording.lives import bounded
from waitspy.recording.threads import ThreadRow

A = stack("run@/app/a.py:3 > work@/app/a.py:9")
B = stack("run@/app/a.py:3 > rest@/app/a.py:20")
RUNS = states((0, "run"))
PERIOD_MS = 10


def shown(segments: Sequence[Segment], tid: int) -> list[Shown]:
    return [
        (ms(i.start_ns), ms(i.end_ns), i.stack)
        for one in segments
        for thread in one.threads
        if thread.tid == tid
        for i in thread.intervals
    ]


def lived(*segments: Segment, rows: Mapping[int, KernelStates], tid: int = 2) -> list[Shown]:
    return shown(bounded(segments, rows), tid)


# --- by the kernel ------------------------------------------------------------------------------


def test_the_last_stack_of_a_thread_ends_where_the_kernel_saw_its_end() -> None:
    one = segment(0, 1000, {1: [(0, 1000, A)], 2: [(0, 300, A), (300, 1000, B)]})
    rows = {1: RUNS, 2: states((0, "run"), (400, "gone"))}
    assert lived(one, rows=rows) == [(0, 300, A), (300, 400, B)]
    assert lived(one, rows=rows, tid=1) == [(0, 1000, A)]


def test_a_later_thread_with_the_same_id_has_its_own_time() -> None:
    one = segment(0, 1000, {2: [(0, 700, A), (700, 1000, B)]})
    rows = {2: states((0, "run"), (200, "gone"), (650, "run"), (900, "gone"))}
    assert lived(one, rows=rows) == [(0, 200, A), (650, 700, A), (700, 900, B)]


def test_nothing_is_shown_of_a_thread_that_had_ended_before() -> None:
    one = segment(0, 1000, {2: [(500, 1000, A)]})
    assert lived(one, rows={2: states((0, "run"), (400, "gone"))}) == []


# --- between two looks --------------------------------------------------------------------------


def test_a_thread_that_nobody_saw_lived_for_one_sample_after_its_last_change() -> None:
    one = segment(0, 7000, {1: [(0, 7000, A)], 2: [(100, 7000, A)]})
    assert lived(one, rows={1: RUNS}) == [(100, 100 + PERIOD_MS, A)]
    changed = segment(0, 7000, {1: [(0, 7000, A)], 2: [(100, 110, A), (110, 7000, B)]})
    assert lived(changed, rows={1: RUNS}) == [(100, 110, A), (110, 110 + PERIOD_MS, B)]


def test_a_thread_that_the_next_segment_shows_as_well_was_alive_until_then() -> None:
    first = segment(0, 3000, {1: [(0, 3000, A)], 2: [(100, 3000, A)]})
    second = segment(2000, 6000, {1: [(2000, 6000, A)], 2: [(2000, 6000, A)]})
    assert lived(first, second, rows={1: RUNS}) == [
        (100, 2000 + PERIOD_MS, A),
        (2000, 2000 + PERIOD_MS, A),
    ]


def test_no_row_of_any_thread_tells_nothing_of_their_lives() -> None:
    one = segment(0, 7000, {1: [(0, 7000, A)], 2: [(100, 7000, A)]})
    assert bounded([one], {}) == (one,)
    assert bounded([one], {9: RUNS}) == (one,)


def test_the_main_thread_lives_even_if_its_id_is_another_ones() -> None:
    # As in a fork of which Python was not told.
    (one,) = [segment(0, 7000, {1: [(0, 7000, A)], 2: [(100, 7000, A)]})]
    main = SampledThread(2, "MainThread", one.threads[1].intervals)
    forked = Segment(one.start_ns, one.end_ns, one.period_ns, (one.threads[0], main))
    assert lived(forked, rows={1: RUNS}) == [(100, 7000, A)]


def test_threads_without_a_stack_are_left_alone() -> None:
    one = segment(0, 7000, {1: [(0, 7000, A)], 2: []})
    assert bounded([one], {1: RUNS}) == (one,)


spans = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 90)), max_size=8).map(apart)


@given(spans, spans)
def test_what_is_shown_of_a_thread_lies_in_its_life(
    stacks: list[tuple[int, int]], deaths: list[tuple[int, int]]
) -> None:
    rows = states(
        (0, "run"), *((t, what) for a, b in deaths for t, what in ((a + 1, "gone"), (b + 1, "run")))
    )
    one = segment(0, 2000, {2: [(a, b, (A, B)[n % 2]) for n, (a, b) in enumerate(stacks)]})
    dead = [(a + 1, b + 1) for a, b in deaths]
    found = lived(one, rows={2: rows})
    for n in range(2000):
        here = [s for a, b, s in found if a <= n < b]
        there = [s for a, b, s in shown([one], 2) if a <= n < b]
        assert here == ([] if any(a <= n < b for a, b in dead) else there)
    assert [a for a, _, _ in found] == sorted(a for a, _, _ in found)


# --- in a recording -----------------------------------------------------------------------------

SHORT = stack("Thread.run@/usr/lib/python3.12/threading.py:1010 > fetch@/app/a.py:5")


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """Seven seconds; sixteen threads of four milliseconds were each met by one sample."""
    trace = Trace(7).show(1_000, 1, "thread (7): MainThread", POLL)
    for n in range(16):
        trace.show(1_000 + n * 10_000, 100 + n, f"thread ({20 + n}): Thread-{n}", SHORT)
    path = write(
        tmp_path / "rec",
        segments=[
            {"pid": 7, "n": 0, "file": "7-0.trace.json", "zero_ns": START_NS, "rate_hz": 100,
             "end_ns": at(7_000), "samples": 700 + 16 - 28, "errors": 0}
        ],
        end_ns=at(7_001),
    )  # fmt: skip
    (path / "stacks" / "7-0.trace.json").write_text(trace.end(7_001_000), "utf-8")
    (path / "oracles" / "threads" / "7.jsonl").unlink()
    rows = [ThreadRow(at(0), 7, "S", 232, 5, 100, 0)]
    head = {"type": "start", "oracle": "threads", "pid": 7}
    lines = [
        json.dumps(head),
        *(json.dumps([*(getattr(r, f) for f in r.__struct_fields__)]) for r in rows),
    ]
    text = "\n".join([*lines, json.dumps({"type": "end", "why": "the capture ended"})])
    (path / "oracles" / "threads" / "7.jsonl").write_text(text + "\n", "utf-8")
    return path


def length_ms(starts: Int64s, ends: Int64s) -> float:
    return float((ends - starts).sum()) / 1e6


def test_threads_shorter_than_a_sample_take_their_own_time_only(crowded: Path) -> None:
    recording = load(crowded)
    assert recording.losses == ()  # they are no threads that the process does not have
    (record,) = recording.workers
    (one,) = record.segments
    lengths = {t.tid: length_ms(t.intervals.start_ns, t.intervals.end_ns) for t in one.threads}
    assert lengths.pop(7) == pytest.approx(7_000, abs=2)
    assert sum(lengths.values()) == pytest.approx(16 * PERIOD_MS)


def test_the_rate_is_that_of_the_samplers_ticks(crowded: Path) -> None:
    (record,) = load(crowded).workers
    assert record.missed_samples == pytest.approx(28, abs=1)
    assert record.rate_hz == pytest.approx(96, abs=0.2)


def test_a_worker_that_nobody_could_ask_keeps_what_was_sampled(crowded: Path) -> None:
    meta = json.loads((crowded / "meta.json").read_text("utf-8"))
    meta["workers"] = [WORKER | {"oracles": {"threads": "not permitted"}}]
    (crowded / "meta.json").write_text(json.dumps(meta), "utf-8")
    (crowded / "oracles" / "threads" / "7.jsonl").unlink()
    (record,) = load(crowded).workers
    (one,) = record.segments
    assert max(int(t.intervals.end_ns[-1]) for t in one.threads) == at(7_000)
