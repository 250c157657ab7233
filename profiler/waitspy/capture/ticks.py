"""When the observer looks: the tick in force, gaps between looks, and rounds of their own.

Pure: times and CPU times come in, so that a test needs no clock.
"""

from __future__ import annotations

from waitspy.model.clock import NS

_SHARE = 0.25  # of one core; beyond it looks become rarer
_FASTER_BELOW = _SHARE * 0.4  # twice as many looks then stay inside, and do not sway back
_SLOWEST_TICK_NS = 50_000_000
_TICKS_A_STALL = 2  # so many looks at least while something waits for --min-stall
_LATE_NS = 30_000_000  # three ticks by default: a busy machine makes looks late by a few ms
_LATE_SHARE = 0.3  # of --min-stall, where that is short
_LEAST_LATE_NS = 10_000_000


class Pace:
    """The tick of one capture: ``tick_ns`` is in force, ``slowest_ns`` the slowest that was.

    Looks come more rarely while they cost more than their share of a core, and as often as asked
    for when they do not any more. ``crowded`` is whether they do even at the slowest tick: then
    others have to save. ``gaps`` are the spans between two looks that say nothing of
    what was between: more than the tick in force, and late.
    """

    def __init__(self, asked_ns: int, min_stall_ns: int) -> None:
        self.asked_ns = self.tick_ns = self.slowest_ns = asked_ns
        self.crowded = False
        self.gaps: list[tuple[int, int]] = []
        bound_ns = min(_SLOWEST_TICK_NS, min_stall_ns // _TICKS_A_STALL)
        self._slowest_allowed_ns = max(asked_ns, bound_ns)
        self._late_ns = max(_LEAST_LATE_NS, min(_LATE_NS, int(min_stall_ns * _LATE_SHARE)))
        self.begin(0, 0)

    def begin(self, now_ns: int, cpu_ns: int) -> None:
        """The first look is due now; what was before does not count."""
        self._looked_ns = self._next_ns = now_ns
        self._counted = now_ns, cpu_ns
        self._apart_ns = 0

    def look(self, now_ns: int) -> None:
        """Notes that a look begins, and the gap that it ends, if any."""
        since_ns, self._looked_ns = self._looked_ns, now_ns
        if now_ns - since_ns > self.tick_ns + self._late_ns:
            self.gaps.append((since_ns, now_ns))

    def next_ns(self, now_ns: int) -> int:
        """When the next look is due, now that this one is done; those missed are left out.

        A look that came early, because a signal did, puts none off.
        """
        self._next_ns = min(max(self._next_ns + self.tick_ns, now_ns), now_ns + self.tick_ns)
        return self._next_ns

    def leave_out(self, cpu_ns: int) -> None:
        """CPU time that no tick would save: what attaching has taken."""
        self._apart_ns += cpu_ns

    def account(self, now_ns: int, cpu_ns: int) -> None:
        """Chooses the tick by the CPU time used since this was called before."""
        before_ns, before_cpu_ns = self._counted
        if now_ns - before_ns < NS // 2:
            return  # too short to judge by
        spent_ns = cpu_ns - before_cpu_ns - self._apart_ns
        self._counted, self._apart_ns = (now_ns, cpu_ns), 0
        share = spent_ns / (now_ns - before_ns)
        if share > _SHARE:
            self.crowded = self.tick_ns == self._slowest_allowed_ns
            self.tick_ns = min(self._slowest_allowed_ns, self.tick_ns * 2)
        elif share < _FASTER_BELOW:
            self.crowded = False
            self.tick_ns = max(self.asked_ns, self.tick_ns // 2)
        self.slowest_ns = max(self.slowest_ns, self.tick_ns)


class Round:
    """Something to do every ``every_ns``, from ``next_ns`` on, however late the ticks come."""

    def __init__(self, every_ns: int, first_ns: int) -> None:
        self.every_ns = every_ns
        self.next_ns = first_ns

    def begin(self, now_ns: int) -> None:
        """It is done now: if it was time, the next time is a whole number of rounds later."""
        missed = (now_ns - self.next_ns) // self.every_ns
        self.next_ns += (missed + 1) * self.every_ns
