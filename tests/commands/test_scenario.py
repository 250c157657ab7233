"""``waitspy scenario``: the list. What scenarios show is in tests/live."""

from __future__ import annotations

from tests.commands.invoking import waitspy


def test_scenarios_are_listed() -> None:
    result = waitspy("scenario", "list")
    assert result.exit_code == 0
    assert "buffer-vs-job" in result.stdout
