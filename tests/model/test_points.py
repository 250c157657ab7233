"""A number over time: pairs that come out as they went in."""

from __future__ import annotations

from waitspy.model.columns import int64s
from waitspy.model.points import Points


def test_each_row_is_a_time_and_the_number_from_then_on() -> None:
    points = Points(int64s([10, 20, 30]), int64s([1, 0, 5]))
    assert list(points) == [points[0], points[1], points[2]] == [(10, 1), (20, 0), (30, 5)]
    assert (points.at_ns.tolist(), points.number.tolist()) == ([10, 20, 30], [1, 0, 5])


def test_a_part_of_them_is_of_the_same_kind() -> None:
    later = Points(int64s([10, 20, 30]), int64s([1, 0, 5]))[1:]
    assert isinstance(later, Points)
    assert later == [(20, 0), (30, 5)]
