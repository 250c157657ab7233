"""What every report format has in common: the Protocol, and what they all read out of a Report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Protocol, TextIO

from waitspy.model.clock import NS
from waitspy.model.judged import (
    Analysis,
    Blame,
    Finding,
    OwedRequests,
    Place,
    Report,
    WhatWaits,
)
from waitspy.model.oracle_names import EPOLL, PENDING, THREADS, concerns
from waitspy.model.recorded import RecordingInfo, WorkerRecord
from waitspy.model.stacks import Frame

Severity = Literal["starving", "late", "latent", "none", "unknown"]

_LONG_S = 1.0  # that an answer takes some time is usual
_MANY = 10  # tasks that wait for one lock; a few are what locks are for


class ReportRenderer(Protocol):
    """Writes one Analysis in one format; options of a format are arguments of its constructor.

    ``name`` is what the command line calls the format, ``extension`` the usual end of such a
    file's name, without its dot; ``binary`` says whether the format is bytes rather than text
    (a binary format writes to the stream's ``buffer``).
    """

    name: ClassVar[str]
    extension: ClassVar[str]
    binary: ClassVar[bool]

    def render(self, analysis: Analysis, stream: TextIO) -> None:
        """Write the whole report; the stream stays open."""


def attached(report: Report) -> tuple[WorkerRecord, ...]:
    """The processes that were recorded."""
    return tuple(record for record in report.workers if record.watched)


def counted(report: Report) -> tuple[WorkerRecord, ...]:
    """The processes a verdict counts: attached workers, or, without any, all that was attached."""
    records = attached(report)
    return tuple(record for record in records if record.worker.role == "worker") or records


def refused(report: Report) -> tuple[WorkerRecord, ...]:
    """The processes that could not be attached."""
    return tuple(record for record in report.workers if record.worker.why_not is not None)


def known_oracles(report: Report) -> list[str]:
    """The oracles of pending work that the waitspy which made the recording had."""
    told = {name for record in report.workers for name in record.oracles} | {EPOLL}
    return [name for name in PENDING if name in told]


def not_watched(report: Report) -> list[tuple[list[str], str, list[int]]]:
    """Oracles, reason and recorded processes, for oracles that did not work on these.

    An oracle of pending work of which nothing is told did not run, so it belongs here too.
    """
    by_oracle: dict[tuple[str, str], list[int]] = {}
    known = known_oracles(report)
    for record in attached(report):
        statuses = dict.fromkeys(known, "it did not run") | dict(record.oracles)
        for name, status in statuses.items():
            if status != "ok" and concerns(name, record.worker):
                by_oracle.setdefault((name, status), []).append(record.worker.pid)
    grouped: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (name, status), pids in by_oracle.items():
        grouped.setdefault((status, tuple(pids)), []).append(name)
    return [(names, status, list(pids)) for (status, pids), names in grouped.items()]


def is_judged(record: WorkerRecord, name: str) -> bool:
    """Whether work of which that oracle tells could starve in that process and be found: who is
    blocked meanwhile, the states of its threads tell.
    """
    return record.oracles.get(name) == "ok" and record.oracles.get(THREADS, "ok") == "ok"


def severity(report: Report) -> Severity:
    """The worst verdict of the report; "unknown" when nothing could be judged at all."""
    verdicts = {finding.verdict for finding in report.findings}
    for verdict in ("starving", "late"):
        if verdict in verdicts:
            return verdict
    blind = not any(is_judged(record, name) for record in counted(report) for name in PENDING)
    nothing = nothing_to_watch(report) or no_loop_seen(report) or hardly_looked(report)
    if blind or (nothing and not verdicts):
        return "unknown"
    return "latent" if verdicts else "none"


def nothing_to_watch(report: Report) -> bool:
    """Whether there was no loop, pool or listener that could have starved: no all-clear."""
    return report.watched is not None and report.watched.nothing


def no_loop_seen(report: Report) -> bool:
    """Whether there were event loops, and not one could be watched: no all-clear either."""
    seen = report.watched
    return seen is not None and not seen.loops and seen.unseen_loops > 0


def hardly_looked(report: Report) -> bool:
    """Whether waitspy did not get to look for most of the time: no all-clear either."""
    return report.recording.unseen_s * 2 > report.recording.duration_s


def owed_long(report: Report) -> tuple[OwedRequests, ...]:
    """The ports on which somebody has waited for an answer for so long that it is no all-clear."""
    return tuple(
        owed
        for owed in report.waiting.requests
        if is_long(owed.oldest_s) or is_long(owed.longest_s)
    )


def is_long(waited_s: float | None) -> bool:
    """Whether somebody has waited for longer than an answer usually takes."""
    return waited_s is not None and waited_s >= _LONG_S


def unexplained(report: Report) -> bool:
    """Whether somebody waits for an answer, to be let in or read, and no finding says what for."""
    waits = owed_long(report) or outside(report.waiting)
    return severity(report) not in {"starving", "late"} and bool(waits)


def outside(waiting: WhatWaits) -> bool:
    """Whether somebody waited to be let in, or to be read."""
    return bool(waiting.unaccepted or waiting.unread or waiting.messages)


def unsure(report: Report) -> bool:
    """Whether it is no all-clear: somebody waits without a finding, or nobody can know."""
    no_harm = severity(report) not in {"starving", "late"}
    return unexplained(report) or (no_harm and bool(report.waiting.unseen))


def crowded(report: Report) -> tuple[Place, ...]:
    """Lines at which so many tasks wait for a lock, for so long, that it is worth a look."""
    return tuple(
        place
        for place in report.waiting.places or ()
        if place.wait == "lock"
        and place.count >= _MANY
        and place.longest_s is not None
        and place.longest_s >= _LONG_S
    )


def tells_waiting(report: Report) -> bool:
    """Whether a short report says what waits: somebody does, or may, and no finding tells why.

    Where nothing could be judged, the lines at which threads wait are all that can be told.
    """
    if severity(report) in {"starving", "late"}:
        return False
    waiting = report.waiting
    if severity(report) == "unknown" and waiting.places:
        return True
    waits = owed_long(report) or crowded(report) or outside(waiting)
    return bool(waits or waiting.unseen)


def nobody_waits(report: Report) -> bool:
    """Whether nothing was found, and nobody waits who might be served late."""
    return severity(report) == "none" and not tells_waiting(report)


def short_stack(finding: Finding, limit: int = 6) -> list[tuple[Frame, bool] | int]:
    """The innermost frames, root first, and the blamed one; an int stands for frames left out.

    The flag says that the frame is the one with the largest share of the blame.
    """
    blamed = blamed_index(finding)
    size = len(finding.stack)
    kept = set(range(size - limit, size))
    if size <= limit + 1:  # leaving out one frame saves no line
        kept = set(range(size))
    elif blamed is not None and blamed < size - limit:
        kept = {blamed, *range(size - limit + 2, size)}
    short: list[tuple[Frame, bool] | int] = []
    left_out = 0
    for index, frame in enumerate(finding.stack):
        if index not in kept:
            left_out += 1
            continue
        if left_out:
            short.append(left_out)
            left_out = 0
        short.append((frame, index == blamed))
    return short


def blamed_index(finding: Finding) -> int | None:
    """Where in the finding's stack the frame with the largest share of the blame stands."""
    blame = finding.blame
    if blame is None:
        return None
    wanted = (blame.function, blame.file, blame.line)
    stack = finding.stack
    for index in range(len(stack) - 1, -1, -1):
        if (stack[index].function, stack[index].file, stack[index].line) == wanted:
            return index
    return None


def source_line(report: Report, blame: Blame) -> str | None:
    """The source of the blamed line, without its indentation; None when it was not read."""
    source = blame.source
    if source is None and blame.file is not None and blame.line is not None:
        source = report.sources.get(blame.file, {}).get(blame.line)
    return source.strip() or None if source is not None else None


def worst_share(findings: Iterable[Finding], recording: RecordingInfo) -> float | None:
    """The largest share of the recording that one process spent in episodes of these findings.

    A process counts each instant once, however many of its loops and pools stood still. None when
    there is no episode or no duration.
    """
    start_s = recording.monotonic_start_ns / NS
    spans: dict[int, list[tuple[float, float]]] = {}
    for finding in findings:
        for episode in finding.episodes:
            span = (
                max(episode.start_s, start_s),
                min(episode.end_s, start_s + recording.duration_s),
            )
            spans.setdefault(episode.pid, []).append(span)
    if not spans or recording.duration_s <= 0:
        return None
    return max(_union_s(each) for each in spans.values()) / recording.duration_s


def _union_s(spans: list[tuple[float, float]]) -> float:
    total = 0.0
    reached = float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
