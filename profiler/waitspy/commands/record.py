"""Makes a recording of a server that runs, or of a command, and reports on it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from dataclasses import replace

import click

from waitspy.capture.budget import Budget
from waitspy.capture.command import Command
from waitspy.capture.session import Capture, Options
from waitspy.capture.signals import Signals
from waitspy.commands import arguments
from waitspy.commands.output import printing
from waitspy.commands.progress import showing_progress
from waitspy.errors import PermissionMissing, RecordingError, TargetError, WaitspyError
from waitspy.judge import analysis
from waitspy.kernel import procfs
from waitspy.model.clock import NS
from waitspy.model.judged import Report
from waitspy.model.kinds import KINDS
from waitspy.oracles.onset import LEAST_MIN_STALL_S
from waitspy.recording import loading
from waitspy.recording.folder import create, create_first, discard, save_sources
from waitspy.recording.streams import lost_sources
from waitspy.render import REPORTS, escape
from waitspy.render.reports.report_format import hardly_looked, severity
from waitspy.samplers.pyspy_binary import find_pyspy
from waitspy.samplers.registry import AUTO, PYSPY, SAMPLERS, chosen
from waitspy.target import discover
from waitspy.target.discover import Tree

_FAIL_ON_MET = 3


@click.command(
    cls=arguments.RecordCommand,
    epilog=arguments.examples(
        "record :8000 -d 30s -o rec", "record --fail-on blocked-loop:0.5 -- python3 server.py"
    ),
)
@click.argument("target", required=False)
@arguments.pid_option
@click.option(
    "-d",
    "--duration",
    type=arguments.Seconds(min=0, min_open=True),
    metavar="SECONDS",
    help="How long, as 5, 5s or 2m; 10 for a TARGET, until its end for a COMMAND.",
)
@click.option(
    "-r",
    "--rate",
    type=arguments.Number(1, 1000),
    default=100.0,
    metavar="HZ",
    show_default=True,
    help="Samples per second; backs off to stay inside the budget.",
)
@click.option("-o", "--output", metavar="DIR", help="The recording [default: waitspy-TARGET-TIME].")
@click.option(
    "--min-stall",
    type=arguments.Seconds(LEAST_MIN_STALL_S, 60),
    default=0.1,
    metavar="SECONDS",
    show_default=True,
    help="Shorter waits are not reported.",
)
@click.option(
    "--blocking",
    is_flag=True,
    help="Let py-spy pause the target at each sample (default: never pause it).",
)
@click.option(
    "--sampler",
    type=click.Choice(SAMPLERS),
    default=AUTO,
    show_default=True,
    help="What reads stacks: delta reads only what ran; auto is delta where it can read.",
)
@click.option(
    "--inspect",
    is_flag=True,
    help="Open the inspector of each Node.js, for its stacks: this writes to the target.",
)
@click.option(
    "--fail-on",
    multiple=True,
    callback=arguments.fail_on,
    metavar="KIND[:SECONDS]",
    help="Exit 3 if findings of that kind starved more than that. Kinds: any, "
    + ", ".join(KINDS)
    + ".",
)
@click.option(
    "--budget",
    default="10",
    callback=arguments.budget,
    metavar="PERCENT[:TOTAL]",
    help="CPU for sampling, of one core: per worker and in all [default: 10:25].",
)
@click.pass_context
def record(
    ctx: click.Context,
    target: str | None,
    pid: int | None,
    duration: float | None,
    rate: float,
    output: str | None,
    min_stall: float,
    blocking: bool,
    sampler: str,
    inspect: bool,
    fail_on: list[tuple[str, float]],
    budget: Budget,
) -> None:
    """Attach to TARGET, or run COMMAND after --, and report.

    TARGET is a PID, a port or a URL, NAME.service, a container's id, or a part of the command line.

    Ctrl-C stops and keeps all. The recording can be reported on again, anywhere.
    """
    argv: tuple[str, ...] = ctx.obj or ()
    target = arguments.target_or_pid(ctx, target, pid)
    if bool(argv) == (target is not None):
        raise click.UsageError("give either a TARGET, or -- and a COMMAND", ctx)
    if blocking and sampler not in {AUTO, PYSPY}:
        raise click.UsageError("--blocking is for py-spy alone", ctx)
    # Arguments need not be UTF-8; what the recording says of them must be.
    said = procfs.text(os.fsencode(" ".join(argv) if target is None else target))
    name = os.path.basename(argv[0]) if target is None else target
    if target is not None and duration is None:
        duration = 10.0
    options = Options(
        target=said,
        output=output or "",
        duration_s=duration,
        rate_hz=rate,
        min_stall_s=min_stall,
        blocking=blocking,
        sampler=sampler,
        inspect=inspect,
        budget=budget,
    )
    ctx.exit(record_and_report(options, name, target, argv, fail_on))


def record_and_report(
    options: Options,
    name: str,
    target: str | None,
    argv: Sequence[str],
    fail_on: Sequence[tuple[str, float]],
) -> int:
    """Records and reports; gives the exit code. Without an output, a folder is named after it."""
    if chosen(options.sampler, blocking=options.blocking) == PYSPY:
        find_pyspy()
    tree = None
    if target is not None:
        tree = discover.open_tree(target)
        arguments.tell_what_was_taken(target, tree)
        discover.require_attachable(tree.workers)
    started_ns = time.monotonic_ns()
    with Signals() as signals:
        if options.output:
            create(options.output)
        else:
            options = replace(options, output=create_first(arguments.folder_names(name)))
        capture, command, ended_by_us = _captured(options, tree, argv, signals, started_ns)
    try:
        report = _save_and_report(capture, options.output)
    except KeyboardInterrupt:
        raise RecordingError(
            f"interrupted while reporting; the recording {options.output} is complete",
            f"waitspy report {options.output}",
        ) from None
    except WaitspyError:
        raise
    except Exception:
        click.echo(f"waitspy: the report failed; its recording is {options.output}", err=True)
        raise
    if command is not None and command.exit_code and not ended_by_us:
        return command.exit_code
    if capture.disk_error is not None:
        raise RecordingError(
            f"the recording {options.output} ended early: {capture.disk_error}",
            f"{capture.disk_remedy}, and record again; what was recorded before is there",
        )
    if fail_on and severity(report) == "unknown":
        what = "hardly anything" if hardly_looked(report) else "nothing"
        click.echo(f"waitspy: --fail-on: {what} was watched that could have starved", err=True)
    return _FAIL_ON_MET if _exceeds(report, fail_on) else 0


def _captured(
    options: Options,
    tree: Tree | None,
    argv: Sequence[str],
    signals: Signals,
    started_ns: int,
) -> tuple[Capture, Command | None, bool]:
    """The finished capture, the command that was started for it, and whether we ended that."""
    command = None
    try:
        if tree is None:
            command = Command(argv, signals.before)
            tree = Tree([command.pid])
        _allow_more_files()
        # The terminal is the command's.
        with showing_progress(options.duration_s, wanted=command is None) as progress:
            capture = Capture(options, tree, command, progress)
            capture.run()
        if command is None:
            return capture, None, False
        _warn_of_rest(command, tree)
        deadline_ns = None
        if options.duration_s is not None:
            deadline_ns = started_ns + int(options.duration_s * NS)
        # When only the recording has failed, the command goes on.
        by_itself = not capture.interrupted and command.wait(signals, deadline_ns)
    except (TargetError, PermissionMissing, RecordingError):  # before anything was kept
        discard(options.output)
        raise
    finally:
        if command is not None:
            command.end(signals)
    return capture, command, not by_itself


def _allow_more_files() -> None:
    """Each thread of a target costs three descriptors; the usual limit of 1024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _warn_of_rest(command: Command, tree: Tree) -> None:
    if command.exit_code is None:
        return
    rest = [str(worker.pid) for worker in tree.scan() if worker.runtime is not None]
    if rest:
        click.echo(
            f"waitspy: the command has ended, but what it started goes on: pid {', '.join(rest)}\n"
            f"  try: waitspy record {rest[0]}",
            err=True,
        )


def _save_and_report(capture: Capture, output: str) -> Report:
    try:
        recording = loading.load(capture.path)
        sources = capture.roots.read(recording)
        save_sources(capture.path, sources)
        place = capture.place()
    except RecordingError as error:  # somebody has removed it, or all that was in it
        why = capture.disk_error or str(error).replace(capture.path, output)
        raise RecordingError(
            f"the recording {output} is lost: {why}",
            "record again into a folder that nobody removes meanwhile",
        ) from None
    finally:
        capture.release()
    losses = (*recording.losses, *lost_sources(sources))
    judged = analysis.analyse(replace(recording, sources=sources, losses=losses))
    with printing() as stream:
        REPORTS["text"]().render(judged, stream)
        stream.write(f"\nrecording: {escape.terminal(place)}\n")
    return judged.report


def _exceeds(report: Report, limits: Sequence[tuple[str, float]]) -> bool:
    found = [f for f in report.findings if f.verdict != "latent"]
    return any(
        sum(f.starved_s for f in found if kind in ("any", f.kind.name)) > seconds
        for kind, seconds in limits
    )
