"""The parts of the report page that are text: findings, workers, losses; whole elements."""

from __future__ import annotations

from collections.abc import Sequence

from waitspy.model.judged import Blame, Episode, Finding, Report, Victim
from waitspy.render import chain_words, escape, lending_words, waiting_words, words
from waitspy.render.reports import episodes_told, process_table
from waitspy.render.reports.report_format import (
    blamed_index,
    unexplained,
    unsure,
)

_SHOWN = 160  # characters of one text from the target; the rest is in its tooltip
_TOOLTIP = 10_000
_LISTED = 10  # blames, victims and episodes shown one by one
_BLAMED = ' class="blamed"'


def code(text: str) -> str:
    """A text from the target as an element: one line, shortened, whole in its tooltip."""
    whole = escape.terminal(text) or "(empty)"
    if len(whole) <= _SHOWN:
        return f"<code>{escape.xml(whole)}</code>"
    title = escape.xml(escape.shorten(whole, _TOOLTIP))
    return f'<code title="{title}">{escape.xml(escape.shorten(whole, _SHOWN))}</code>'


def _remedy(markup: str) -> str:
    return f'<p class="remedy">{markup}</p>'


def _plain(text: str) -> str:
    """Waitspy's own words, in which names of the target can stand."""
    return escape.xml(escape.shorten(escape.terminal(text), 2000))


# --- the verdict -------------------------------------------------------------------------------


def summary(report: Report) -> str:
    """One entry for each blamed line, with what each of its findings comes to, and links to it."""
    if not report.findings:
        return ""
    lines: dict[object, list[tuple[int, Finding]]] = {}
    for number, finding in enumerate(report.findings, 1):
        blame = finding.blame
        place = None if blame is None or blame.line is None else (blame.file, blame.line)
        lines.setdefault(place or number, []).append((number, finding))
    entries = "".join(_entry(found, report) for found in lines.values())
    return f'<ol class="summary">{entries}</ol>'


def _entry(found: Sequence[tuple[int, Finding]], report: Report) -> str:
    number, first = found[0]
    verdicts = dict.fromkeys(finding.verdict for _, finding in found)
    badges = " ".join(f'<span class="badge {one}">{one}</span>' for one in verdicts)
    titles = list(dict.fromkeys(finding.kind.title for _, finding in found))
    amounts = "".join(
        f'<a href="#finding-{n}">{_amount(finding, report, named=len(titles) > 1)}</a>'
        for n, finding in found
    )
    return (
        f'<li><a href="#finding-{number}"><span>{badges}</span> '
        f"<b>{escape.xml(', '.join(titles))}</b> {_who(first.blame)}</a>"
        f'<span class="amounts">{amounts}</span></li>'
    )


def _who(blame: Blame | None) -> str:
    if blame is None:
        return "not known"
    if blame.file is None:
        return code(blame.function)
    end = words.place(blame.file.rpartition("/")[2] or blame.file, blame.line)
    return f'{code(blame.function)} <span class="quiet">{code(end)}</span>'


def _amount(finding: Finding, report: Report, *, named: bool) -> str:
    """What a finding comes to, with its unit: "starved 15.2 s", "latent: twice, longest 0.3 s"."""
    kind = f"{escape.xml(finding.kind.title)}, " if named else ""
    if finding.verdict == "latent":
        return f"{kind}latent: {words.starved_words(finding, report.recording)}"
    verb = "served late for" if finding.verdict == "late" else "starved"
    return f"{kind}{verb} {words.duration(finding.starved_s)}"


# --- findings ----------------------------------------------------------------------------------


def findings(report: Report) -> str:
    """Every finding as an article, in the report's order."""
    if not report.findings:
        seen = "no wait was seen to keep due work waiting"
        if unexplained(report):
            return f'<p class="quiet">{seen.capitalize()}. Somebody waits all the same.</p>'
        if unsure(report):
            return f'<p class="quiet">{seen.capitalize()}. Whether somebody waits is not known.</p>'
        return f'<p class="quiet">Nothing to report: {seen}.</p>'
    return "".join(
        _finding(number, finding, report) for number, finding in enumerate(report.findings)
    )


