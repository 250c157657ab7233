"""What is made of a recording: a report, a flamegraph, a page to look at."""

from __future__ import annotations

import sys

import click

from waitspy import library
from waitspy.commands import arguments, browser
from waitspy.commands.output import opened, printing
from waitspy.model.judged import WEIGHTS, Weight
from waitspy.render import FLAMEGRAPHS, REPORTS, escape
from waitspy.render.profiles import speedscope_page
from waitspy.render.profiles.firefox import FirefoxRenderer
from waitspy.render.profiles.flame import FlamegraphRenderer
from waitspy.render.profiles.flame_looks import WEIGHT_NAMES
from waitspy.render.profiles.svg import SvgRenderer

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
    judged = library.load(recording, redact=redact).analysis
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
@click.option(
    "--weight",
    type=click.Choice(WEIGHTS),
    help="What widths mean: wall time, starved time, that times what waited, or starved time at "
    "its root, who holds what was waited for [default: starved, or wall where nothing starved].",
)
@click.option("--worker", type=int, metavar="PID", help="One worker only [default: all merged].")
@click.option("--lines", is_flag=True, help="Keep lines of one function apart.")
@click.option("--all-frames", is_flag=True, help="Draw each library frame in svg, too.")
@_redact
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def flamegraph(
    recording: str,
    format_: str,
    weight: Weight | None,
    worker: int | None,
    lines: bool,
    all_frames: bool,
    output: str | None,
    *,
    redact: bool,
) -> None:
    """Draw a RECORDING, all workers merged, by wall time, starved time (where it arose, or at its
    root) or victim-seconds.

    firefox and perfetto, and speedscope after the merged profile, show each thread over time.
    """
    if FLAMEGRAPHS[format_]("wall").binary and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{format_} is not text: give a file with -o")
    if weight == "root" and FLAMEGRAPHS[format_] is FirefoxRenderer:
        raise click.UsageError("firefox shows each thread over time, not roots: use another format")
    profile = library.load(recording, redact=redact).profile(lines=lines, pid=worker)
    chosen = profile.telling_weight if weight is None else weight
    renderer = _flamegraph(format_, chosen, all_frames=all_frames)
    with opened(output, binary=renderer.binary) as stream:
        renderer.render(profile, stream)
    if weight is None and renderer.weighed:
        _tell_weight(chosen)


def _flamegraph(format_: str, weight: Weight, *, all_frames: bool) -> FlamegraphRenderer:
    """Only pictures leave frames out; for the others there is nothing to add."""
    if all_frames and format_ == SvgRenderer.name:
        return SvgRenderer(weight, all_frames=True)
    return FLAMEGRAPHS[format_](weight)


def _tell_weight(chosen: Weight) -> None:
    why = "nothing was starved"
    if chosen == "starved":
        why = "something was starved; --weight wall draws all time"
    said = f"drawn by {WEIGHT_NAMES[chosen]}, because {why}"
    click.echo(f"waitspy: {said}", err=True)


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
    loaded = library.load(recording, redact=redact)
    name = "speedscope.html" if speedscope else "report.html"
    path = browser.place_for(name, recording) if output is None else output
    with opened(path, follow=output is not None) as stream:
        if speedscope:
            speedscope_page.render(loaded.profile(), "wall", stream)
        else:
            REPORTS["html"]().render(loaded.analysis, stream)
    with printing() as out:
        out.write(f"{escape.terminal(path)}\n")
    if not no_open:
        browser.show(path)
