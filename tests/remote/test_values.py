"""Values that count or choose."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitspy.model.stacks import Frame
from waitspy.remote.loops import owner_in_frames
from waitspy.remote.values import Service, TaskFacts


@given(st.lists(st.sampled_from(["append", "popleft"])))
def test_served_and_added(changes: list[str]) -> None:
    queue: deque[int] = deque()
    before = Service(len(queue), 7)
    state, served, added = 7, 0, 0
    for change in changes:
        if change == "append":
            queue.append(1)
            added += 1
        elif queue:
            queue.popleft()
            served += 1
        else:
            continue
        state += 1
    after = Service(len(queue), state)
    assert (after.served_since(before), after.added_since(before)) == (served, added)


def test_a_read_within_a_change_is_one_off_at_most() -> None:
    before = Service(3, 100)
    assert Service(2, 100).served_since(before) == 0  # the size changed, the counter not yet
    assert Service(4, 100).served_since(before) == 0
    assert Service(2, 103).served_since(before) == 2  # two popleft and one append


def test_another_queue_tells_nothing() -> None:
    assert Service(0, 5).served_since(Service(0, 100)) is None
    assert Service(0, 5).added_since(Service(0, 100)) is None


def test_where_a_task_stands() -> None:
    frames = (Frame("a", "a.py", 1), Frame("b", "b.py", 2), Frame("c", "c.py", None))
    assert TaskFacts(1, "t", "a", frames).where == frames[1]
    assert TaskFacts(1, "t", "a").where is None


@pytest.mark.parametrize(
    ("holders", "owner"),
    [
        ({}, None),
        ({7: "local"}, 7),
        ({7: "attribute"}, 7),
        ({7: "attribute", 8: "local"}, 8),
        ({7: "local", 8: "local"}, None),
        ({7: "attribute", 8: "attribute"}, None),
    ],
)
def test_one_holder_is_the_owner(holders: dict[int, str], owner: int | None) -> None:
    assert owner_in_frames(holders) == owner