def _finding(index: int, finding: Finding, report: Report) -> str:
    number = index + 1
    rows = [
        ("What", "" if finding.detail is None else f"<p>{code(finding.detail)}</p>"),
        ("Blame", _blames(finding, report)),
        ("Wait", f"<p>{words.wait_words(finding.wait, code)}</p>"),
        ("Lent", _lending(finding)),
        ("Chain", _chain(finding)),
        ("Victims", _victims(finding.victims)),
        ("Remedy", _remedy(_plain(finding.remedy))),
        ("Episodes", _episodes(index, finding, report)),
        ("Evidence", f"<p>{words.evidence_words(finding, report.recording, code)}</p>"),
        ("Where", f"<p>{escape.xml(words.where_words(finding))}</p>{_stack(finding)}"),
    ]
    body = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows if value)
    meaning = words.kind_words(finding).partition(": ")[2]
    return (
        f'<article class="finding {finding.verdict}" id="finding-{number}">'
        f'<header><h3><span class="badge {finding.verdict}">{finding.verdict}</span> '
        f"{escape.xml(finding.kind.title)} "
        f'<a class="anchor" href="#finding-{number}" aria-label="Link to this finding">#</a></h3>'
        f'<p class="meaning">{escape.xml(meaning)}</p>'
        f'<p class="amount">{words.starved_words(finding, report.recording)}</p>'
        f'<div class="actions" data-copy="{index}">'
        f'<a class="button follow" href="#timeline" data-finding="{index}">'
        f"Show in timeline and flamegraph</a></div></header>"
        f"<dl>{body}</dl></article>"
    )


def _blames(finding: Finding, report: Report) -> str:
    if not finding.blames:
        return f"<p>{words.no_blame_words(finding)}</p>"
    several = len(finding.blames) > 1
    shown = [
        f"<p>{words.blame_words(blame, code, with_share=several)}</p>{_source(blame, report)}"
        for blame in finding.blames[:_LISTED]
    ]
    rest = len(finding.blames) - _LISTED
    return "".join(shown) + (f"<p>and {rest} more</p>" if rest > 0 else "")


def _lending(finding: Finding) -> str:
    told = () if finding.lending is None else lending_words.lines(finding.lending, code)
    return "".join(f"<p>{line}</p>" for line in told)


def _chain(finding: Finding) -> str:
    rows = "".join(
        f"<li>{text}{'' if source is None else f'<div>{code(source)}</div>'}</li>"
        for text, source in chain_words.lines(finding.chain, code)
    )
    return f'<ol class="chain">{rows}</ol>' if rows else ""


def _source(blame: Blame, report: Report) -> str:
    """The lines around the blamed one, or that line alone, or nothing where none was read."""
    lines: dict[int, str] = {}
    if blame.file is not None and blame.line is not None:
        lines = dict(report.sources.get(blame.file, {}))
        lines = {n: text for n, text in lines.items() if abs(n - blame.line) <= 4}
        if blame.source is not None:
            lines.setdefault(blame.line, blame.source)
    if not lines:
        return ""
    margin = min((_indent(text) for text in lines.values() if text.strip()), default=0)
    rows = "".join(
        f"<li{_BLAMED if n == blame.line else ''}><span>{n}</span>"
        f"<code>{_line(lines[n][margin:])}</code></li>"
        for n in sorted(lines)
    )
    return f'<ol class="source" tabindex="0" aria-label="source">{rows}</ol>'


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" \t"))


def _line(text: str) -> str:
    return escape.xml(escape.shorten(escape.terminal(text.expandtabs(4).rstrip()), 400))


def _victims(victims: Sequence[Victim]) -> str:
    if not victims:
        return ""
    rows = "".join(
        f"<tr><td>{words.kind_count(victim.kind, victim.count)}</td>"
        f"<td>{code(victim.name) if victim.name else ''}"
        f"{f'<br>{code(victim.where)}' if victim.where else ''}</td>"
        f'<td class="number">{words.duration(victim.waited_s)}</td>'
        f'<td class="number">{words.duration(victim.waited_s / victim.count)}</td></tr>'
        for victim in victims[:_LISTED]
    )
    rest = words.rest_words(victims[_LISTED:]) if len(victims) > _LISTED else ""
    return (
        '<div class="scroll"><table class="victims"><thead><tr><th>who waited</th><th>name</th>'
        '<th class="number">waited together</th><th class="number">on average</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{f'<p>{rest}</p>' if rest else ''}"
    )


