"""Chains of waits in words."""

from __future__ import annotations

from tests.examples import report_examples as examples
from waitspy.render import chain_words


def told(text: str) -> str:
    return f"`{text}`"


def test_a_process_that_the_server_has_started_closes_a_ring() -> None:
    lines = [line.text for line in chain_words.lines(examples.unread_pipe().chain, told)]
    assert lines == [
        "3 tasks `lookup` wait for the end of process 4789 (`sh`)",
        "process 4789 (`sh`) waits for the end of process 4790 (`head`)",
        (
            "process 4790 (`head`) waits for room in a pipe that only the server can read, and "
            "does not: so none of them can go on"
        ),
    ]
    assert chain_words.is_ring(examples.unread_pipe().chain)
    assert chain_words.root_words(examples.unread_pipe().chain, told) is None


def test_who_holds_a_lock_over_a_slow_wait_is_the_root() -> None:
    first, last = (line.text for line in chain_words.lines(examples.held_lock().chain, told))
    assert first.startswith("thread 4711 (`MainThread`) waits for a lock held by thread 4733")
    assert last.startswith("thread 4733 (`refresher`) waits")
    assert not chain_words.is_ring(examples.held_lock().chain)
