"""What can be known before a recording: who would be profiled, and what this user may do."""

from __future__ import annotations

import click

from waitspy.commands import arguments
from waitspy.commands.listing import write_checks, write_workers
from waitspy.commands.output import printing
from waitspy.target import discover
from waitspy.target import doctor as doctor_checks


@click.command(epilog=arguments.examples("workers :8000", "workers app.main:app"))
@click.argument("target", required=False)
@arguments.pid_option
@click.pass_context
def workers(ctx: click.Context, target: str | None, pid: int | None) -> None:
    """Who would be profiled, and who cannot be and why.

    TARGET is a PID, a port or a URL, NAME.service, a container's id, or a part of the command line.
    """
    target = arguments.target_or_pid(ctx, target, pid)
    if target is None:
        raise click.UsageError("give a TARGET", ctx)
    tree = discover.open_tree(target)
    arguments.tell_what_was_taken(target, tree)
    with printing() as stream:
        write_workers(tree.workers, stream)


@click.command(epilog=arguments.examples("doctor", "doctor :8000"))
@click.argument("target", required=False)
@arguments.pid_option
@click.pass_context
def doctor(ctx: click.Context, target: str | None, pid: int | None) -> None:
    """What this user may do here, with TARGET, and what to change."""
    checks = doctor_checks.examine(arguments.target_or_pid(ctx, target, pid))
    with printing() as stream:
        write_checks(checks, stream)
    ctx.exit(1 if any(check.status == "fail" for check in checks) else 0)