def _episodes(index: int, finding: Finding, report: Report) -> str:
    """The longest episodes, in time order, each a link into the timeline."""
    shown = episodes_told.longest(finding, _LISTED)
    links = "".join(
        f'<li><a class="chip follow" href="#timeline" data-finding="{index}" '
        f'data-episode="{n}">{_episode(finding.episodes[n], report)}</a></li>'
        for n in shown
    )
    rest = len(finding.episodes) - len(shown)
    more = f"<li>and {rest} shorter ones, marked in the timeline</li>" if rest > 0 else ""
    return f'<ul class="chips">{links}{more}</ul>' if links else ""


def _episode(episode: Episode, report: Report) -> str:
    length, rest = episodes_told.told(episode, report.recording)
    return f"<b>{length}</b> {rest}"


def _stack(finding: Finding) -> str:
    if not finding.stack:
        return ""
    blamed = blamed_index(finding)
    frames = "".join(
        f"<li{_BLAMED if n == blamed else ''}>{code(frame.function)} "
        f"<span>{code(words.place(frame.file, frame.line))}</span></li>"
        for n, frame in enumerate(finding.stack)
    )
    count = words.plural(len(finding.stack), "frame")
    return (
        f"<details><summary>The stack, {count}, root first</summary>"
        f'<ol class="stack">{frames}</ol></details>'
    )


# --- what waits --------------------------------------------------------------------------------


def waiting(report: Report) -> str:
    """Who waits for an answer, and where tasks do, as a section; "" when nothing is known."""
    lines = waiting_words.lines(report, code)
    if not lines:
        return ""
    entries = "".join(f"<li>{line}</li>" for line in lines)
    title = waiting_words.TITLE.capitalize()
    return (
        '<section id="waiting" aria-labelledby="waiting-title">'
        f'<h2 id="waiting-title">{title}</h2><ul class="notes">{entries}</ul></section>'
    )


# --- workers and losses ------------------------------------------------------------------------


def workers(report: Report) -> str:
    """The table of processes, and what is to be said of single ones."""
    if not report.workers:
        return '<p class="quiet">none</p>'
    table = process_table.process_table(report)
    notes = "".join(f"<li>{note}</li>" for note in process_table.notes(report, code))
    found = f"{_table(table.rows)}" if table.rows else ""
    if len(table.rows) < len(report.workers):
        every = _table([(record,) for record in report.workers])
        found += f"<details><summary>All {len(report.workers)} processes</summary>{every}</details>"
    return f'{found}<ul class="notes">{notes}</ul>'


def _table(groups: Sequence[process_table.Group]) -> str:
    columns = (*process_table.COLUMNS, "oracles")
    head = "".join(f"<th{_number(name)}>{name}</th>" for name in columns)
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{_number(name)}>{cell}</td>"
            for name, cell in zip(
                process_table.COLUMNS, process_table.cells(group, code), strict=True
            )
        )
        + f'<td class="oracles">{_oracles(group)}</td></tr>'
        for group in groups
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _number(name: str) -> str:
    return ' class="number"' if name in process_table.NUMBERS else ""


def _oracles(group: process_table.Group) -> str:
    """What each oracle said of these processes, each answer once."""
    said = dict.fromkeys(answer for record in group for answer in record.oracles.items())
    return " ".join(
        f'<span class="oracle {"ok" if status == "ok" else "off"}" '
        f'title="{_plain(status)}">{_plain(name)}</span>'
        for name, status in said
    )


def losses(report: Report) -> str:
    """What could not be seen and why, and what waitspy itself used."""
    entries = "".join(
        f"<li>{what}{_remedy(remedy) if remedy else ''}</li>"
        for what, remedy in words.unseen(report, _plain)
    )
    seen = f'<ul class="notes">{entries}</ul>' if entries else "<p>Nothing was lost.</p>"
    return f"{seen}<p>{escape.xml(words.cost_words(report.cost))}.</p>"
