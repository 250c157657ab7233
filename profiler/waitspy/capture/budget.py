"""How fast each worker may be sampled so that the whole stays inside the CPU budget.

py-spy's cost per sample grows with the number of threads and the depth of their stacks. Measured
with py-spy 0.4.3 (--nonblocking --idle) at 100 Hz: 2 to 5 % of a core with 1 thread, 16 % with 50
shallow ones, all of it with 50 deep ones. So the first rate is a guess in between, and what was
measured corrects it after seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

_SAMPLE_S = 0.0002
_THREAD_SAMPLE_S = 0.00015
ENOUGH = 20
"""So many samples make a measurement."""

_TRUST = 0.7  # of a new measurement against what was believed before


@dataclass(frozen=True, slots=True)
class Budget:
    """Shares of one core: for each worker, and for all samplers together."""

    per_worker: float = 0.10
    total: float = 0.50

    def share(self, workers: int) -> float:
        """What one of so many workers may use."""
        return min(self.per_worker, self.total / max(1, workers))


def sample_cost_s(threads: int) -> float:
    """CPU seconds of one sample of a process with so many threads, before it is measured."""
    return _SAMPLE_S + _THREAD_SAMPLE_S * max(1, threads)


def rate_hz(asked_hz: float, cost_s: float, share: float) -> float:
    """The fastest rate within the share; at least 1 Hz, at most what was asked for."""
    return max(1.0, min(asked_hz, share / cost_s))


def refine(believed_s: float, cpu_s: float, samples: float) -> float:
    """The cost of a sample, corrected by a measurement; unchanged when there is too little."""
    if samples < ENOUGH:
        return believed_s
    return believed_s * (1 - _TRUST) + cpu_s / samples * _TRUST
