"""Damaged recordings end in a right report or in one clear error; ``make fuzz`` tries more of them."""

from __future__ import annotations

import pytest

from tests.fuzz.trying import attempt

_FIRST = 20_000
_MANY = 15


@pytest.mark.parametrize("part", range(8))
def test_no_damage_hangs_breaks_or_fills_the_memory(part: int) -> None:
    first = _FIRST + part * _MANY
    outcomes = [attempt(seed) for seed in range(first, first + _MANY)]
    assert len({outcome.damage for outcome in outcomes}) > _MANY // 2
    assert [outcome for outcome in outcomes if outcome.failed is not None] == []


@pytest.mark.parametrize("seed", [1013, 1107, 1137, 1181, 1254, 1393, 3235])
def test_what_once_failed(seed: int) -> None:
    outcome = attempt(seed)
    assert outcome.failed is None, outcome
