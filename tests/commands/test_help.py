"""What ``-h`` says of every command."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from tests.commands.invoking import subcommands, waitspy
from waitspy.cli import main
from waitspy.model.kinds import KINDS


def _commands(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name, below in subcommands(command).items():
            yield from _commands(below, *path, name)


@pytest.mark.parametrize("path", list(_commands(main)), ids=" ".join)
def test_help_ends_with_two_examples(path: tuple[str, ...]) -> None:
    *_, head, first, second = waitspy(*path, "-h").stdout.rstrip().splitlines()
    assert head.strip() == "Examples:"
    for line in (first, second):
        assert line.strip().startswith(" ".join(("waitspy", *path)))


def test_fail_on_names_every_kind() -> None:
    said = "".join(waitspy("record", "-h").stdout.split())
    assert all(kind in said for kind in (*KINDS, "any"))
