"""waitspy's command line, run in this process."""

from __future__ import annotations

import click
from click.testing import CliRunner, Result

from waitspy.cli import main


def waitspy(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def subcommands(group: click.Group) -> dict[str, click.Command]:
    """The commands of a group by name."""
    ctx = click.Context(group)
    found = {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
    return {name: command for name, command in found.items() if command is not None}
