"""What can be known before a recording: who would be profiled, and what this user may do."""

from __future__ import annotations

import click

from waitspy.commands.listing import write_checks, write_workers
from waitspy.commands.output import printing
from waitspy.target import discover
from waitspy.target import doctor as doctor_checks


@click.command()
@click.argument("target")
def workers(target: str) -> None:
    """Who would be profiled, and who cannot be and why. TARGET is a PID, :PORT or a pattern."""
    found = discover.find(target)
    with printing() as stream:
        write_workers(found, stream)


@click.command()
@click.argument("target", required=False)
@click.pass_context
def doctor(ctx: click.Context, target: str | None) -> None:
    """What this user may do here, with TARGET, and what to change."""
    checks = doctor_checks.examine(target)
    with printing() as stream:
        write_checks(checks, stream)
    ctx.exit(1 if any(check.status == "fail" for check in checks) else 0)
