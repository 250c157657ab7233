"""Threads that wait for an event, from one look to the next: what for cannot change meanwhile.

Idle threads wait like this, many of them and for hours. Whether anybody is left to set the event is
asked again and again while their process runs, but not which one it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from waitspy.model.wait_for import WaitEdge


class EventWaits:
    """What threads of one interpreter wait for, as long as each stands where it stood."""

    def __init__(self) -> None:
        self._still: Mapping[int, int] = {}
        self._seen: dict[int, tuple[int, WaitEdge]] = {}
        self._turns: dict[int, int] = {}
        self._turn = 0

    def begin(self, still_ns: Mapping[int, int]) -> None:
        """Forgets those that have run since; ``still_ns`` tells since when each has not."""
        self._still = still_ns
        seen = self._seen.items()
        self._seen = {tid: one for tid, one in seen if still_ns.get(tid) == one[0]}
        self._turns = {tid: turn for tid, turn in self._turns.items() if tid in still_ns}

    def of(self, tid: int) -> WaitEdge | None:
        """What that thread waits for, if that was seen before."""
        known = self._seen.get(tid)
        return None if known is None else known[1]

    def note(self, edge: WaitEdge) -> WaitEdge:
        """The same, kept until the thread runs."""
        if edge.tid in self._still:
            self._seen[edge.tid] = self._still[edge.tid], edge
        return edge

    def turn(self, tid: int) -> int:
        """What is the less, the longer ago it was asked whether what that thread waits for is lost:
        there is not always time to ask that of all.
        """
        return self._turns.get(tid, 0)

    def note_turn(self, tids: Iterable[int]) -> None:
        """That is asked now of these."""
        self._turn += 1
        self._turns.update(dict.fromkeys(tids, self._turn))
