"""The command line: composes the stages, prints, and chooses the exit code. Nobody else does.

Exit codes: 0 done; 1 failed (what, and what to do); 2 usage; 3 --fail-on met; 130 interrupted
before anything was kept; with ``record -- COMMAND`` the command's own code when that is not 0.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any

import click

from waitspy import __version__
from waitspy.capture.budget import Budget
from waitspy.capture.command import Command
from waitspy.capture.session import Capture, Options
from waitspy.capture.signals import Signals
from waitspy.commands import arguments, browser
from waitspy.commands.listing import write_checks, write_workers
from waitspy.commands.output import opened, prepare_streams, printing
from waitspy.commands.progress import showing_progress
from waitspy.errors import PermissionMissing, RecordingError, TargetError, WaitspyError
from waitspy.judge import analysis
from waitspy.kernel import procfs
from waitspy.model.clock import NS
from waitspy.model.judged import WEIGHTS, Report, Weight
from waitspy.oracles.pace import LEAST_MIN_STALL_S
from waitspy.recording import loading
from waitspy.recording.folder import create, create_first, discard, save_sources
from waitspy.render import FLAMEGRAPHS, REPORTS, escape
from waitspy.render.profiles import speedscope_page
from waitspy.samplers.pyspy_binary import find_pyspy
from waitspy.target import discover
from waitspy.target import doctor as doctor_checks
from waitspy.target.tree import Tree
from waitspy_scenarios import SCENARIOS

_FAIL_ON_MET = 3
_INTERRUPTED = 130


class _Failure(click.ClickException):
    """One line of what, one line of what to do."""

    def __init__(self, error: WaitspyError) -> None:
        super().__init__(str(error))
        self._hint = error.hint

    def show(self, file: IO[str] | None = None) -> None:
        click.echo(f"waitspy: {escape.terminal(self.message)}", err=True, file=file)
        click.echo(f"  try: {escape.terminal(self._hint)}", err=True, file=file)


@contextmanager
def _failing_well() -> Iterator[None]:
    try:
        yield
    except WaitspyError as error:
        raise _Failure(error) from None


class _Group(click.Group):
    """Turns the tool's own errors and interrupts into exit codes, at one place."""

    def main(self, *args: Any, **more: Any) -> Any:
        prepare_streams()
        if callable(signal.getsignal(signal.SIGINT)):  # whatever held until everything was imported
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return super().main(*args, **more)

    def invoke(self, ctx: click.Context) -> object:
        try:
            with _failing_well():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("waitspy: interrupted", err=True)
            ctx.exit(_INTERRUPTED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="waitspy")
def main() -> None:
    """Names the blocking waits that starve a running Python server, from outside."""


@main.command()
@click.argument("target")
def workers(target: str) -> None:
    """Who would be profiled, and who cannot be and why. TARGET is a PID, :PORT or a pattern."""
    found = discover.find(target)
    with printing() as stream:
        write_workers(found, stream)


@main.command(cls=arguments.RecordCommand)
@click.argument("target", required=False)
@click.option(
    "-d",
    "--duration",
    type=arguments.Number(min=0, min_open=True),
    metavar="SECONDS",
    help="How long; 10 for a TARGET, until its end for a COMMAND.",
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
    type=arguments.Number(LEAST_MIN_STALL_S, 60),
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
    "--fail-on",
    multiple=True,
    callback=arguments.fail_on,
    metavar="KIND[:SECONDS]",
    help="Exit 3 if findings of that kind starved more than that; 'any' is a kind.",
)
@click.option(
    "--budget",
    default="10",
    callback=arguments.budget,
    metavar="PERCENT[:TOTAL]",
    help="CPU for sampling, of one core: per worker and in all [default: 10:50].",
)
@click.pass_context
def record(
    ctx: click.Context,
    target: str | None,
    duration: float | None,
    rate: float,
    output: str | None,
    min_stall: float,
    blocking: bool,
    fail_on: list[tuple[str, float]],
    budget: Budget,
) -> None:
    """Attach to TARGET (PID, :PORT or a name pattern), or run COMMAND after --, and report.

    Ctrl-C stops and keeps all. The recording can be reported on again, anywhere.
    """
    argv: tuple[str, ...] = ctx.obj or ()
    if bool(argv) == (target is not None):
        raise click.UsageError("give either a TARGET, or -- and a COMMAND", ctx)
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
        budget=budget,
    )
    ctx.exit(_record(options, name, target, argv, fail_on))


def _record(
    options: Options,
    name: str,
    target: str | None,
    argv: Sequence[str],
    fail_on: Sequence[tuple[str, float]],
) -> int:
    """Records and reports; gives the exit code. Without an output, a folder is named after it."""
    find_pyspy()
    tree = None
    if target is not None:
        tree = discover.open_tree(target)
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
            "free some space and record again; what was recorded before is there",
        )
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
    rest = [str(worker.pid) for worker in tree.scan() if worker.python is not None]
    if rest:
        click.echo(
            f"waitspy: the command has ended, but what it started goes on: pid {', '.join(rest)}\n"
            f"  try: waitspy record {rest[0]}",
            err=True,
        )


