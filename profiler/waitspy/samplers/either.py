"""Our own sampler where it can read a process, another one where it cannot."""

from __future__ import annotations

from collections.abc import Callable

from waitspy.errors import SamplerError
from waitspy.model.clock import NS
from waitspy.samplers import Sampler, SamplerStatus, Sampling, SegmentRow, WhoRan

_STARTS_S = 5.0
_YOUNG_ONE_NS = NS
_OLD_ONE_NS = NS // 20
"""For so long a process is waited for that cannot be read: one that only starts soon can."""


class EitherSampler:
    """Samples one worker with ``own``, or with what ``other`` makes; see ``Sampler``.

    ``age_s`` is the age of the process.
    """

    def __init__(self, own: Sampler, other: Callable[[], Sampler], age_s: float) -> None:
        self.segments: list[SegmentRow] = own.segments
        self._now = own
        self.immediate = own.immediate
        self._other: Callable[[], Sampler] | None = other
        self._before: Sampler | None = None
        self._waits_ns = _YOUNG_ONE_NS if age_s < _STARTS_S else _OLD_ONE_NS
        self._refused_ns: int | None = None

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        """See ``Sampler.look``."""
        again = self._now.look(seen, now_ns, at_once=at_once)
        if not isinstance(seen.reader, str):
            self._refused_ns = None
        elif self._refused_ns is None:
            self._refused_ns = now_ns
        elif self._other is not None and now_ns - self._refused_ns > self._waits_ns:
            self._give_up(self._other, now_ns)
        return again or (self._other is not None and isinstance(seen.reader, str))

    def _give_up(self, other: Callable[[], Sampler], now_ns: int) -> None:
        self._other = None
        try:
            sampler = other()
        except SamplerError:
            return  # there is none: the end tells why our own could not
        self._now.stop(now_ns)
        self._before, self._now = self._now, sampler
        self.immediate = sampler.immediate
        sampler.segments = self.segments

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        """See ``Sampler.step``."""
        finished: list[SegmentRow] = []
        if self._before is not None:  # what it has not read, the other one reads
            finished = self._before.step(now_ns, rate_hz).finished
            self._before = None if self._before.done else self._before
        status = self._now.step(now_ns, rate_hz)
        status.finished[:0] = finished
        return status

    def dump(self, now_ns: int) -> bool:
        """See ``Sampler.dump``."""
        return self._now.dump(now_ns)

    def pause(self, now_ns: int) -> None:
        """See ``Sampler.pause``."""
        self._now.pause(now_ns)

    def stop(self, now_ns: int) -> None:
        """See ``Sampler.stop``."""
        self._now.stop(now_ns)

    def kill(self) -> None:
        """See ``Sampler.kill``."""
        self._now.kill()

    @property
    def done(self) -> bool:
        """See ``Sampler.done``."""
        return self._before is None and self._now.done

    def cost_s(self, threads: int) -> float:
        """See ``Sampler.cost_s``."""
        return self._now.cost_s(threads)

    def cpu_ns(self) -> int:
        """See ``Sampler.cpu_ns``."""
        return self._now.cpu_ns()

    def sampling(self) -> Sampling:
        """See ``Sampler.sampling``."""
        return self._now.sampling()

    def rss_bytes(self) -> int:
        """See ``Sampler.rss_bytes``."""
        return self._now.rss_bytes()
