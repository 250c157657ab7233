"""Who held the GIL, and for how long garbage was collected, by what our own sampler saw."""

from __future__ import annotations

from dataclasses import replace

from tests.examples.build import POLL, at, ms, segment, with_gil, worker
from waitspy.judge import gil
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import Segment

Row = tuple[float, int | None, bool]


def seen(*parts: tuple[float, float, tuple[Row, ...]], interpreter: int = 0) -> WorkerRecord:
    """A worker that was sampled in parts: from, to, and what was seen of the GIL meanwhile."""
    made = worker()
    segments: list[Segment] = []
    for start_ms, end_ms, rows in parts:
        one = segment(start_ms, end_ms, {100: [(start_ms, end_ms, POLL)]})
        segments += with_gil(
            replace(made, segments=(one,)), *rows, interpreter=interpreter
        ).segments
    return replace(made, segments=tuple(segments))


def held(
    record: WorkerRecord, start_ms: float, end_ms: float
) -> dict[int, list[tuple[float, float]]]:
    told = gil.held(record, (at(start_ms), at(end_ms)))
    return {tid: [(ms(start), ms(end)) for start, end in spans] for tid, spans in told.items()}


def collecting_ms(record: WorkerRecord, start_ms: float, end_ms: float) -> float:
    return gil.collecting_ns(record, 0, (at(start_ms), at(end_ms))) / 1e6


def test_each_thread_held_the_gil_until_another_one_was_seen_with_it() -> None:
    record = seen((0, 500, ((10, 7, False), (100, None, False), (200, 8, False), (300, 7, False))))
    assert held(record, 0, 1_000) == {7: [(10, 100), (300, 500)], 8: [(200, 300)]}
    assert held(record, 50, 250) == {7: [(50, 100)], 8: [(200, 250)]}


def test_who_let_go_of_the_gil_as_a_span_begins_did_not_hold_it_then() -> None:
    record = seen((0, 500, ((0, 7, False),)), (600, 900, ((600, 8, False),)))
    assert held(record, 500, 700) == {8: [(600, 700)]}
    assert held(record, 500, 600) == {}


def test_the_gil_of_another_interpreter_is_another_one() -> None:
    assert held(seen((0, 500, ((0, 7, False),)), interpreter=3), 0, 500) == {}


def test_collections_count_in_each_part_of_a_recording_and_nowhere_else() -> None:
    collects: tuple[Row, ...] = ((100, 7, True), (200, 7, False))
    later: tuple[Row, ...] = ((700, 7, True), (750, 7, False))
    record = seen((0, 500, collects), (600, 900, later))
    assert collecting_ms(record, 0, 900) == 150
    assert collecting_ms(record, 150, 720) == 70


def test_what_always_collects_says_nothing_after_a_gap_either() -> None:
    always = seen((0, 500, ((100, 7, True),)), (600, 900, ((600, 7, True),)))
    assert collecting_ms(always, 0, 900) == 0


def test_a_collection_that_is_over_after_a_gap_was_one() -> None:
    over = seen((0, 500, ((100, 7, True),)), (600, 900, ((600, 7, False),)))
    assert collecting_ms(over, 0, 900) == 400


def test_a_collection_without_an_end_counts_beside_one_that_was_seen_to_end() -> None:
    ends: tuple[Row, ...] = ((600, 7, True), (650, 7, False))
    assert collecting_ms(seen((0, 500, ((400, 7, True),)), (600, 900, ends)), 0, 900) == 150
    goes_on: tuple[Row, ...] = ((0, 7, True), (50, 7, False), (400, 7, True))
    assert collecting_ms(seen((0, 500, goes_on)), 0, 900) == 150
