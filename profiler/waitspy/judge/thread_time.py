"""How a thread spent a span: by what the kernel says of it, and by its activities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from waitspy.model.activities import Activities, Activity
from waitspy.model.columns import UNKNOWN, Int64s, one_of
from waitspy.model.threads import NOT_LOOKED, KernelStates

_RUNNABLE, _GONE, _UNSEEN = ord("R"), ord("X"), ord(NOT_LOOKED)
_HALF = 0.5
_STOPPED = [ord(letter) for letter in "Tt"]


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


def compose(states: KernelStates, start_ns: int, end_ns: int) -> Composition:
    """What the kernel says of the thread in that span; unknown time is left out.

    State R alone does not mean on the CPU: what counts is the time that schedstat gained. Nor does
    it mean runnable all the time until the next look: the delay is what schedstat credited, which
    it does when the thread gets the CPU, and the time since it last ran.

    Of a time in which nobody looked, these two are known if it lies in the span as a whole. The
    rest of it was in calls if the thread was in one again at its end, else it is unknown.
    """
    rows = slice(max(0, states.index_at(start_ns)), int(np.searchsorted(states.at_ns, end_ns)))
    following = slice(rows.start + 1, rows.stop + 1)
    at_ns, state, ran_ns = states.at_ns[rows], states.state[rows], states.ran_ns[rows]
    missing = len(at_ns) - len(states.at_ns[following])  # the very last row has none
    until_ns = np.append(states.at_ns[following], [end_ns] * missing)
    length_ns = np.minimum(until_ns, end_ns) - np.maximum(at_ns, start_ns)
    length_ns = np.where(one_of(state, (_GONE, _UNSEEN)), 0, np.maximum(0, length_ns))
    unseen = rows.start + np.flatnonzero(state == _UNSEEN)
    ran_unseen_ns, queued_unseen_ns, blocked_unseen_ns = _unseen(states, unseen, start_ns, end_ns)
    in_call = states.syscall[rows] != UNKNOWN
    counted = ran_ns != UNKNOWN
    next_ran_ns = np.append(states.ran_ns[following], [UNKNOWN] * missing)
    gained_ns = np.where(counted | in_call, 0, length_ns)  # without schedstat: by the state
    both = counted & (next_ran_ns != UNKNOWN)
    gained_ns[both] = np.minimum(length_ns, next_ran_ns - ran_ns)[both]
    rest_ns = length_ns - gained_ns
    stopped = one_of(state, _STOPPED)
    runnable = ~stopped & ~in_call & (state == _RUNNABLE)
    queued_ns = states.queued_ns[rows]
    next_queued_ns = np.append(states.queued_ns[following], [UNKNOWN] * missing)
    both = (queued_ns != UNKNOWN) & (next_queued_ns != UNKNOWN) & (length_ns > 0)
    delay_ns = np.where(both, next_queued_ns - queued_ns, 0)
    # Who is woken and does not get the CPU runs nothing, so that nobody looks at it again: the
    # delay that is credited when it does is the end of what looks like its call. The state is read
    # apart from the call: who is in one may be called runnable, and was just woken.
    slept = in_call & ~stopped
    until_in_ns = np.minimum(until_ns, end_ns)
    woken_ns = until_in_ns - np.maximum(until_ns - delay_ns, np.maximum(at_ns, start_ns))
    woken_ns = int(np.clip(woken_ns, 0, rest_ns)[slept & (delay_ns > 0)].sum())
    credited_ns = int(delay_ns[~slept].sum())
    last_ran = int(np.flatnonzero(gained_ns)[-1]) if gained_ns.any() else -1
    waiting_ns = int(rest_ns[last_ran + 1 :][runnable[last_ran + 1 :]].sum())
    runnable_ns = int(rest_ns[runnable].sum())
    queued = min(runnable_ns, credited_ns + waiting_ns)
    stopped_ns = int(rest_ns[stopped].sum())
    blocked_ns = int(rest_ns.sum()) - stopped_ns - queued - woken_ns
    return Composition(
        int(gained_ns.sum()) + ran_unseen_ns,
        queued + woken_ns + queued_unseen_ns,
        stopped_ns,
        blocked_ns + blocked_unseen_ns,
    )


def _unseen(states: KernelStates, n: Int64s, start_ns: int, end_ns: int) -> tuple[int, int, int]:
    """How long it ran, had no CPU, and was in calls while nobody looked; ``n`` are those rows."""
    n = n[(n > 0) & (n + 1 < len(states)) & (states.at_ns[n] >= start_ns)]
    n = n[states.at_ns[n + 1] <= end_ns]
    for counter in (states.ran_ns, states.queued_ns):
        n = n[(counter[n - 1] != UNKNOWN) & (counter[n + 1] != UNKNOWN)]
    length_ns = states.at_ns[n + 1] - states.at_ns[n]
    ran_ns = np.clip(states.ran_ns[n + 1] - states.ran_ns[n - 1], 0, length_ns)
    queued_ns = states.queued_ns[n + 1] - states.queued_ns[n - 1]
    queued_ns = np.clip(queued_ns, 0, length_ns - ran_ns)
    in_call = (states.syscall[n + 1] != UNKNOWN) & ~one_of(states.state[n + 1], _STOPPED)
    rest_ns = (length_ns - ran_ns - queued_ns)[in_call]
    return int(ran_ns.sum()), int(queued_ns.sum()), int(rest_ns.sum())


def what_decides(
    states: KernelStates, start_ns: int, end_ns: int, min_stall_ns: int, *, whole: bool = True
) -> Literal["kept", "blocked", "ran"] | None:
    """What of a thread's time in a span explains that it served nothing; None if nothing does.

    Who is kept from the CPU half of the time, but computes long enough, is the cause itself. Who
    computes for less, and is kept for half as long, is not: that would be no stall by itself. What
    it spends in calls is, also if that is less than half of the time, where nothing else is more.
    Of what is not ``whole``, as the recording's edge cuts it, a lack of CPU decides only if that
    alone would be a stall: how long the thread computed in all is not known.
    """
    spent, length_ns = compose(states, start_ns, end_ns), end_ns - start_ns
    if spent.kept_ns >= length_ns * _HALF and spent.ran_ns < min_stall_ns:
        return "kept" if whole or spent.kept_ns >= min_stall_ns else None
    if spent.blocked_ns >= length_ns * _HALF:
        return "blocked"
    if spent.ran_ns >= max(min_stall_ns, spent.blocked_ns):
        return "ran"
    if spent.blocked_ns >= max(min_stall_ns, spent.ran_ns, spent.kept_ns):
        return "blocked"
    own_ns = spent.ran_ns + spent.blocked_ns
    short = own_ns < min_stall_ns <= own_ns + spent.kept_ns
    return "kept" if whole and short and spent.kept_ns >= own_ns * _HALF else None


def cut(activities: Activities, start_ns: int, end_ns: int) -> tuple[Activity, ...]:
    """The activities within a span, the first and the last one cut at its bounds."""
    return trim(activities[activities.overlapping(start_ns, end_ns)], start_ns, end_ns)


def trim(some: Iterable[Activity], start_ns: int, end_ns: int) -> tuple[Activity, ...]:
    """The same for activities that are rows already."""
    return tuple(
        Activity(max(a.start_ns, start_ns), min(a.end_ns, end_ns), a.stack, a.wait)
        for a in some
        if a.start_ns < end_ns and start_ns < a.end_ns
    )
