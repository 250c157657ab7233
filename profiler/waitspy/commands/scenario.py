"""Lists the scenarios, and runs one: a server with a known answer."""

from __future__ import annotations

import os
import sys

import click

from waitspy.capture.session import Options
from waitspy.commands import arguments
from waitspy.commands.record import record_and_report
from waitspy_scenarios import SCENARIOS


@click.group(
    epilog=arguments.examples("scenario list", "scenario run buffer-vs-job --profile -- --small")
)
def scenario() -> None:
    """Runnable servers with known truth."""


@scenario.command(
    "list", epilog=arguments.examples("scenario list", "scenario list | grep fastapi")
)
def list_scenarios() -> None:
    """The scenarios, how long each takes, and what they show."""
    for one in SCENARIOS.values():
        click.echo(f"{one.name:26} {one.takes_s:3d} s  {one.summary}")


@scenario.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True},
    epilog=arguments.examples(
        "scenario run buffer-vs-job --profile -o story -- --small --park block",
        "scenario run buffer-vs-job --profile --healthy -- --small",
    ),
)
@click.argument("name", type=click.Choice(list(SCENARIOS)))
@click.option("--healthy", is_flag=True, help="The same without the harm: nothing to find.")
@click.option("--profile", is_flag=True, help="Record it and report.")
@click.option("-o", "--output", metavar="DIR", help="The recording, with --profile.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run_scenario(
    ctx: click.Context,
    name: str,
    healthy: bool,
    profile: bool,
    output: str | None,
    options: tuple[str, ...],
) -> None:
    """Run scenario NAME with its own OPTIONS ('-- --help' lists them)."""
    if healthy and any(option.partition("=")[0] == "--park" for option in options):
        raise click.UsageError("--healthy is --park off: give only one of them", ctx)
    chosen = SCENARIOS[name]
    argv = chosen.command(*(["--healthy"] if healthy else []), *options)
    if not profile:
        sys.stdout.flush()
        os.execv(argv[0], argv)  # noqa: S606
    settings = Options(target=f"scenario {name}", output=output or "", inspect=chosen.inspect)
    ctx.exit(record_and_report(settings, name, None, argv, ()))
