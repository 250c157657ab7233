"""Arguments: what they may be, and what is said of those that may not."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from tests.commands.invoking import waitspy
from waitspy.commands import arguments
from waitspy.model.kinds import KINDS
from waitspy.recording.folder import create_first


def test_the_usage_of_record_shows_both_ways() -> None:
    assert "(TARGET | -- COMMAND...)" in waitspy("record", "--help").stdout
    assert "(TARGET | -- COMMAND...)" in waitspy("record").stderr


def test_an_unknown_kind_is_told_the_known_ones() -> None:
    said = " ".join(waitspy("record", "1", "--fail-on", "slow").stderr.split())
    assert "'slow' is no kind" in said
    assert all(kind in said for kind in KINDS)


def test_fail_on_takes_kinds_with_and_without_seconds() -> None:
    context, option = click.Context(click.Command("record")), click.Option(["--fail-on"])
    got = arguments.fail_on(context, option, ["any", "blocked-loop:1.5", "gil-bound:"])
    assert got == [("any", 0.0), ("blocked-loop", 1.5), ("gil-bound", 0.0)]


def test_the_name_of_a_recording_is_safe_and_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "../../etc/\x1b[31m; rm -rf ~\n"
    made = [create_first(arguments.folder_names(name)) for _ in range(3)]
    assert sorted(os.listdir(tmp_path)) == sorted(set(made))
    assert len(made) == 3
    for folder in made:
        assert folder.startswith("waitspy-")
        assert set(folder) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert next(arguments.folder_names("\u202e")).startswith("waitspy-target-")
    assert len(next(arguments.folder_names("x" * 300))) < 80


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("5", 5.0), ("0.5", 0.5), ("5s", 5.0), ("2m", 120.0), ("200ms", 0.2), ("1.5h", 5400.0)],
)
def test_times_have_units(said: str, seconds: float) -> None:
    assert arguments.Seconds().convert(said, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("said", ["5x", "s", "-1s", "1m30", "nan", "infs"])
def test_what_is_no_time(said: str) -> None:
    with pytest.raises(click.BadParameter):
        arguments.Seconds(min=0).convert(said, None, None)


def test_what_is_no_time_is_told_what_is_one() -> None:
    with pytest.raises(click.UsageError, match="'5x' is no time: give seconds, or 200ms, 5s"):
        arguments.Seconds().convert("5x", None, None)


def test_a_pid_may_be_an_option_but_not_besides_a_target() -> None:
    assert "waitspy itself" in waitspy("workers", "-p", os.getpid()).stderr
    for command in ("record", "workers", "doctor"):
        assert "either a TARGET or -p PID" in waitspy(command, "-p", 1, ":8000").stderr
    assert "give a TARGET" in waitspy("workers").stderr
