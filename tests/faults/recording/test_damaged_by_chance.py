"""A recording is damaged by chance, in one to three places: values, lines, bytes, whole files.

Each ends in a right report or in one clear error, within seconds and 500 MB, in every format.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.trying import ALL, FIRST_OF_ALL, attempt

_FIRST = 20_000
_MANY = 15


@pytest.mark.parametrize("part", range(8))
def test_no_damage_hangs_breaks_or_fills_the_memory(part: int) -> None:
    first = _FIRST + part * _MANY
    outcomes = [attempt(seed) for seed in range(first, first + _MANY)]
    assert len({outcome.damage for outcome in outcomes}) > _MANY // 2
    assert [outcome for outcome in outcomes if outcome.failed is not None] == []


@pytest.mark.parametrize("part", range(2))
def test_nor_does_damage_of_what_every_oracle_told(recorded: Path, part: int) -> None:
    first = 2 * _FIRST + part * _MANY
    outcomes = [attempt(seed, recorded) for seed in range(first, first + _MANY)]
    assert [outcome for outcome in outcomes if outcome.failed is not None] == []


@pytest.mark.parametrize(("name", "part"), [("piped", 0), ("piped", 1), ("blocked-delta", 0)])
def test_nor_does_damage_of_what_only_some_recordings_have(name: str, part: int) -> None:
    first = 10 + part * _MANY
    seeds = (FIRST_OF_ALL + n * len(ALL) + ALL.index(name) for n in range(first, first + _MANY))
    outcomes = [attempt(seed) for seed in seeds]
    assert [outcome for outcome in outcomes if outcome.failed is not None] == []


@pytest.mark.parametrize("seed", [1013, 1107, 1137, 1181, 1254, 1393, 3235])
def test_what_once_failed(seed: int) -> None:
    outcome = attempt(seed)
    assert outcome.failed is None, outcome
