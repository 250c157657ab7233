"""How a thread spent a span: by what the kernel says of it, and by its activities."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from waitspy.model.judged import Activity
from waitspy.model.threads import KernelState


@dataclass(frozen=True, slots=True)
class Composition:
    """How a thread spent a span, in nanoseconds."""

    ran_ns: int
    queued_ns: int
    stopped_ns: int
    blocked_ns: int

    @property
    def kept_ns(self) -> int:
        """Time in which it could have run, but was stopped or did not get the CPU."""
        return self.queued_ns + self.stopped_ns


def compose(states: Sequence[KernelState], start_ns: int, end_ns: int) -> Composition:
    """What the kernel says of the thread in that span; unknown time is left out.

    State R alone does not mean on the CPU: what counts is the time that schedstat gained. Nor does
    it mean runnable all the time until the next look: the delay is what schedstat credited, which
    it does when the thread gets the CPU, and the time since it last ran.
    """
    ran = stopped = blocked = 0
    runnable = credited = waiting = 0
    first = max(0, bisect_right(states, start_ns, key=lambda s: s.at_ns) - 1)
    for n in range(first, len(states)):
        state = states[n]
        if state.at_ns >= end_ns:
            break
        following = states[n + 1] if n + 1 < len(states) else None
        until_ns = min(following.at_ns if following else end_ns, end_ns)
        length = until_ns - max(state.at_ns, start_ns)
        if length <= 0 or state.gone:
            continue
        gained = length if state.syscall is None else 0  # without schedstat: by the state
        if following and following.ran_ns is not None and state.ran_ns is not None:
            gained = min(length, following.ran_ns - state.ran_ns)
        elif state.ran_ns is not None:
            gained = 0
        ran += gained
        if following and following.queued_ns is not None and state.queued_ns is not None:
            credited += following.queued_ns - state.queued_ns
        waiting = 0 if gained else waiting
        if state.state in "Tt":
            stopped += length - gained
        elif state.syscall is None and state.state == "R":
            runnable += length - gained
            waiting += 0 if gained else length
        else:
            blocked += length - gained
    queued = min(runnable, credited + waiting)
    return Composition(ran, queued, stopped, blocked + runnable - queued)


def cut(activities: Sequence[Activity], start_ns: int, end_ns: int) -> tuple[Activity, ...]:
    """The activities within a span, the first and the last one cut at its bounds."""
    first = max(0, bisect_right(activities, start_ns, key=lambda a: a.start_ns) - 1)
    found = []
    for activity in activities[first:]:
        if activity.start_ns >= end_ns:
            break
        a, b = max(activity.start_ns, start_ns), min(activity.end_ns, end_ns)
        if a < b:
            found.append(Activity(a, b, activity.stack, activity.wait))
    return tuple(found)
