"""Chains of waits in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.examples import report_examples as examples
from waitspy.model.unsent import Unsent
from waitspy.model.wait_for import Held, How, Lost
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


def test_a_peer_that_does_not_read() -> None:
    chain = examples.held_lock().chain
    told_of = Unsent("10.0.0.7:5000", 2_620_000, 1, refused=True)
    *_, last = chain_words.lines((*chain[:-1], replace(chain[-1], unsent=told_of)), told)
    assert last.text.endswith(": its peer `10.0.0.7:5000` does not read, 2.62 MB are unsent")
    several = Unsent("10.0.0.7:5000", 940, 3, refused=False)
    *_, last = chain_words.lines((*chain[:-1], replace(chain[-1], unsent=several)), told)
    assert last.text.endswith(
        ": of 3 peers `10.0.0.7:5000` has not got all, 940 bytes are unsent to all together"
    )


def test_a_loop_that_waits_for_its_own_work() -> None:
    link = replace(examples.held_lock().chain[0], waits_for="future", how="loop")
    (line,) = chain_words.lines((link,), told)
    assert line.text == (
        "thread 4711 (`MainThread`) waits for a result that can only be made on the loop that "
        "thread 4711 (`MainThread`) runs: so it can never go on"
    )


def test_a_call_that_one_thread_alone_can_make() -> None:
    wants, has = examples.held_lock().chain
    calls = replace(wants, task="view", waits_for="future")
    first, _ = chain_words.lines((calls, replace(has, how="queued", taken=None)), told)
    assert first.text == (
        "1 task `view` waits for a call that only thread 4733 (`refresher`) can make, after what it "
        "does"
    )


def test_a_task_that_waits_for_its_turn() -> None:
    wants, holds = examples.held_lock().chain
    holds = replace(holds, task="refresh", waits_for="loop")
    lines = [line.text for line in chain_words.lines((replace(wants, how="loop"), holds), told)]
    assert "waits for a lock held by 1 task `refresh`, taken in" in lines[0]
    assert lines[1] == (
        "1 task `refresh` waits for its turn on the loop that thread 4711 (`MainThread`) runs: so "
        "none of them can go on"
    )


def test_a_thread_of_another_process_is_told_with_that() -> None:
    first, root = examples.held_lock().chain
    chain = (replace(first, waits_for="future"), replace(root, pid=4790, taken=None))
    told_of, of_root = (line.text for line in chain_words.lines(chain, told))
    assert told_of.endswith(
        "a result that is worked on by thread 4733 (`refresher`) of process 4790"
    )
    assert of_root.startswith("thread 4733 (`refresher`) of process 4790 waits")


@pytest.mark.parametrize(
    ("kind", "how", "what"),
    [
        ("message", "peer", "a message from thread 4733 (`refresher`) of process 4790"),
        ("reply", "peer", "a reply of thread 4733 (`refresher`) of process 4790"),
        (
            "file-lock",
            "owner",
            "a lock on a file that thread 4733 (`refresher`) of process 4790 has",
        ),
        (
            "file-lock",
            "reach",
            "a lock on a file that thread 4733 (`refresher`) of process 4790 seems to have",
        ),
        *(
            (kind, "reach", (f"a {kind} that thread 4733 (`refresher`) of process 4790 seems to have "
                            "to send"))
            for kind in ("message", "reply")
        ),
    ],
)  # fmt: skip
def test_who_has_to_send_a_message(kind: Held, how: How, what: str) -> None:
    first, root = examples.held_lock().chain
    chain = (replace(first, waits_for=kind), replace(root, pid=4790, taken=None, how=how))
    told_of, _ = chain_words.lines(chain, told)
    assert told_of.text == f"thread 4711 (`MainThread`) waits for {what}"


def test_and_a_task_of_another_process() -> None:
    first, root = examples.held_lock().chain
    _, of_root = chain_words.lines((first, replace(root, pid=4790, task="refresh")), told)
    assert of_root.text.startswith("1 task `refresh` of process 4790 waits")


def test_work_that_nobody_has() -> None:
    link = replace(examples.held_lock().chain[0], waits_for="lost-job")
    (line,) = chain_words.lines((link,), told)
    assert line.text == (
        "thread 4711 (`MainThread`) waits for work that no process of its pool has or will take, "
        "as one has ended: so it can never go on"
    )


@pytest.mark.parametrize(("how", "does"), [("takes", "takes"), ("reach", "seems to take")])
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("full-queue", "for room in a queue"),
        ("joined-queue", "until all is done that was put into a queue"),
    ],
)
def test_what_those_have_to_do_that_take_from_a_queue(
    kind: Held, what: str, how: How, does: str
) -> None:
    wants, has = examples.held_lock().chain
    link = replace(wants, waits_for=kind)
    first, _ = chain_words.lines((link, replace(has, how=how, taken=None)), told)
    assert first.text.endswith(f"waits {what} from which thread 4733 (`refresher`) {does}")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("lock", "waits for a lock that seems to be held by thread 4733 (`refresher`)"),
        ("semaphore", "waits for a semaphore whose places seem to be held by thread 4733"),
        ("connections", "waits for a connection of those that seem to be held by thread 4733"),
    ],
)
def test_who_seems_to_hold_something(kind: Held, what: str) -> None:
    wants, has = examples.held_lock().chain
    link = replace(wants, waits_for=kind)
    first, _ = chain_words.lines((link, replace(has, how="reach")), told)
    assert what in first.text


def test_several_that_take_from_a_full_queue() -> None:
    wants, has = examples.held_lock().chain
    link = replace(wants, waits_for="full-queue", task="put")
    takers = replace(has, how="takes", taken=None, task="consume", count=2)
    first, _ = chain_words.lines((link, takers), told)
    assert first.text.endswith("for room in a queue from which 2 tasks `consume` take")


def test_who_took_from_a_full_queue_has_ended() -> None:
    wants, has = examples.held_lock().chain
    chain = (
        replace(wants, waits_for="full-queue", task="put"),
        replace(has, how="ended", taken=None, task="consume"),
    )
    first, root = chain_words.lines(chain, told)
    assert first.text.endswith(
        "a queue from which 1 task `consume` took, and nobody else was seen to"
    )
    assert root.text.startswith("1 task `consume` has ended, in ")
    said = chain_words.root_words(chain, told)
    assert said is not None
    assert said.startswith("what took from it has ended in ")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("lost-result", "a result that nobody is left to hand in"),
        ("lost-signal", "a signal that nobody is left to give"),
        ("lost-lock", "a lock that nobody is left to give up"),
        ("lost-queue", "a queue from which nobody is left to take"),
    ],
)
def test_what_nobody_else_can_reach(kind: Lost, what: str) -> None:
    link = replace(examples.held_lock().chain[0], waits_for=kind)
    (line,) = chain_words.lines((link,), told)
    assert f"waits for {what}, as nothing else refers to it: so it can never go on" in line.text
