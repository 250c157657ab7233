"""The oracles look into a wait as soon as --min-stall takes."""

from __future__ import annotations

import pytest

from waitspy.oracles.onset import LEAST_MIN_STALL_S, onset_ns
from waitspy.oracles.registry import make_oracles


@pytest.mark.parametrize(
    ("min_stall_s", "onset_ms"), [(LEAST_MIN_STALL_S, 25), (0.08, 40), (0.1, 50), (60, 50)]
)
def test_a_wait_is_looked_into_well_before_it_is_long_enough(
    min_stall_s: float, onset_ms: int
) -> None:
    assert onset_ns(min_stall_s) == onset_ms * 10**6
    told = {vars(oracle).get("_onset_ns", onset_ms * 10**6) for oracle in make_oracles(min_stall_s)}
    assert told == {onset_ms * 10**6}
