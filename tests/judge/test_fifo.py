"""Who waited in a queue, from its counts."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from waitspy.judge.fifo import Waiting, late


def test_nothing_waited_in_an_empty_queue() -> None:
    assert late([], 0, 100) == []
    assert late([(0, 0, 0), (50, 0, 7)], 0, 100) == []


def test_the_first_to_come_is_the_first_to_go() -> None:
    counts = [(0, 1, 0), (10, 3, 0), (40, 2, 1), (70, 0, 3)]
    assert late(counts, 0, 100) == [Waiting(0, 1, 0, 40), Waiting(1, 2, 10, 70)]
    assert late(counts, 50, 100) == [Waiting(1, 2, 10, 70)]


def test_what_is_never_taken_waits_to_the_end() -> None:
    assert late([(0, 2, 5)], 0, 100) == [Waiting(5, 2, 0, 100)]


def test_items_that_come_and_go_between_two_looks_did_not_wait() -> None:
    assert late([(0, 1, 0), (10, 1, 4), (20, 0, 5)], 0, 100) == [
        Waiting(0, 1, 0, 10),
        Waiting(4, 1, 10, 20),
    ]


def test_what_comes_after_the_end_is_not_looked_at() -> None:
    assert late([(0, 1, 0), (200, 0, 1)], 0, 100) == [Waiting(0, 1, 0, 100)]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60))
def test_it_tells_what_a_simulated_queue_did(steps: list[tuple[int, int]]) -> None:
    queue: deque[tuple[int, int]] = deque()
    counts, waits, number, taken = [], {}, 0, 0
    for at, (puts, gets) in enumerate(steps):
        for _ in range(min(gets, len(queue))):
            n, since = queue.popleft()
            waits[n] = (since, at)
            taken += 1
        for _ in range(puts):
            queue.append((number, at))
            number += 1
        counts.append((at, len(queue), taken))
    end = len(steps)
    waits.update({n: (since, end) for n, since in queue})
    told = {
        n: (one.start_ns, one.end_ns)
        for one in late(counts, 0, end)
        for n in range(one.first, one.first + one.count)
    }
    assert told == waits
