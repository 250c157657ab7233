"""How often an oracle may look, by what its looks cost: a share of one core, saved up a little."""

from __future__ import annotations

_SAVED_NS = 20_000_000

ROUTINE_SHARE = 0.01
"""Of one core: what each kind of look for something new may use in one worker."""

_ALL_ROUTINE_SHARE = 0.02  # and in all workers together


def routine_share(workers: int) -> float:
    """What each kind of look for something new may use of one core, in one of so many workers."""
    return min(ROUTINE_SHARE, _ALL_ROUTINE_SHARE / max(1, workers))


class Allowance:
    """CPU time that grows with time, up to what a few expensive looks take.

    Without savings the first look at a process, which is its most expensive one, would leave none
    for the next stall.
    """

    __slots__ = ("_left_ns", "_share", "_since_ns")

    def __init__(self, share: float) -> None:
        self._share = share
        self._left_ns = float(_SAVED_NS)
        self._since_ns: int | None = None

    def spend(self, spent_ns: int, now_ns: int, share: float | None = None) -> int:
        """Takes what a look at that time has cost; the time from which there may be another one.

        From now on it grows by ``share``, where that is given.
        """
        grown_ns = 0.0 if self._since_ns is None else (now_ns - self._since_ns) * self._share
        self._left_ns = min(_SAVED_NS, self._left_ns + grown_ns) - spent_ns
        self._since_ns = now_ns
        self._share = self._share if share is None else share
        return now_ns + int(max(0.0, -self._left_ns) / self._share)
