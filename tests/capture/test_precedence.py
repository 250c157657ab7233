"""When the observer goes before others."""

from __future__ import annotations

import os

import pytest

from waitspy.capture.precedence import precedence


@pytest.fixture
def priorities(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Those in force, one after the other; it begins with 3."""
    told = [3]
    monkeypatch.setattr(os, "getpriority", lambda *_: told[-1])
    monkeypatch.setattr(os, "setpriority", lambda _which, _who, value: told.append(value))
    return told


def test_it_is_raised_while_a_stall_is_timed_and_only_then(priorities: list[int]) -> None:
    with precedence() as timing:
        assert priorities == [3]
        for stall in (False, True, True, True, False, False):
            timing(stall)
        assert priorities == [3, -10, 3]


def test_it_is_as_before_whatever_happens(priorities: list[int]) -> None:
    with pytest.raises(KeyError), precedence() as timing:
        raise KeyError(timing(True))
    assert priorities == [3, -10, 3]


def test_who_may_not_raise_it_goes_on_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    with precedence() as timing:
        timing(True)
        timing(False)
