"""The report for people at a terminal: the verdict first, then what to do about it.

It reads the same without colours and in a file. Lines are folded to the width, never cut; only
texts that are very long are shortened in their middle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from waitspy.model.judged import Analysis, Finding, Report
from waitspy.render import chain_words, escape, lending_words, verdicts, waiting_words, words
from waitspy.render.reports import process_table
from waitspy.render.reports.report_format import (
    Severity,
    nobody_waits,
    severity,
    short_stack,
    source_line,
    tells_waiting,
    unsure,
)

_TEXT_LIMIT = (
    300  # characters: four lines of 80 columns, longer than names and paths that are meant
)
_PROSE_LIMIT = 2000  # of what waitspy itself says, with names of the target in it
_LISTED = 5  # blames and victims shown one by one; the JSON report has them all
_INDENT = 3
_FILE_COLUMNS = 10_000
# Stands for the space between a number and its unit while lines are folded. It is a noncharacter,
# which escaped text never contains.
_GLUE = "\ufdd0"
_UNIT = re.compile(r"(?<=\d) (?=(?:s|ms|%|MB|Hz)(?!\w))")
_STYLES: dict[Severity, str] = {
    "starving": "bold red",
    "late": "bold yellow",
    "latent": "bold cyan",
    "none": "bold green",
    "unknown": "bold yellow",
}


class TerminalRenderer:
    """The report as text of ``width`` columns, by default those of the terminal; in a file or a
    pipe lines are as long as they need, so that paths stay whole.

    ``color`` None uses colours on terminals only and obeys NO_COLOR and FORCE_COLOR; True and
    False insist. What the stream's encoding lacks is written out, as Python would write it.
    """

    name: ClassVar[str] = "text"
    extension: ClassVar[str] = "txt"
    binary: ClassVar[bool] = False

    def __init__(self, *, width: int | None = None, color: bool | None = None) -> None:
        self._width = width
        self._color = color

    def render(self, analysis: Analysis, stream: TextIO) -> None:
        """Write the report; the stream is asked whether it is a terminal, and for its encoding."""
        console = Console(
            file=stream,
            width=self._width or (None if stream.isatty() else _FILE_COLUMNS),
            color_system={None: "auto", True: "standard", False: None}[self._color],
            force_terminal=self._color,
            force_jupyter=False,
            no_color=False if self._color else None,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
        )
        with console.capture() as capture:
            for part in _parts(analysis.report):
                console.print(part, overflow="fold")
        text = re.sub(" +$", "", capture.get().replace(_GLUE, " "), flags=re.MULTILINE)
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _code(text: str) -> str:
    return escape.shorten(escape.terminal(text) or "(empty)", _TEXT_LIMIT)


def _prose(text: str) -> str:
    return escape.shorten(escape.terminal(text), _PROSE_LIMIT)


def _text(text: str, style: str = "") -> Text:
    return Text(_UNIT.sub(_GLUE, text), style=style)


def _item(*lines: Text) -> RenderableType:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("-", Group(*lines))
    return Padding(grid, (0, 0, 0, _INDENT))


def _parts(report: Report) -> Iterator[RenderableType]:
    level = "unknown" if unsure(report) else severity(report)
    yield _text(verdicts.sentence(report, verdicts.name), style=_STYLES[level])
    yield _text(words.recording_words(report.recording, _code), style="dim")
    if not report.findings:
        if nobody_waits(report):
            yield _text(waiting_words.HINT, style="dim")
        yield from _unseen(report)
    harmful = [finding for finding in report.findings if finding.verdict != "latent"]
    for number, finding in enumerate(harmful, 1):
        yield Text()
        yield _heading(number, finding)
        yield Padding(_details(finding, report), (0, 0, 0, _INDENT))
    yield from _latent(report)
    if tells_waiting(report):
        yield from _waiting(report)
    yield from _workers(report)
    if report.findings:
        yield from _unseen(report)
    yield Text()
    yield _text(words.cost_words(report.cost), style="dim")


def _heading(number: int, finding: Finding) -> Text:
    return Text.assemble(
        (f"{number}. ", "bold"),
        (finding.verdict.upper(), _STYLES[finding.verdict]),
        ("  ", ""),
        (words.kind_words(finding), "bold"),
    )


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim", min_width=8)
    grid.add_column(overflow="fold")
    return grid


def _details(finding: Finding, report: Report) -> Table:
    grid = _grid()
    label = "late" if finding.verdict == "late" else "starved"
    grid.add_row(
        label, _text(words.starved_words(finding, report.recording), style=_STYLES[finding.verdict])
    )
    if finding.detail is not None:
        grid.add_row("what", _text(_code(finding.detail)))
    grid.add_row("wait", _text(words.wait_words(finding.wait, _code)))
    grid.add_row("blame", _blames(finding, report))
    if finding.lending is not None:
        told = lending_words.lines(finding.lending, _code)
        grid.add_row("lent", Group(*(_text(line) for line in told)))
    if finding.chain:
        grid.add_row("chain", _chain(finding))
    if finding.victims:
        grid.add_row("victims", _victims(finding))
    grid.add_row("remedy", Text(_prose(finding.remedy), style="green"))
    grid.add_row("evidence", _text(words.evidence_words(finding, report.recording, _code)))
    grid.add_row("where", _text(words.where_words(finding)))
    if finding.stack:
        grid.add_row("stack", _stack(finding))
    return grid


def _blames(finding: Finding, report: Report) -> RenderableType:
    if not finding.blames:
        return _text(words.no_blame_words(finding))
    lines: list[RenderableType] = []
    several = len(finding.blames) > 1
    for blame in finding.blames[:_LISTED]:
        lines.append(_text(words.blame_words(blame, _code, with_share=several), style="bold"))
        source = source_line(report, blame)
        if source is not None:
            lines.append(Padding(Text(_code(source)), (0, 0, 0, 4)))
    rest = len(finding.blames) - _LISTED
    if rest > 0:
        lines.append(Text(f"and {rest} more"))
    return Group(*lines)


def _chain(finding: Finding) -> RenderableType:
    lines: list[RenderableType] = []
    for text, source in chain_words.lines(finding.chain, _code):
        lines.append(_text(text))
        if source is not None:
            lines.append(Padding(Text(_code(source)), (0, 0, 0, 4)))
    return Group(*lines)


def _victims(finding: Finding) -> RenderableType:
    lines = [_text(words.victim_words(victim, _code)) for victim in finding.victims[:_LISTED]]
    if len(finding.victims) > _LISTED:
        lines.append(_text(words.rest_words(finding.victims[_LISTED:])))
    return Group(*lines)


def _stack(finding: Finding) -> RenderableType:
    lines = Table.grid(padding=(0, 1, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for part in short_stack(finding):
        if isinstance(part, int):
            lines.add_row("", Text(f"... {words.plural(part, 'frame')}", style="dim"))
            continue
        frame, blamed = part
        file = frame.file if blamed else frame.home.short
        text = f"{_code(frame.function)}, {_code(words.place(file, frame.line))}"
        lines.add_row(">" if blamed else "", Text(text, style="" if blamed else "dim"))
    return lines


def _latent(report: Report) -> Iterator[RenderableType]:
    findings = [finding for finding in report.findings if finding.verdict == "latent"]
    if not findings:
        return
    yield Text()
    yield Text.assemble(("LATENT", _STYLES["latent"]), (f"  {words.LATENT_MEANING}", "bold"))
    for finding in findings:
        blame = finding.blame
        who = (
            words.no_blame_words(finding)
            if blame is None
            else words.blame_words(blame, _code, with_share=False)
        )
        amount = words.starved_words(finding, report.recording)
        text = f"{words.wait_words(finding.wait, _code)}, {amount}"
        yield _item(
            Text(who, style="bold"),
            _text(f"{text}, {words.where_words(finding)}"),
            _text(f"to do: {_prose(finding.remedy)}", style="green"),
        )


def _waiting(report: Report) -> Iterator[RenderableType]:
    yield Text()
    yield Text(waiting_words.TITLE, style="bold")
    for line in waiting_words.few_lines(report, _code):
        yield _item(_text(line))


def _workers(report: Report) -> Iterator[RenderableType]:
    yield Text()
    yield Text("processes", style="bold")
    if not report.workers:
        yield Padding(Text("none"), (0, 0, 0, _INDENT))
        return
    rows = process_table.process_table(report).rows
    if rows:
        shown = [process_table.cells(group, _code) for group in rows]
        yield Padding(_Processes(shown), (0, 0, 0, _INDENT))
    for line in process_table.notes(report, _code):
        yield Padding(_text(line), (0, 0, 0, _INDENT))


class _Processes:
    """The table of processes, or a line for each row where the table does not fit."""

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in process_table.COLUMNS:
            right = name in process_table.NUMBERS
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in self._rows:
            table.add_row(*map(_text, row))
        if console.measure(table, options=options.update(width=_FILE_COLUMNS)).maximum <= (
            options.max_width
        ):
            yield table
            return
        for row in self._rows:
            cells = zip(process_table.COLUMNS, row, strict=True)
            yield _text(", ".join(f"{name} {cell}" for name, cell in cells))


def _unseen(report: Report) -> Iterator[RenderableType]:
    entries = words.unseen(report, _prose)
    if not entries:
        return
    yield Text()
    yield Text("not seen", style="bold")
    for what, remedy in entries:
        yield _item(_text(what), *([_text(f"to do: {remedy}", style="green")] if remedy else []))
