"""Single episodes of a finding, as the formats for people list them."""

from __future__ import annotations

from collections.abc import Sequence

from waitspy.model.clock import NS
from waitspy.model.judged import Episode, Finding
from waitspy.model.recorded import RecordingInfo
from waitspy.render import words


def longest(finding: Finding, limit: int) -> Sequence[int]:
    """The numbers of the longest episodes, in order of time."""
    every = range(len(finding.episodes))
    kept = sorted(every, key=lambda n: -finding.episodes[n].length_s)[:limit]
    return sorted(kept, key=lambda n: finding.episodes[n].start_s)


def told(episode: Episode, recording: RecordingInfo) -> tuple[str, str]:
    """Its length and the rest, as in "1.7 s" and "at 1.2 s, pid 4711, up to 34 waiting"."""
    at = words.duration(max(0.0, episode.start_s - recording.monotonic_start_ns / NS))
    pending = "" if episode.pending_max is None else f", up to {episode.pending_max} waiting"
    return words.duration(episode.length_s), f"at {at}, pid {episode.pid}{pending}"
