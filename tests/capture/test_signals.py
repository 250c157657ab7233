"""Signals are fetched one by one, and act as before afterwards."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from waitspy.capture.signals import ENDING, Received, Signals
from waitspy.model.clock import NS

pytestmark = pytest.mark.alone


@pytest.fixture
def acted() -> Iterator[list[int]]:
    """The signals that acted as they do without Signals."""
    numbers = (*ENDING, signal.SIGUSR1, signal.SIGUSR2)
    got: list[int] = []
    before = {n: signal.signal(n, lambda number, _: got.append(number)) for n in numbers}
    yield got
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def soon() -> int:
    return time.monotonic_ns() + 5 * NS


@pytest.mark.parametrize("number", [*sorted(ENDING), signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_is_fetched_and_does_not_act(acted: list[int], number: signal.Signals) -> None:
    with Signals() as signals:
        send(number)
        assert signals.wait_until(soon()) == Received(number, from_terminal=False)
        assert signals.wait_until(0) is None
    assert acted == []


def test_without_a_signal_it_waits_until_the_deadline(acted: list[int]) -> None:
    with Signals() as signals:
        deadline_ns = time.monotonic_ns() + NS // 20
        assert signals.wait_until(deadline_ns) is None
        assert time.monotonic_ns() >= deadline_ns
        assert signals.wait_until(time.monotonic_ns() - NS) is None
    assert acted == []


def test_what_was_not_fetched_never_acts(acted: list[int]) -> None:
    with Signals():
        send(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    assert acted == []


def test_afterwards_signals_act_as_before(acted: list[int]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Signals() as signals:
        assert signals.before == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    send(signal.SIGUSR1)
    assert acted == [signal.SIGUSR1]


def test_contexts_may_nest(acted: list[int]) -> None:
    with Signals() as outer:
        with Signals() as inner:
            send(signal.SIGUSR1)
            assert inner.wait_until(soon())
        send(signal.SIGUSR2)
        assert outer.wait_until(soon()) == Received(signal.SIGUSR2, from_terminal=False)
    assert acted == []


def test_the_same_request_twice_is_one(acted: list[int]) -> None:
    """timeout(1) signals the process and then its group."""
    with Signals() as signals:
        send(signal.SIGTERM)
        assert signals.wait_until(soon())
        send(signal.SIGTERM)
        assert signals.wait_until(time.monotonic_ns() + NS // 100) is None
        send(signal.SIGINT)  # another one is another one
        got = signals.wait_until(soon())
        assert got is not None
        assert got.number is signal.SIGINT
        time.sleep(0.11)
        send(signal.SIGTERM)
        got = signals.wait_until(soon())
        assert got is not None
        assert got.number is signal.SIGTERM
    assert acted == []


def test_other_signals_count_each_time(acted: list[int]) -> None:
    with Signals() as signals:
        for _ in range(3):
            send(signal.SIGUSR1)
            assert signals.wait_until(soon()) == Received(signal.SIGUSR1, from_terminal=False)
    assert acted == []


def test_ignored_signals_stay_ignored(acted: list[int]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Signals() as signals:
        send(signal.SIGHUP)
        assert signals.wait_until(time.monotonic_ns() + NS // 100) is None
        send(signal.SIGUSR1)
        assert signals.wait_until(soon())
    assert acted == []


@pytest.mark.parametrize(
    ("number", "ends"),
    [
        (signal.SIGINT, True),
        (signal.SIGQUIT, True),
        (signal.SIGUSR1, False),
        (signal.SIGWINCH, False),
    ],
)
def test_which_signals_ask_for_the_end(number: signal.Signals, ends: bool) -> None:
    assert Received(number, from_terminal=True).ends is ends
