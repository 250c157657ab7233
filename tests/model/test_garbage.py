"""Nothing is collected while recordings are judged; who switched it off before finds it so."""

from __future__ import annotations

import gc

import pytest

from waitspy.model import garbage


def test_it_is_switched_on_again_also_after_an_error() -> None:
    def fails() -> None:
        with garbage.not_collected():
            assert not gc.isenabled()
            raise KeyError

    assert gc.isenabled()
    with pytest.raises(KeyError):
        fails()
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_so() -> None:
    gc.disable()
    try:
        with garbage.not_collected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
