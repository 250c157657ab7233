"""The program's border: usage, help, and exit codes of every command."""

from __future__ import annotations

import pytest

from tests.commands.invoking import waitspy
from waitspy.commands.registry import COMMANDS
from waitspy.recording import loading


@pytest.mark.parametrize(
    "args",
    [
        ("record",),
        ("record", "--"),
        ("record", "1", "--", "true"),
        ("record", "1", "2"),
        ("record", "1", "-d", "0"),
        ("record", "1", "-d", "-1"),
        ("record", "1", "-d", "nan"),
        ("record", "1", "-d", "inf"),
        ("record", "1", "-d", "soon"),
        ("record", "1", "-r", "0"),
        ("record", "1", "-r", "nan"),
        ("record", "1", "-r", "1e9"),
        ("record", "1", "--min-stall", "0"),
        ("record", "1", "--min-stall", "0.049"),
        ("record", "1", "--min-stall", "nan"),
        ("record", "1", "--fail-on", "slow"),
        ("record", "1", "--fail-on", "any:soon"),
        ("record", "1", "--fail-on", "any:nan"),
        ("record", "1", "--fail-on", "any:inf"),
        ("record", "1", "--fail-on", "any:-1"),
        ("record", "1", "--budget", "0"),
        ("record", "1", "--budget", "10:0"),
        ("record", "1", "--budget", "-1"),
        ("record", "1", "--budget", "nan"),
        ("record", "1", "--frobnicate"),
        ("report",),
        ("report", "rec", "--format", "gif"),
        ("flamegraph", "rec", "-f", "gif"),
        ("flamegraph", "rec", "--weight", "heavy"),
        ("flamegraph", "rec", "--worker", "main"),
        ("workers",),
        ("scenario", "run", "no-such-story"),
        ("frobnicate",),
    ],
)
def test_usage_errors_exit_2_and_say_how(args: tuple[str, ...]) -> None:
    result = waitspy(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_plain_text_everywhere(command: str | None) -> None:
    result = waitspy(*((command, "--help") if command else ("--help",)))
    assert result.exit_code == 0
    assert result.stdout.isascii()


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: str) -> None:
        del path
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "load", interrupted)
    result = waitspy("report", "rec")
    assert (result.exit_code, result.output) == (130, "waitspy: interrupted\n")
