"""Who held the GIL, in columns: which rows are of an interpreter, and which one is in force."""

from __future__ import annotations

import pytest

from waitspy.model.gil import GilState, GilStates

ROWS = [
    GilState(10, 0, 7, collects=False),
    GilState(15, 3, 8, collects=True),
    GilState(20, 0, None, collects=True),
    GilState(30, 0, 9, collects=False),
]


def test_each_row_is_read_as_it_was_also_where_nobody_held_it() -> None:
    made = GilStates.of(ROWS)
    assert list(made) == [made[n] for n in range(4)] == ROWS
    assert made[1:3] == ROWS[1:3]
    assert isinstance(made[1:3], GilStates)
    assert type(made[0].collects) is bool
    assert len(GilStates.of()) == 0


def test_interpreters_are_told_apart() -> None:
    made = GilStates.of(ROWS)
    assert made.of_interpreter(3) == ROWS[1:2]
    assert made.of_interpreter(0) == [row for row in ROWS if row.interpreter == 0]
    assert made.of_interpreter(1) == []
    only = made.of_interpreter(0)
    assert only.of_interpreter(0) is only, "no copy of an hour, where there is one interpreter"


@pytest.mark.parametrize(("at_ns", "row"), [(9, -1), (10, 0), (19, 0), (20, 1), (31, 2)])
def test_a_row_is_in_force_from_its_time_until_the_next_one(at_ns: int, row: int) -> None:
    assert GilStates.of(ROWS).of_interpreter(0).index_at(at_ns) == row
