"""No sampler: of a process whose stacks cannot be read, the kernel's side alone is recorded."""

from __future__ import annotations

from typing import ClassVar

from waitspy.samplers import SamplerStatus, Sampling, SegmentRow, WhoRan
from waitspy.samplers.in_process import InProcess

_COST_S = 1e-6  # of a sample that is not taken: any rate is within the budget


class NoSampler(InProcess):
    """Takes no samples and starts nothing; see ``Sampler`` for the contract."""

    immediate: ClassVar[bool] = True

    def __init__(self) -> None:
        self.segments: list[SegmentRow] = []

    def cost_s(self, threads: int) -> float:
        """See ``Sampler.cost_s``."""
        del threads
        return _COST_S

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        """See ``Sampler.look``."""
        del seen, now_ns, at_once
        return False

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        """See ``Sampler.step``."""
        del now_ns, rate_hz
        return SamplerStatus()

    def stop(self, now_ns: int) -> None:
        """See ``Sampler.stop``."""

    def kill(self) -> None:
        """See ``Sampler.kill``."""

    @property
    def done(self) -> bool:
        """See ``Sampler.done``."""
        return True

    def sampling(self) -> Sampling:
        """See ``Sampler.sampling``."""
        return Sampling()
