"""The report as GitHub-flavoured Markdown, for pasting into a ticket.

It says what the terminal report says. Text of the target stands in code spans, where mentions,
references, links and emoji names mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, TextIO

from waitspy.model.judged import Analysis, Finding, Report, Victim
from waitspy.render import chain_words, escape, lending_words, verdicts, waiting_words, words
from waitspy.render.reports import episodes_told, process_table
from waitspy.render.reports.report_format import (
    short_stack,
    source_line,
)

_TEXT_LIMIT = 300  # characters: longer than names and paths that are meant to be read
_PROSE_LIMIT = 2000  # of what waitspy itself says, with names of the target in it
_REFERENCE = re.compile(r"(\S*[@#]\S*)")
_LISTED = 10  # blames and victims shown one by one; the JSON report has them all


class MarkdownRenderer:
    """The report as Markdown; headings start at level ``heading``, 3 by default."""

    name: ClassVar[str] = "markdown"
    extension: ClassVar[str] = "md"
    binary: ClassVar[bool] = False

    def __init__(self, *, heading: int = 3) -> None:
        self._heading = "#" * heading

    def render(self, analysis: Analysis, stream: TextIO) -> None:
        """Write the report; blocks are separated by one empty line."""
        blocks = ["\n".join(block) for block in self._blocks(analysis.report)]
        stream.write("\n\n".join(blocks) + "\n")

    def finding(self, report: Report, index: int) -> str:
        """One finding of a report on its own, with what was recorded."""
        one = report.findings[index]
        title = escape.markdown(f"{one.verdict.capitalize()}, {words.kind_words(one)}")
        blocks = [
            [f"{self._heading} {title}"],
            [words.recording_words(report.recording, _code)],
            *_finding(one, report),
        ]
        return "\n\n".join("\n".join(block) for block in blocks) + "\n"

    def _blocks(self, report: Report) -> Iterator[Sequence[str]]:
        yield [f"**{verdicts.sentence(report, _name)}**"]
        yield [words.recording_words(report.recording, _code)]
        if not report.findings:
            yield from self._unseen(report)
        harmful = [finding for finding in report.findings if finding.verdict != "latent"]
        for number, finding in enumerate(harmful, 1):
            verdict = finding.verdict.capitalize()
            heading = escape.markdown(f"{verdict}, {words.kind_words(finding)}")
            yield [f"{self._heading} {number}. {heading}"]
            yield from _finding(finding, report)
        latent = [finding for finding in report.findings if finding.verdict == "latent"]
        if latent:
            yield [f"{self._heading} Latent: {words.LATENT_MEANING}"]
            yield [line for finding in latent for line in _latent(finding, report)]
        lines = waiting_words.lines(report, _code)
        if lines:
            yield [f"{self._heading} {waiting_words.TITLE.capitalize()}"]
            yield [f"- {line}" for line in lines]
        yield [f"{self._heading} Processes"]
        yield from _workers(report)
        if report.findings:
            yield from self._unseen(report)
        yield [escape.markdown(words.cost_words(report.cost))]

    def _unseen(self, report: Report) -> Iterator[Sequence[str]]:
        entries = words.unseen(report, _prose)
        if entries:
            yield [f"{self._heading} Not seen"]
            yield [
                line
                for what, remedy in entries
                for line in (f"- {what}", *([f"  - to do: {remedy}"] if remedy else []))
            ]


def _code(text: str) -> str:
    return escape.code_span(escape.shorten(escape.terminal(text) or "(empty)", _TEXT_LIMIT))


def _name(text: str) -> str:
    return escape.code_span(verdicts.name(text))


def _prose(text: str) -> str:
    # GitHub looks for mentions and references after Markdown is read, so that no backslash stops
    # it; it leaves code alone.
    parts = _REFERENCE.split(escape.shorten(escape.terminal(text), _PROSE_LIMIT))
    return "".join(
        escape.code_span(part) if index % 2 else escape.markdown(part)
        for index, part in enumerate(parts)
    )


def _table(
    header: Sequence[str], right: frozenset[str], rows: Sequence[Sequence[str]]
) -> list[str]:
    rule = ["---:" if name in right else "---" for name in header]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _finding(finding: Finding, report: Report) -> Iterator[Sequence[str]]:
    label = "starved" if finding.verdict == "starving" else finding.verdict
    yield [
        f"- **{label}**: {words.starved_words(finding, report.recording)}",
        *([] if finding.detail is None else [f"- **what**: {_code(finding.detail)}"]),
        f"- **wait**: {words.wait_words(finding.wait, _code)}",
        *_blames(finding, report),
        *_lending(finding),
        *_chain(finding),
        f"- **remedy**: {_prose(finding.remedy)}",
        f"- **evidence**: {words.evidence_words(finding, report.recording, _code)}",
        *_episodes(finding, report),
        f"- **where**: {words.where_words(finding)}",
    ]
    if finding.victims:
        yield from _victims(finding.victims)
    if finding.stack:
        yield _stack(finding)


def _episodes(finding: Finding, report: Report) -> Iterator[str]:
    """The longest ones, where there are several: the evidence tells when a single one was."""
    if len(finding.episodes) < 2:
        return
    shown = [
        " ".join(episodes_told.told(finding.episodes[n], report.recording))
        for n in episodes_told.longest(finding, _LISTED)
    ]
    rest = len(finding.episodes) - len(shown)
    more = [f"and {rest} shorter ones"] if rest > 0 else []
    yield f"- **episodes**: {'; '.join((*shown, *more))}"


def _blames(finding: Finding, report: Report) -> list[str]:
    if not finding.blames:
        return [f"- **blame**: {words.no_blame_words(finding)}"]
    several = len(finding.blames) > 1
    lines: list[str] = []
    for blame in finding.blames[:_LISTED]:
        who = words.blame_words(blame, _code, with_share=several)
        lines.append(f"  - {who}" if several else f"- **blame**: {who}")
        source = source_line(report, blame)
        if source is not None:
            lines.append(f"{'    ' if several else '  '}- {_code(source)}")
    rest = len(finding.blames) - _LISTED
    more = [f"  - and {rest} more"] if rest > 0 else []
    return ["- **blame**:", *lines, *more] if several else lines


def _lending(finding: Finding) -> Iterator[str]:
    if finding.lending is not None:
        yield "- **lent**:"
        yield from (f"  - {line}" for line in lending_words.lines(finding.lending, _code))


def _chain(finding: Finding) -> Iterator[str]:
    if finding.chain:
        yield "- **chain**:"
    for text, source in chain_words.lines(finding.chain, _code):
        yield f"  - {text}"
        if source is not None:
            yield f"    - {_code(source)}"


def _victims(victims: Sequence[Victim]) -> Iterator[Sequence[str]]:
    header = ("victims", "name", "where", "waited together", "on average")
    rows = [
        (
            words.kind_count(victim.kind, victim.count),
            _code(victim.name) if victim.name else "",
            _code(victim.where) if victim.where else "",
            words.duration(victim.waited_s),
            words.duration(victim.waited_s / victim.count),
        )
        for victim in victims[:_LISTED]
    ]
    yield _table(header, frozenset(header[3:]), rows)
    if len(victims) > _LISTED:
        yield [words.rest_words(victims[_LISTED:])]


def _stack(finding: Finding) -> list[str]:
    # Four spaces in front of every line: none of them can close the block.
    lines = ["```text"]
    for part in short_stack(finding):
        if isinstance(part, int):
            lines.append(f"      ... {words.plural(part, 'frame')}")
            continue
        frame, blamed = part
        texts = (frame.function, words.place(frame.file, frame.line))
        shown = ", ".join(escape.shorten(escape.terminal(text), _TEXT_LIMIT) for text in texts)
        lines.append(f"    {'>' if blamed else ' '} {shown}")
    return [*lines, "```"]


def _latent(finding: Finding, report: Report) -> Iterator[str]:
    blame = finding.blame
    if blame is None:
        yield f"- {words.no_blame_words(finding)}"
    else:
        yield f"- {words.blame_words(blame, _code, with_share=False)}"
    wait = words.wait_words(finding.wait, _code)
    amount = words.starved_words(finding, report.recording)
    yield f"  - {wait}, {amount}, {words.where_words(finding)}"
    yield f"  - to do: {_prose(finding.remedy)}"


def _workers(report: Report) -> Iterator[Sequence[str]]:
    if not report.workers:
        yield ["none"]
        return
    rows = process_table.process_table(report).rows
    if rows:
        cells = [process_table.cells(group, _code) for group in rows]
        yield _table(process_table.COLUMNS, process_table.NUMBERS, cells)
    yield [f"- {note}" for note in process_table.notes(report, _code)]
