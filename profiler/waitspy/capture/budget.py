"""How fast each worker may be sampled so that the whole stays inside the CPU budget.

A sample's cost grows with the number of threads and the depth of their stacks. So the first rate is
a guess, and what was measured corrects it. A rate is a hope, though: threads come and go. That the
budget holds in each second is up to the ``Room`` for samples that we take ourselves, and to the
``Purse`` for what others take.

Pure: times and CPU times come in, so that a test needs no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from waitspy.model.clock import NS

_LEAST_SAMPLE_S = 1e-6
"""Samples of a process that stands still are counted, though nobody takes them."""

_LEAST_THREAD_SAMPLE_S = 0.00003
_SMEARED_S = 0.1
"""A sample that takes longer shows threads as they were at moments too far apart to be true."""

_BELIEF = 8.0  # samples that what was believed before weighs as much as
_SAMPLING = 0.6
"""Of a share, what sampling at a steady pace may use: the rest is for starts and single looks."""

_FULL = 0.8  # of the budget: when that is spent, somebody stops, which takes a moment itself
_BLAMED = 0.7  # of a share, used for samples: more than the pace that was chosen
_NEARLY_ALL = 0.9  # of the budget: the rest is for what somebody's end takes
_GRANT_LASTS_NS = 3 * NS // 10  # by then it has been spent, and is counted as such
_LEAST_GRANTS = 2.5  # starts of a sampler that fit into what the window allows


@dataclass(frozen=True, slots=True)
class Budget:
    """Shares of one core: for each worker, and for all samplers together."""

    per_worker: float = 0.10
    total: float = 0.25

    def share(self, workers: int) -> float:
        """What one of so many workers may use."""
        return min(self.per_worker, self.total / max(1, workers))


def is_worth_sampling(threads: int, measured_s: float | None) -> bool:
    """Whether a sample of so many threads is quick enough to be true, as far as is known."""
    least_s = threads * _LEAST_THREAD_SAMPLE_S if measured_s is None else measured_s
    return least_s <= _SMEARED_S


def rate_hz(asked_hz: float, cost_s: float, share: float) -> float:
    """The fastest rate that leaves room in the share; at least 1 Hz, at most what was asked for."""
    return max(1.0, min(asked_hz, share * _SAMPLING / max(cost_s, _LEAST_SAMPLE_S)))


def refine(believed_s: float, cpu_s: float, samples: float) -> float:
    """The cost of a sample, corrected by a measurement: the more, the more samples that has."""
    return max(_LEAST_SAMPLE_S, (believed_s * _BELIEF + cpu_s) / (_BELIEF + samples))


class Recently:
    """How much of something that only grows has come in the time before its newest mark.

    ``total_ns`` is how much there was then.
    """

    def __init__(self) -> None:
        self.total_ns = 0
        self._marks: deque[tuple[int, int]] = deque()

    def note(self, now_ns: int, total_ns: int, within_ns: int) -> int:
        """Notes how much there is now; gives how much of it is younger than ``within_ns``."""
        self.total_ns = total_ns
        if len(self._marks) > 1 and self._marks[-1][0] == now_ns:
            self._marks.pop()
        self._marks.append((now_ns, total_ns))
        while len(self._marks) > 1 and self._marks[1][0] <= now_ns - within_ns:
            self._marks.popleft()
        return total_ns - self._marks[0][1]


class Room:
    """Whether the budget leaves room for a sample that the observer takes itself of one process,
    given what such samples have cost in the last second: of this process, and, by ``every``, of all
    of them. ``was_out`` is set where it did not: a slower rate is due.
    """

    def __init__(self, budget: Budget, every: Recently) -> None:
        self.was_out = False
        self._own_ns, self._total_ns = int(budget.per_worker * NS), int(budget.total * NS)
        self._own, self._every = Recently(), every
        self._spent_ns = 0

    def is_left(self, now_ns: int, spent_ns: int) -> bool:
        """Whether there is room now that all samples of this process have cost so much."""
        new_ns, self._spent_ns = spent_ns - self._spent_ns, spent_ns
        own_ns = self._own.note(now_ns, spent_ns, NS)
        every_ns = self._every.note(now_ns, self._every.total_ns + new_ns, NS)
        is_left = own_ns < self._own_ns and every_ns < self._total_ns
        self.was_out = self.was_out or not is_left
        return is_left


class Purse:
    """What the samplers together may still use of the second that ends now.

    What begins asks first, and waits where there is no room. Where a start alone costs more than a
    second allows, the budget holds for as many seconds as pay for it.
    """

    def __init__(self, start_cost_ns: int) -> None:
        self._start_cost_ns = start_cost_ns
        self._grants: deque[tuple[int, int]] = deque()
        self._now_ns = self._used_ns = self._allowed_ns = 0
        self.window_ns = NS

    def count(self, now_ns: int, used_ns: int, share: float) -> None:
        """How much was used within ``window_ns`` until now; ``share`` of a core is allowed."""
        self._now_ns, self._used_ns = now_ns, used_ns
        self.window_ns = max(NS, int(_LEAST_GRANTS * self._start_cost_ns / share))
        self._allowed_ns = int(share * self.window_ns)
        while self._grants and self._grants[0][0] <= now_ns - _GRANT_LASTS_NS:
            self._grants.popleft()

    def may_spend(self, cpu_ns: int) -> bool:
        """Whether there is room for so much more; it then counts as spent."""
        granted_ns = sum(granted for _, granted in self._grants)
        if self._used_ns + granted_ns + cpu_ns > self._allowed_ns * _NEARLY_ALL:
            return False
        self._grants.append((self._now_ns, cpu_ns))
        return True

    def has_to_pause(self, sampling_ns: int, share: float) -> bool:
        """Whether nearly all is spent, and who used so much of it for samples is to blame.

        What starts have cost is no blame: it would be spent again. But where no time at all is
        left, who has used most of it is.
        """
        if self._used_ns >= self._allowed_ns and sampling_ns * 2 > self._used_ns:
            return True
        nearly_all = self._used_ns >= self._allowed_ns * _FULL
        return nearly_all and sampling_ns > share * self.window_ns * _BLAMED
