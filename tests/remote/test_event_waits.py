"""What a thread waits for is not read again as long as it stands: nor a moment longer."""

from __future__ import annotations

from waitspy.model.wait_for import WaitEdge
from waitspy.remote.event_waits import EventWaits


def test_it_is_known_until_the_thread_has_run() -> None:
    waits = EventWaits()
    one, other = (WaitEdge(tid, "event", 0x1000 + tid, (), whole=True) for tid in (1, 2))
    waits.begin({1: 100, 2: 100})
    assert waits.of(1) is None
    assert waits.note(one) is one
    waits.note(other)
    waits.begin({1: 100, 2: 250})
    assert waits.of(1) == one
    assert waits.of(2) is None, "it has come back: to another one, perhaps"
    waits.begin({2: 250})
    waits.begin({1: 100, 2: 250})
    assert waits.of(1) is None, "it had run"


def test_of_whom_it_is_not_known_since_when_it_stands_nothing_is_kept() -> None:
    waits = EventWaits()
    waits.begin({})
    waits.note(WaitEdge(1, "event", 0x1000, (), whole=True))
    assert waits.of(1) is None
    waits.begin({1: 100})
    assert waits.of(1) is None


def test_who_was_asked_about_longest_ago_comes_first() -> None:
    """There is not time for all at each look: else the same ones would always be left out."""
    waits = EventWaits()
    waits.begin(dict.fromkeys((1, 2, 3), 100))
    waits.note_turn([1])
    waits.note_turn([2])
    assert sorted((1, 2, 3), key=waits.turn) == [3, 1, 2]
    waits.note_turn([3])
    waits.note_turn([1])
    assert sorted((1, 2, 3), key=waits.turn) == [2, 3, 1]
