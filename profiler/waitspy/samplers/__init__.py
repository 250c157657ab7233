"""What produces stacks, behind one Protocol; ``registry`` says which one a capture uses."""

from __future__ import annotations

from collections.abc import MutableSet
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Protocol

from waitspy.model.recorded import Loss
from waitspy.recording.dumps import DumpRow
from waitspy.remote.reader import Reader


@dataclass
class SegmentRow:
    """One row of meta.json's ``segments``: a sampler run and what became of it."""

    pid: int
    n: int
    file: str
    zero_ns: int
    rate_hz: float
    end_ns: int | None = None
    sample_ns: int | None = None
    late_ns: int | None = None
    samples: int | None = None
    errors: int | None = None
    why: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The row, without what is unknown."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class SamplerStatus:
    """What a sampler tells the capture after each step; dumps have the thread ids that it knows."""

    losses: list[Loss] = field(default_factory=list)
    finished: list[SegmentRow] = field(default_factory=list)
    dumps: list[DumpRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sampling:
    """CPU time that taking samples has used, without starts and ends, and how many were due."""

    cpu_ns: int = 0
    samples: float = 0.0


class WhoRan(Protocol):
    """What the oracles have seen of a process by this tick: whose stack may be another by now.

    ``ran`` is False when no thread got any CPU time since the tick before. ``stirred`` are the
    threads that have since a sampler cleared it, ``running`` those that do; without any ``tids``
    nobody tells. ``reader`` reads its memory, or says why nothing can. ``has_room`` is whether the
    budget has room for a sample.
    """

    @property
    def ran(self) -> bool:
        """See above."""
        ...

    @property
    def before_ns(self) -> int:
        """The tick before, at which nothing was asked if nothing had run."""
        ...

    @property
    def tids(self) -> AbstractSet[int]:
        """See above; another object where some have come or gone."""
        ...

    @property
    def running(self) -> AbstractSet[int]:
        """See above."""
        ...

    @property
    def stirred(self) -> MutableSet[int]:
        """See above."""
        ...

    @property
    def reader(self) -> Reader | str | None:
        """See above."""
        ...

    @property
    def has_room(self) -> bool:
        """See above."""
        ...


class Sampler(Protocol):
    """Samples the stacks of one process into segments, from start to stop, without pausing it.

    A segment is a file that ``recording.streams`` reads.
    """

    segments: list[SegmentRow]

    @property
    def immediate(self) -> bool:
        """Whether a look has the stacks of its own moment, so that nobody else need read them
        where a wait begins.
        """
        ...

    def cost_s(self, threads: int) -> float:
        """CPU seconds of one sample of so many threads, before it is measured."""
        ...

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        """Samples now, if this sampler is ``immediate``, there is room, and it is time or is to be
        ``at_once``; whether it wants to be asked at the next tick, too, though nothing runs until
        then.

        Raises:
            OSError: the disk failed.
        """
        ...

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        """Starts, rotates and reaps what is due; the rate holds from the next segment on, a slower
        one at once where a look samples.

        A rate of less than three quarters of the one in force, or of more than twice, is taken
        soon. Zero: samples would take too long to be true, so that there are none.

        Raises:
            OSError: the disk failed.
        """
        ...

    def dump(self, now_ns: int) -> bool:
        """Asks for one dump now; it comes with a later step, or is written at once. False where
        that cannot be: one is under way, or the budget has no room.

        Raises:
            OSError: the disk failed.
        """
        ...

    def pause(self, now_ns: int) -> None:
        """Ends what samples now, to save CPU time; it goes on by itself once there is room."""
        ...

    def stop(self, now_ns: int) -> None:
        """Asks for the end: what is under way is written out; ``done`` tells when."""
        ...

    def kill(self) -> None:
        """Ends at once, whatever is lost by that."""
        ...

    @property
    def done(self) -> bool:
        """Nothing runs any more."""
        ...

    def cpu_ns(self) -> int:
        """CPU time used so far by all that this sampler has started."""
        ...

    def sampling(self) -> Sampling:
        """What sampling has cost so far."""
        ...

    def rss_bytes(self) -> int:
        """Memory of its own that it holds now."""
        ...
