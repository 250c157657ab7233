"""Spans of time: every operation against the same one spelled out in single nanoseconds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import Span, apart
from waitspy.judge.spans import (
    common,
    grouped,
    inside,
    outside,
    overlaps,
    pairs,
    pieces,
    runs,
    union,
    without,
)
from waitspy.model.columns import Int64s, int64s
from waitspy.model.threads import Interval

ANY = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda one: (one[0], one[0] + one[1]))
LASTING = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(
    lambda one: (one[0], one[0] + one[1])
)
SORTED = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8)), max_size=8).map(apart)
TIMES = st.lists(st.integers(0, 60), max_size=10)


def covered(some: list[Span]) -> set[int]:
    return {ns for start_ns, end_ns in some for ns in range(start_ns, end_ns)}


def columns(some: list[Span]) -> tuple[Int64s, Int64s]:
    return int64s(start for start, _ in some), int64s(end for _, end in some)


# --- pairs of nanoseconds -------------------------------------------------------------------------


@given(st.lists(ANY, max_size=8))
def test_a_union_is_sorted_apart_and_covers_the_same(some: list[Span]) -> None:
    joined = union(some)
    assert covered(joined) == covered(some)
    assert all(one[1] < other[0] for one, other in pairwise(joined))
    assert {edge for one in joined for edge in one} <= {edge for one in some for edge in one}


def test_spans_that_touch_are_joined() -> None:
    assert union([(5, 9), (1, 5), (20, 30), (22, 25)]) == [(1, 9), (20, 30)]
    assert union([]) == []


@given(LASTING, SORTED)
def test_without_holes_the_rest_is_left(span: Span, holes: list[Span]) -> None:
    left = without(span, holes)
    assert covered(left) == covered([span]) - covered(holes)
    assert all(start < end for start, end in left)
    assert all(one[1] <= other[0] for one, other in pairwise(left))


def test_a_span_without_length_leaves_nothing() -> None:
    assert without((5, 5), []) == []
    assert without((5, 9), [(0, 20)]) == []


@given(SORTED, SORTED)
def test_common_is_what_lies_in_both(some: list[Span], others: list[Span]) -> None:
    both = common(some, others)
    assert covered(both) == covered(some) & covered(others)
    assert all(start < end for start, end in both)
    assert common(others, some) == both


@given(LASTING, SORTED)
def test_overlaps_asks_for_time_that_is_shared(span: Span, others: list[Span]) -> None:
    assert overlaps(span, others) == bool(covered([span]) & covered(others))


@given(TIMES.map(sorted), ANY)
def test_inside_leaves_out_the_bounds(times: list[int], span: Span) -> None:
    assert list(inside(times, span)) == [t for t in times if span[0] < t < span[1]]


@given(st.lists(LASTING, max_size=8), SORTED)
def test_items_are_grouped_by_the_spans_they_share_time_with(
    items: list[Span], some: list[Span]
) -> None:
    lasting = [Interval(start, end, ()) for start, end in items]
    expected = [
        [one for one in lasting if one.start_ns < end and start < one.end_ns] for start, end in some
    ]
    assert grouped(lasting, some) == expected


# --- columns ------------------------------------------------------------------------------------


@given(SORTED, TIMES)
def test_pieces_are_the_spans_cut_at_those_times(some: list[Span], cuts: list[int]) -> None:
    expected = [
        (a, b, n)
        for n, (start, end) in enumerate(some)
        for a, b in pairwise(sorted({start, end, *(at for at in cuts if start < at < end)}))
    ]
    found = pieces(*columns(some), int64s(cuts))
    assert [*zip(*(one.tolist() for one in found), strict=True)] == expected


@given(SORTED, SORTED)
def test_outside_is_what_lies_in_no_hole(some: list[Span], holes: list[Span]) -> None:
    found = outside(*columns(some), *columns(holes))
    assert found == [part for span in some for part in without(span, holes)]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8))
def test_pairs_are_each_span_with_each_of_its_items(bounds: list[Span]) -> None:
    first, last = columns(bounds)
    expected = [(n, item) for n, (a, b) in enumerate(bounds) for item in range(a, b)]
    span, item = pairs(first, first, last)
    assert [*zip(span.tolist(), item.tolist(), strict=True)] == expected


@given(SORTED, st.data())
def test_runs_begin_where_spans_part_or_differ(some: list[Span], data: st.DataObject) -> None:
    draw = st.lists(st.integers(0, 2), min_size=len(some), max_size=len(some))
    first, second = data.draw(draw), data.draw(draw)
    expected = [
        n
        for n in range(len(some))
        if n == 0
        or some[n][0] != some[n - 1][1]
        or (first[n], second[n]) != (first[n - 1], second[n - 1])
    ]
    starts, ends = columns(some)
    assert runs(ends, starts, int64s(first), int64s(second)).tolist() == expected
