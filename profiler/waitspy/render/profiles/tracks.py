"""What formats with one track per thread have in common: steps in time, episodes, their words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import Episode, Finding, PendingKind, PendingSeries, Profile
from waitspy.model.processes import Worker
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_frames import merged_stack
from waitspy.render import escape, words

_EPOCH = datetime.fromtimestamp(0, UTC)
_PENDING: Mapping[PendingKind, str] = {
    "ready": "ready callbacks",
    "overdue": "overdue timers",
    "unread": "unread I/O",
    "queued": "queued work items",
    "backlog": "connections to accept",
}
_MOST_COMMAND = 80


@dataclass(frozen=True, slots=True)
class Step:
    """A thread showed ``stack``, lines and wait frame included, from ``start_ns`` to ``end_ns``."""

    start_ns: int
    end_ns: int
    stack: Stack
    activity: Activity


@dataclass(frozen=True, slots=True)
class Starved:
    """One episode with its finding, in nanoseconds of the profile's clock."""

    start_ns: int
    end_ns: int
    episode: Episode
    finding: Finding


def steps(thread: ThreadActivity) -> Iterator[Step]:
    """A thread's activities in time order, each of more than no time, none overlapping another."""
    until_ns: int | None = None
    for activity in thread.activities:
        start_ns = activity.start_ns if until_ns is None else max(activity.start_ns, until_ns)
        if activity.end_ns > start_ns:
            yield Step(
                start_ns,
                activity.end_ns,
                merged_stack(activity.stack, activity.wait, lines=True),
                activity,
            )
            until_ns = activity.end_ns


def shared(one: Sequence[Frame], other: Sequence[Frame]) -> int:
    """How many frames both begin with."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


def starved(profile: Profile) -> list[Starved]:
    """The episodes of all findings, in time order."""
    found = [
        Starved(round(episode.start_s * NS), round(episode.end_s * NS), episode, finding)
        for finding in profile.findings
        for episode in finding.episodes
    ]
    return sorted(found, key=lambda s: (s.start_ns, s.end_ns, s.episode.pid, s.episode.tid))


def details(one: Starved) -> dict[str, str | int]:
    """What is known of an episode, by the names that a viewer shows; plain text."""
    finding, episode = one.finding, one.episode
    blame = finding.blame
    found: dict[str, str | int] = {
        "kind": finding.kind.name,
        "verdict": finding.verdict,
        "blame": words.no_blame_words(finding)
        if blame is None
        else words.blame_words(blame, escape.plain, with_share=False),
        "wait": words.wait_words(finding.wait, escape.plain),
        "evidence": escape.plain(", ".join(episode.evidence)),
        "remedy": escape.plain(finding.remedy),
    }
    if finding.detail is not None:
        found["detail"] = escape.plain(finding.detail)
    if episode.pending_max is not None:
        found["victims"] = episode.pending_max
    if episode.served is not None:
        found["served"] = episode.served
    return found


DETAILS: Mapping[str, str] = {
    "kind": "Kind",
    "verdict": "Verdict",
    "detail": "What starved",
    "blame": "Blame",
    "wait": "Wait",
    "evidence": "Evidence",
    "remedy": "Remedy",
    "victims": "Most items waiting at once",
    "served": "Items served meanwhile",
}
"""The names of all details, with what they are called in a table."""


def pending_name(series: PendingSeries) -> str:
    """As in "overdue timers: loop on epoll descriptor 5"; plain text."""
    return f"{_PENDING[series.kind]}: {escape.plain(series.name)}"


def levels(series: PendingSeries, start_ns: int) -> Sequence[tuple[int, int]]:
    """The series' points, after a zero at ``start_ns`` where they begin later."""
    points = series.points
    return points if points and points[0][0] <= start_ns else ((start_ns, 0), *points)


def process_name(pid: int, worker: Worker | None) -> str:
    """As in "worker 4711: python -m app", the command shortened; plain text."""
    if worker is None:
        return f"process {pid}"
    command = escape.shorten(escape.plain(worker.command), _MOST_COMMAND)
    return f"{worker.role} {pid}: {command}" if command else f"{worker.role} {pid}"


def started_ns(profile: Profile) -> int | None:
    """The wall clock at the profile's start: nanoseconds since 1970; None where it is not known."""
    try:
        started = datetime.fromisoformat(profile.started_at or "")
    except ValueError:
        return None
    if started.tzinfo is None:
        return None
    return (started - _EPOCH) // timedelta(microseconds=1) * 1000
