"""The command line: composes the stages, prints, and chooses the exit code. Nobody else does.

Exit codes: 0 done; 1 failed (what, and what to do); 2 usage; 3 --fail-on met; 130 interrupted
before anything was kept; with ``record -- COMMAND`` the command's own code when that is not 0.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TextIO

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from profiler import __version__, analysis, discover, loading, merge
from profiler import doctor as doctor_checks
from profiler.budget import Budget
from profiler.capture import Capture, Options
from profiler.command import Command
from profiler.discover import Tree
from profiler.errors import RecordingError, WaitspyError
from profiler.model import WEIGHTS, Report, Weight, Worker
from profiler.progress import showing_progress
from profiler.recording import save_sources
from profiler.render import FLAMEGRAPHS, REPORTS, escape
from profiler.samplers.pyspy_binary import find_pyspy
from scenarios import SCENARIOS

KINDS = (
    "blocked-loop", "parked-loop", "busy-loop", "gil-bound", "no-cpu", "exhausted-pool",
    "accept-backlog", "overloaded-loop", "overloaded-pool",
)  # fmt: skip
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
    """Turns the tool's own errors into exit code 1, at one place."""

    def invoke(self, ctx: click.Context) -> object:
        with _failing_well():
            return super().invoke(ctx)


class _RecordCommand(click.Command):
    """Splits ``record [OPTIONS] -- COMMAND…`` before click drops the ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.obj = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="waitspy")
def main() -> None:
    """Names the blocking waits that starve a running Python server, from outside."""


@main.command()
@click.argument("target")
def workers(target: str) -> None:
    """Who would be profiled, and who cannot be and why. TARGET is a PID, :PORT or a pattern."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("pid", "parent", "role", "python", "threads", "framework", "attachable"):
        table.add_column(
            column, justify="right" if column in {"pid", "parent", "threads"} else "left"
        )
    table.add_column("command", overflow="fold")
    for worker in discover.find(target):
        table.add_row(*_worker_cells(worker))
    _console().print(table)


def _worker_cells(worker: Worker) -> Iterator[Text]:
    for value in (
        worker.pid, worker.ppid, worker.role, worker.python or "-",
        "-" if worker.threads is None else worker.threads, worker.framework or "-",
        worker.why_not or "yes",
    ):  # fmt: skip
        yield Text(escape.terminal(str(value)))
    yield Text(escape.terminal(escape.shorten(worker.command, 300)))


def _fail_on(
    ctx: click.Context, param: click.Parameter, values: Sequence[str]
) -> list[tuple[str, float]]:
    del ctx, param
    limits = []
    for value in values:
        kind, _, seconds = value.partition(":")
        if kind not in (*KINDS, "any"):
            raise click.BadParameter(f"{kind!r} is no kind; kinds are {', '.join(KINDS)} and any")
        try:
            limits.append((kind, float(seconds) if seconds else 0.0))
        except ValueError:
            raise click.BadParameter(f"{seconds!r} is no number of seconds") from None
    return limits


def _budget(ctx: click.Context, param: click.Parameter, value: str) -> Budget:
    del ctx, param
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?", value)
    if parts is None or float(parts[1]) <= 0:
        raise click.BadParameter("give percent of one core: PER_WORKER or PER_WORKER:TOTAL")
    per_worker = float(parts[1]) / 100
    total = float(parts[2]) / 100 if parts[2] else max(0.5, per_worker)
    return Budget(per_worker, total)


