"""Who has stayed in a list that counts nothing, by its order."""

from __future__ import annotations

import pytest

from waitspy.remote.waiting_lines import Order, Stay, _in_order


def order(tasks: str, objects: str = "") -> Order:
    """Tasks by their letters, each at the place of that object: their own ones, without."""
    pairs = zip(tasks, objects or tasks, strict=True)
    return Order(tuple((ord(task), ord(one)) for task, one in pairs))


@pytest.mark.parametrize(
    ("before", "now", "stayed", "left"),
    [
        ("abc", "abc", "abc", 0),
        ("abc", "bc", "bc", 1),
        ("abc", "abcd", "abc", 0),
        ("abc", "bca", "bc", 1),
        ("abc", "cab", "c", 2),
        ("abc", "bda", "b", 2),
        ("abc", "da", "a", 2),
        ("", "ab", "", 0),
        ("ab", "", "", 2),
    ],
)
def test_who_is_behind_somebody_that_was_behind_it_has_come_again(
    before: str, now: str, stayed: str, left: int
) -> None:
    assert _in_order(order(before), order(now)) == Stay(frozenset(map(ord, stayed)), left)


def test_another_object_is_another_wait() -> None:
    assert _in_order(order("ab", "xy"), order("ab", "xz")) == Stay(frozenset({ord("a")}), 1)
