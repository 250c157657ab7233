"""``waitspy record``: which findings fail a build. What it records is in tests/live."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.examples import report_examples
from waitspy.commands import record


@pytest.mark.parametrize(
    ("limits", "met"),
    [
        ([], False),
        ([("any", 0.0)], True),
        ([("any", 1e6)], False),
        ([("parked-loop", 0.0)], False),
        ([("blocked-loop", 0.0)], True),
        ([("parked-loop", 0.0), ("blocked-loop", 0.1)], True),
        ([("blocked-loop", 1e6)], False),
    ],
)
def test_fail_on_compares_the_starved_time_of_a_kind(
    limits: list[tuple[str, float]], met: bool
) -> None:
    report = replace(report_examples.healthy(), findings=(report_examples.blocked_loop(),))
    assert record._exceeds(report, limits) is met


def test_fail_on_leaves_latent_findings_alone() -> None:
    assert not record._exceeds(report_examples.latent_only(), [("any", 0.0)])
