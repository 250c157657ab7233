"""The processes of py-spy: one that records a segment, and one that gives a single dump."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import IO

from waitspy.model.clock import NS
from waitspy.samplers import Sampling, SegmentRow
from waitspy.samplers.child import Child

FIRST_SAMPLE = 7
"""Periods after which a run surely has its first sample: py-spy 0.4 (timer.rs) draws the times
between samples from an exponential distribution, so one start in a thousand takes longer."""

_FIRST_SAMPLE_NS = NS  # and so long at the most
_WEIGH_EVERY_NS = NS // 2
_NO_SAMPLING = Sampling()
_ATTACHES_WITHIN_NS = 100_000_000
"""From exec until it was seen to be ready, beside its own CPU time, where nobody takes the CPU."""


@dataclass
class RecordRun:
    """One py-spy record process."""

    row: SegmentRow
    child: Child
    log: IO[bytes]
    asked_at_ns: int | None = None
    ready: tuple[int, int] | None = None
    """When it was seen to be able to sample, and the CPU time used until then."""

    sampling: Sampling = _NO_SAMPLING
    weighed_ns: int = 0
    ready_bytes: int | None = None
    grown_bytes: int = 0
    killed_for: str | None = None

    def kill(self, why: str) -> None:
        """Ends it at once; why is what its loss will say."""
        self.killed_for = why
        self.child.signal(signal.SIGKILL)

    def ask_to_end(self, now_ns: int) -> None:
        """Has it write what it has, and end."""
        if self.asked_at_ns is None:
            self.asked_at_ns = now_ns
            self.child.signal(signal.SIGINT)
            self.child.signal(signal.SIGCONT)  # one that somebody has stopped would never write

    def look(self, now_ns: int) -> None:
        """Notes when it is ready, and what its samples cost until it is asked to end.

        py-spy 0.4 takes SIGINT over once it has attached.
        """
        if self.asked_at_ns is not None:
            return
        if self.ready is None:
            if self.child.catches(signal.SIGINT):
                self.ready = now_ns, self.child.cpu_ns()
                # on a busy machine its clock starts as much later as it waits for the CPU
                waited_ns = time.monotonic_ns() - self.child.started_ns - self.ready[1]
                self.row.late_ns = max(0, waited_ns - _ATTACHES_WITHIN_NS)
            return
        ready_ns, cpu_ns = self.ready
        samples = (now_ns - ready_ns) / NS * self.row.rate_hz
        self.sampling = Sampling(self.child.cpu_ns() - cpu_ns, samples)
        if now_ns - self.weighed_ns >= _WEIGH_EVERY_NS:
            self.weighed_ns = now_ns
            if self.child.stopped():  # what it goes on to show has long passed
                self.ask_to_end(now_ns)
            held_bytes = self.child.rss_bytes()
            self.ready_bytes = self.ready_bytes or held_bytes
            self.grown_bytes = held_bytes - self.ready_bytes

    def has_sampled(self, now_ns: int) -> bool:
        """Whether its first sample is surely taken."""
        wait_ns = min(_FIRST_SAMPLE_NS, int(FIRST_SAMPLE * NS / self.row.rate_hz))
        return self.ready is not None and now_ns - self.ready[0] >= wait_ns


@dataclass
class DumpRun:
    """One py-spy dump process."""

    child: Child
    output: IO[bytes]
    at_ns: int
    killed_for: str | None = None

    def kill(self, why: str) -> None:
        """Ends it at once; why is what its loss will say."""
        self.killed_for = why
        self.child.signal(signal.SIGKILL)
