"""The processes of a report: a row for each, one row for many that are alike, a line for the ended.

Sixty-four workers, or the thirty children that a worker started and saw end, say no more one by one
than together, and would push what matters off the screen. The JSON report has every one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from waitspy.model import multiprocessing_commands
from waitspy.model.clock import NS
from waitspy.model.judged import Report
from waitspy.model.recorded import RecordingInfo, WorkerRecord
from waitspy.render import words

COLUMNS = ("pid", "role", "runtime", "framework", "threads", "rate", "samples", "missed")
NUMBERS = frozenset({"pid", "threads", "rate", "samples", "missed"})

_ALIKE = 3  # running processes that are alike, and still have a row each
_ENDED = 2  # processes that came and went alike, and still have one
_LATE_NS = NS // 2  # after the beginning: who was watched from then on is told
_PIDS = 3  # of those that have ended: nobody can look at them any more

Code = Callable[[str], str]
Group = tuple[WorkerRecord, ...]


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """``rows`` are one process, or many that are alike; ``ended`` came and went, alike, too."""

    rows: tuple[Group, ...]
    ended: tuple[Group, ...]


def process_table(report: Report) -> ProcessTable:
    """The processes in the order of the report, those that are alike at the place of the first.

    Whoever a finding names has a row, and does not share it with others.
    """
    named = {pid for finding in report.findings for pid in finding.pids}
    alike: dict[tuple[bool, tuple[object, ...]], list[WorkerRecord]] = {}
    for record in report.workers:
        worker = record.worker
        told = worker.pid in named
        short = not told and _came_and_went(record, report.recording)
        key = worker.role, worker.runtime, worker.framework, worker.why_not, record.exit, told
        alike.setdefault((short, key), []).append(record)
    rows: list[Group] = []
    ended: list[Group] = []
    for (short, _), records in alike.items():
        if short and len(records) > _ENDED:
            ended.append(tuple(records))
        elif len(records) > _ALIKE:
            rows.append(tuple(records))
        else:
            rows += [(record,) for record in records]
    order = {id(record): place for place, record in enumerate(report.workers)}
    return ProcessTable(tuple(sorted(rows, key=lambda group: order[id(group[0])])), tuple(ended))


def _came_and_went(record: WorkerRecord, recording: RecordingInfo) -> bool:
    """Whether it ended and was there for less than half of the recording.

    What runs a COMMAND, and its workers, end as well, but with the recording.
    """
    if record.exit is None or record.gone_ns is None:
        return False
    length_ns = recording.end_ns - recording.monotonic_start_ns
    return record.gone_ns - record.attached_ns < length_ns / 2


def label(group: Group) -> str:
    """What a row is called: "4711", or "4711 +39" where it is forty processes."""
    more = f" +{len(group) - 1}" if len(group) > 1 else ""
    return f"{group[0].worker.pid}{more}"


def cells(group: Group, code: Code) -> tuple[str, ...]:
    """One row of the table with COLUMNS, of many the extremes and the sums; "?" is not known."""
    worker = group[0].worker
    rates = [None if record.rate_hz is None else f"{record.rate_hz:.3g}" for record in group]
    threads = [None if r.worker.threads is None else str(r.worker.threads) for r in group]
    return (
        label(group),
        worker.role,
        "none" if worker.runtime is None else code(worker.runtime.short),
        "?" if worker.framework is None else code(worker.framework),
        _span(threads),
        _span(rates, " Hz"),
        _sum([record.samples for record in group]),
        _sum([record.missed_samples for record in group]),
    )


def _span(values: Sequence[str | None], unit: str = "") -> str:
    known = sorted({value for value in values if value is not None}, key=float)
    return f"{'-'.join(dict.fromkeys((known[0], known[-1])))}{unit}" if known else "?"


def _sum(counts: Sequence[int | None]) -> str:
    known = [count for count in counts if count is not None]
    return str(sum(known)) if known else "?"


def notes(report: Report, code: Code) -> list[str]:
    """What stands below the table: what is not known of a row, how processes ended, commands."""
    table = process_table(report)
    lines = [_silent(group) for group in table.rows]
    lines += [_late(group, report.recording.monotonic_start_ns) for group in table.rows]
    exits: dict[str, list[str]] = {}
    for group in table.rows:
        if group[0].exit is not None:
            exits.setdefault(group[0].exit, []).append(label(group))
    lines += [f"{', '.join(labels)} ended: {code(how)}" for how, labels in exits.items()]
    lines += [_ended(group, code) for group in table.ended]
    return [line for line in (*lines, *_commands(table, code)) if line]


def _commands(table: ProcessTable, code: Code) -> list[str]:
    """Who was started how; of those that multiprocessing started only if there are no others."""
    telling = [row for row in table.rows if not _says_nothing(row)] or table.rows
    commands: dict[str, list[str]] = {}
    for group in telling:
        commands.setdefault(_command(group, code), []).append(label(group))
    of_all = len(commands) == 1 < len(telling) == len(table.rows) and not table.ended
    return [
        f"command of {'all' if of_all else ', '.join(labels)}: {command}"
        for command, labels in commands.items()
    ]


def _says_nothing(group: Group) -> bool:
    return all(multiprocessing_commands.says_nothing(one.worker.command) for one in group)


def _silent(group: Group) -> str:
    """Of which of many processes nothing was sampled; "" where the row itself tells it."""
    silent = [record.worker.pid for record in group if record.samples is None]
    if 0 < len(silent) < len(group):
        return f"of {label(group)}, no stack was sampled of {words.numbers(silent)}"
    return ""


def _late(group: Group, start_ns: int) -> str:
    """From when on they were watched, as in "17 watched from 1.4 s on"; "" if at once."""
    after_ns = [max(0, record.attached_ns - start_ns) for record in group if record.watched]
    if not after_ns or max(after_ns) < _LATE_NS:
        return ""
    first, last = (words.duration(ns / NS) for ns in (min(after_ns), max(after_ns)))
    when = f"from {last}" if len(group) == 1 else f"one after the other, from {first} to {last}"
    return f"{label(group)} watched {when} of the recording on"


def _ended(group: Group, code: Code) -> str:
    """As in "18 more ended: exited; pids 6563, …; of 8 no stack was sampled; command …"."""
    pids = words.numbers([record.worker.pid for record in group], _PIDS)
    parts = [f"{len(group)} more ended: {code(group[0].exit or '')}; pids {pids}"]
    silent = sum(not record.samples for record in group)
    if silent:
        parts.append(f"of {silent} no stack was sampled")
    missed = sum(record.missed_samples or 0 for record in group)
    if missed:
        parts.append(f"{words.plural(missed, 'sample')} missed")
    return "; ".join((*parts, f"command {_command(group, code)}"))


def _command(group: Group, code: Code) -> str:
    """The command of them all, or the first one's and how many others there are."""
    commands = dict.fromkeys(record.worker.command for record in group)
    first = code(next(iter(commands)))
    return f"{first} and {len(commands) - 1} others" if len(commands) > 1 else first