def _save_and_report(capture: Capture, output: str) -> Report:
    recording = loading.load(capture.path)
    sources = capture.roots.read(recording)
    capture.roots.close()
    save_sources(capture.path, sources)
    judged = analysis.analyse(replace(recording, sources=sources))
    with printing() as stream:
        REPORTS["text"]().render(judged, stream)
        stream.write(f"\nrecording: {escape.terminal(output)}\n")
    return judged.report


def _exceeds(report: Report, limits: Sequence[tuple[str, float]]) -> bool:
    found = [f for f in report.findings if f.verdict != "latent"]
    return any(
        sum(f.starved_s for f in found if kind in ("any", f.kind.name)) > seconds
        for kind, seconds in limits
    )


@main.command()
@click.argument("recording", type=click.Path(readable=False))
@click.option(
    "--format", "format_", type=click.Choice(list(REPORTS)), default="text", show_default=True
)
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def report(recording: str, format_: str, output: str | None) -> None:
    """Judge a RECORDING and report."""
    renderer = REPORTS[format_]()
    judged = analysis.analyse(loading.load(recording))
    if format_ == "text" and output is None:
        with printing() as stream:
            renderer.render(judged, stream)
        return
    with opened(output) as data:
        renderer.render(judged, data)


@main.command()
@click.argument("recording", type=click.Path(readable=False))
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(list(FLAMEGRAPHS)),
    default="svg",
    show_default=True,
)
@click.option("--weight", type=click.Choice(WEIGHTS), default="wall", show_default=True)
@click.option("--worker", type=int, metavar="PID", help="One worker only [default: all merged].")
@click.option("--lines", is_flag=True, help="Keep lines of one function apart.")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def flamegraph(
    recording: str,
    format_: str,
    weight: Weight,
    worker: int | None,
    lines: bool,
    output: str | None,
) -> None:
    """Draw a RECORDING, all workers merged, by wall time, starved time or victim-seconds.

    firefox and perfetto, and speedscope after the merged profile, show each thread over time.
    """
    renderer = FLAMEGRAPHS[format_](weight)
    if renderer.binary and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{format_} is not text: give a file with -o")
    loaded = loading.load(recording)
    pids = sorted({w.worker.pid for w in loaded.workers})
    if worker is not None and worker not in pids:
        raise RecordingError(
            f"pid {worker} is not in this recording",
            "its workers are " + ", ".join(map(str, pids)) if pids else "it has no workers",
        )
    profile = analysis.profile(analysis.analyse(loaded), lines=lines, pid=worker)
    with opened(output, binary=renderer.binary) as stream:
        renderer.render(profile, stream)


@main.command()
@click.argument("recording", type=click.Path(readable=False))
@click.option("--speedscope", is_flag=True, help="speedscope's viewer instead of the report page.")
@click.option("-o", "--output", metavar="FILE", help="The page [default: in the RECORDING].")
@click.option("--no-open", is_flag=True, help="Only write it.")
def view(recording: str, speedscope: bool, output: str | None, no_open: bool) -> None:
    """Write the report page of a RECORDING, one file that needs nothing else, and open it."""
    judged = analysis.analyse(loading.load(recording))
    name = "speedscope.html" if speedscope else "report.html"
    path = browser.place_for(name, recording) if output is None else output
    with opened(path) as stream:
        if speedscope:
            speedscope_page.render(analysis.profile(judged), "wall", stream)
        else:
            REPORTS["html"]().render(judged, stream)
    with printing() as out:
        out.write(f"{escape.terminal(path)}\n")
    if not no_open:
        browser.show(path)


@main.group()
def scenario() -> None:
    """Runnable servers with known truth."""


@scenario.command("list")
def list_scenarios() -> None:
    """The scenarios and what they show."""
    for one in SCENARIOS.values():
        click.echo(f"{one.name:26} {one.summary}")


@scenario.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True}
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
    argv = SCENARIOS[name].command(*(["--healthy"] if healthy else []), *options)
    if not profile:
        sys.stdout.flush()
        os.execv(argv[0], argv)  # noqa: S606
    settings = Options(target=f"scenario {name}", output=output or "")
    ctx.exit(_record(settings, name, None, argv, ()))


@main.command()
@click.argument("target", required=False)
@click.pass_context
def doctor(ctx: click.Context, target: str | None) -> None:
    """What this user may do here, with TARGET, and what to change."""
    checks = doctor_checks.examine(target)
    with printing() as stream:
        write_checks(checks, stream)
    ctx.exit(1 if any(check.status == "fail" for check in checks) else 0)
