"""What is made of a recording: a report, a flamegraph, a page to look at."""

from __future__ import annotations

import sys

import click

from waitspy.commands import arguments, browser
from waitspy.commands.output import opened, printing
from waitspy.errors import RecordingError
from waitspy.judge import analysis, redaction
from waitspy.model.judged import WEIGHTS, Analysis, Weight
from waitspy.model.recorded import Recording
from waitspy.recording import loading
from waitspy.render import FLAMEGRAPHS, REPORTS, escape
from waitspy.render.profiles import speedscope_page

_redact = click.option(
    "--redact",
    is_flag=True,
    help="Hide command lines, hosts, users, addresses, paths outside the program and texts in its "
    "source. Use it before you share.",
)


@click.command(
    epilog=arguments.examples("report rec", "report rec --redact -f html -o report.html")
)
@click.argument("recording", type=click.Path(readable=False))
@click.option(
    "-f", "--format", "format_", type=click.Choice(list(REPORTS)), default="text", show_default=True
)
@_redact
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def report(recording: str, format_: str, output: str | None, *, redact: bool) -> None:
    """Judge a RECORDING and report."""
    renderer = REPORTS[format_]()
    judged = _judged(loading.load(recording), redact=redact)
    if format_ == "text" and output is None:
        with printing() as stream:
            renderer.render(judged, stream)
        return
    with opened(output) as data:
        renderer.render(judged, data)


@click.command(
    epilog=arguments.examples(
        "flamegraph rec -o flame.svg", "flamegraph rec --weight starved -f speedscope -o rec.json"
    )
)
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
@_redact
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def flamegraph(
    recording: str,
    format_: str,
    weight: Weight,
    worker: int | None,
    lines: bool,
    output: str | None,
    *,
    redact: bool,
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
    profile = analysis.profile(_judged(loaded, redact=redact), lines=lines, pid=worker)
    with opened(output, binary=renderer.binary) as stream:
        renderer.render(profile, stream)


@click.command(epilog=arguments.examples("view rec", "view rec --no-open -o report.html"))
@click.argument("recording", type=click.Path(readable=False))
@click.option("--speedscope", is_flag=True, help="speedscope's viewer instead of the report page.")
@_redact
@click.option("-o", "--output", metavar="FILE", help="The page [default: in the RECORDING].")
@click.option("--no-open", is_flag=True, help="Only write it.")
def view(
    recording: str, speedscope: bool, output: str | None, no_open: bool, *, redact: bool
) -> None:
    """Write the report page of a RECORDING, one file that needs nothing else, and open it."""
    judged = _judged(loading.load(recording), redact=redact)
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


def _judged(loaded: Recording, *, redact: bool) -> Analysis:
    """What all of these are made from, without what is private if that is asked for."""
    judged = analysis.analyse(loaded)
    return redaction.redacted(judged) if redact else judged
