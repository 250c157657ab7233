"""``waitspy scenario``: the list. What scenarios show is in tests/live."""

from __future__ import annotations

from tests.commands.invoking import waitspy


def test_scenarios_are_listed() -> None:
    result = waitspy("scenario", "list")
    assert result.exit_code == 0
    assert "buffer-vs-job" in result.stdout


def test_a_contradiction_is_refused() -> None:
    result = waitspy("scenario", "run", "buffer-vs-job", "--healthy", "--", "--park", "block")
    assert result.exit_code == 2
    assert "--healthy is --park off" in result.stderr