@main.command(cls=_RecordCommand)
@click.argument("target", required=False)
@click.option(
    "-d",
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long; 10 for a TARGET, until its end for a COMMAND.",
)
@click.option(
    "-r",
    "--rate",
    type=click.FloatRange(1, 1000),
    default=100.0,
    metavar="HZ",
    show_default=True,
    help="Samples per second; backs off to stay inside the budget.",
)
@click.option("-o", "--output", metavar="DIR", help="The recording [default: waitspy-TARGET-TIME].")
@click.option(
    "--min-stall",
    type=click.FloatRange(0.02, 60),
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
    callback=_fail_on,
    metavar="KIND[:SECONDS]",
    help="Exit 3 if findings of that kind starved more than that; 'any' is a kind.",
)
@click.option(
    "--budget",
    default="10",
    callback=_budget,
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
    name = target or os.path.basename(argv[0])
    if target is not None and duration is None:
        duration = 10.0
    options = Options(
        target=target or " ".join(argv),
        output=output or _default_output(name),
        duration_s=duration,
        rate_hz=rate,
        min_stall_s=min_stall,
        blocking=blocking,
        budget=budget,
    )
    ctx.exit(_record(options, target, argv, fail_on))


def _record(
    options: Options,
    target: str | None,
    argv: Sequence[str],
    fail_on: Sequence[tuple[str, float]],
) -> int:
    find_pyspy()
    if os.path.exists(options.output):
        raise RecordingError(f"{options.output} exists already", "choose another folder with -o")
    if target is not None:
        tree = discover.open_tree(target)
        discover.require_attachable(tree.workers)
        command = None
    else:
        command = Command(argv)
        tree = Tree([command.pid])
    try:
        with showing_progress(options.duration_s) as progress:
            capture = Capture(options, tree, command, progress)
            capture.run()
        report = _save_and_report(capture)
    finally:
        own_end = command is not None and command.exit_code is None
        if command is not None:
            command.end()
    if command is not None and command.exit_code and not own_end:
        return command.exit_code
    return _FAIL_ON_MET if _exceeds(report, fail_on) else 0


def _save_and_report(capture: Capture) -> Report:
    recording = loading.load(capture.path)
    sources = capture.roots.read(recording)
    capture.roots.close()
    save_sources(capture.path, sources)
    report = analysis.analyse(replace(recording, sources=sources)).report
    REPORTS["text"]().render(report, sys.stdout)
    click.echo(f"\nrecording: {os.path.relpath(capture.path)}")
    return report


def _exceeds(report: Report, limits: Sequence[tuple[str, float]]) -> bool:
    found = [f for f in report.findings if f.verdict != "latent"]
    return any(
        sum(f.starved_s for f in found if kind in ("any", f.kind)) > seconds
        for kind, seconds in limits
    )


def _default_output(name: str) -> str:
    label = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.")[:40] or "target"
    return f"waitspy-{label}-{time.strftime('%Y%m%d-%H%M%S')}"


@main.command()
@click.argument("recording", type=click.Path())
@click.option(
    "--format", "format_", type=click.Choice(list(REPORTS)), default="text", show_default=True
)
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def report(recording: str, format_: str, output: str | None) -> None:
    """Judge a RECORDING and report."""
    renderer = REPORTS[format_]()
    judged = analysis.analyse(loading.load(recording)).report
    with _writing(output) as stream:
        renderer.render(judged, stream)


@main.command()
@click.argument("recording", type=click.Path())
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
    """Draw a RECORDING, all workers merged, by wall time, starved time or victim-seconds."""
    renderer = FLAMEGRAPHS[format_](weight)
    loaded = loading.load(recording)
    pids = sorted({w.worker.pid for w in loaded.workers})
    if worker is not None and worker not in pids:
        raise RecordingError(
            f"pid {worker} is not in this recording",
            "its workers are " + ", ".join(map(str, pids)) if pids else "it has no workers",
        )
    judged = analysis.analyse(loaded)
    info = loaded.info
    profile = merge.merge(
        judged.threads, title=f"{info.target} on {info.host}, {info.started_at}",
        start_ns=info.monotonic_start_ns, end_ns=info.end_ns, lines=lines, pid=worker,
    )  # fmt: skip
    with _writing(output) as stream:
        renderer.render(profile, stream)


@main.group()
def scenario() -> None:
    """Runnable servers with known truth."""


@scenario.command("list")
def list_scenarios() -> None:
    """The scenarios and what they show."""
    for one in SCENARIOS.values():
        click.echo(f"{one.name:20} {one.summary}")


@scenario.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True}
)
@click.argument("name", type=click.Choice(list(SCENARIOS)))
@click.option("--profile", is_flag=True, help="Record it and report.")
@click.option("-o", "--output", metavar="DIR", help="The recording, with --profile.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run_scenario(
    ctx: click.Context, name: str, profile: bool, output: str | None, options: tuple[str, ...]
) -> None:
    """Run scenario NAME with its own OPTIONS ('-- --help' lists them)."""
    argv = SCENARIOS[name].command(*options)
    if not profile:
        sys.stdout.flush()
        os.execv(argv[0], argv)  # noqa: S606
    settings = Options(target=f"scenario {name}", output=output or _default_output(name))
    ctx.exit(_record(settings, None, argv, ()))


@main.command()
@click.argument("target", required=False)
@click.pass_context
def doctor(ctx: click.Context, target: str | None) -> None:
    """What this user may do here, with TARGET, and what to change."""
    checks = doctor_checks.examine(target)
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "dim"}
    console = _console()
    for check in checks:
        line = Text(f"{check.status:8}", styles[check.status])
        line.append(f"{check.name}: ", "bold").append(escape.terminal(check.found))
        console.print(line)
        if check.remedy and check.status != "ok":
            console.print(Text(f"        {escape.terminal(check.remedy)}"))
    ctx.exit(1 if any(check.status == "fail" for check in checks) else 0)


def _console() -> Console:
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


@contextmanager
def _writing(output: str | None) -> Iterator[TextIO]:
    """The stream to write to: stdout, or a file that appears only once it is whole."""
    if output is None:
        yield sys.stdout
        return
    partial = f"{output}.partial"
    try:
        with open(partial, "w", encoding="utf-8") as stream:
            yield stream
        os.replace(partial, output)
    except OSError as error:
        raise RecordingError(
            f"cannot write {output}: {error.strerror}", "choose another -o"
        ) from None
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
