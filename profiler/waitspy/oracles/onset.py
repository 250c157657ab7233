"""How soon the oracles look closer: derived from --min-stall at this one place."""

from __future__ import annotations

from waitspy.model.clock import NS

LEAST_MIN_STALL_S = 0.05
"""Looks are 10 ms apart, and a stall's beginning and end are each known to one look: shorter ones
are more error than stall, and what any healthy server does."""

_LATEST_ONSET_NS = 50_000_000


def onset_ns(min_stall_s: float) -> int:
    """How old a wait looks like the beginning of an episode: soon enough to see it in time, rare
    when healthy. Longer stalls are no reason to look later: what is looked up must still be there.
    """
    return min(_LATEST_ONSET_NS, int(min_stall_s * NS) // 2)
