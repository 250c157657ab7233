"""What was recorded of threads: their stacks, and what the kernel said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from waitspy.model.stacks import Stack


@dataclass(frozen=True, slots=True)
class Interval:
    """A thread showed one stack from ``start_ns`` to ``end_ns`` (half open)."""

    start_ns: int
    end_ns: int
    stack: Stack


class KernelState(msgspec.Struct, frozen=True, gc=False):
    """What the kernel said of a thread at one tick; it holds until the next one of that thread.

    ``state`` is the letter of /proc/PID/task/TID/stat (R S D T t Z X). ``syscall`` is the number
    the thread is blocked in, None while it runs; ``arg0`` its first argument. ``ran_ns`` and
    ``queued_ns`` are schedstat's fields 1 and 2: time on the CPU and time runnable without it
    (credited when it gets the CPU).
    """

    at_ns: int
    state: str
    syscall: int | None = None
    arg0: int | None = None
    ran_ns: int | None = None
    queued_ns: int | None = None

    @property
    def gone(self) -> bool:
        """The thread no longer existed at that tick."""
        return self.state == "X"


class Dump(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The stacks of all threads of one process at one instant; ``gil_tid`` held the GIL."""

    at_ns: int
    stacks: Mapping[int, Stack]
    gil_tid: int | None = None


@dataclass(frozen=True, slots=True)
class SampledThread:
    """The stacks of one thread within one segment, in time order."""

    tid: int
    name: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """What one sampler run gave: from ``start_ns`` to ``end_ns``, one sample per ``period_ns``."""

    start_ns: int
    end_ns: int
    period_ns: int
    threads: tuple[SampledThread, ...]


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """One thread on the common clock: its stacks without overlap, and its kernel states."""

    pid: int
    tid: int
    name: str
    intervals: tuple[Interval, ...] = ()
    states: tuple[KernelState, ...] = ()
