"""``waitspy scenario``: the list. What scenarios show is in tests/live."""

from __future__ import annotations

from tests.commands.invoking import waitspy
from waitspy_scenarios import SCENARIOS


def test_scenarios_are_listed() -> None:
    result = waitspy("scenario", "list")
    assert result.exit_code == 0
    for scenario, line in zip(SCENARIOS.values(), result.stdout.splitlines(), strict=True):
        assert line.split()[:3] == [scenario.name, str(scenario.takes_s), "s"]
        assert scenario.takes_s > 0


def test_a_contradiction_is_refused() -> None:
    result = waitspy("scenario", "run", "buffer-vs-job", "--healthy", "--", "--park", "block")
    assert result.exit_code == 2
    assert "--healthy is --park off" in result.stderr
