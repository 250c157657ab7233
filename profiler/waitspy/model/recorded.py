"""A recording in memory: the input of every pure stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from waitspy.model.children import ChildrenEvent
from waitspy.model.clock import NS
from waitspy.model.datagrams import DatagramEvent
from waitspy.model.epolls import EpollEvents
from waitspy.model.listeners import ListenerEvent
from waitspy.model.loops import LoopEvents
from waitspy.model.messages import MessageEvent
from waitspy.model.places import PlacesEvent
from waitspy.model.pools import PoolEvent
from waitspy.model.processes import ThreadKey, Worker
from waitspy.model.requests import RequestsEvent
from waitspy.model.stacks import StackTable
from waitspy.model.task_waits import TaskWaitsEvent
from waitspy.model.threads import Dump, KernelStates, Segment
from waitspy.model.wait_for import WaitForEvent


class HeldUp(NamedTuple):
    """A span (CLOCK_MONOTONIC) in which a thread did what we had asked for, and nothing else."""

    tid: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that could not be recorded: what, why, and what the user can do about it.

    Where it is of one process, ``pid`` says so, and ``what`` does not. ``held_up`` is when we held
    up its threads.
    """

    what: str
    why: str
    remedy: str
    pid: int | None = None
    held_up: tuple[HeldUp, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """One worker's part of a recording; ``runtime_span`` is where the interpreter's globals lie.

    ``process`` is how many programs with that pid came before this one. ``gaps`` are the spans in
    which nobody looked; the rows of threads, loops and pools say themselves what is not known of
    them for that reason. ``held_up`` is when we held up its threads ourselves.
    """

    worker: Worker
    attached_ns: int
    gone_ns: int | None = None
    exit: str | None = None
    rate_hz: float | None = None
    samples: int | None = None
    missed_samples: int | None = None
    oracles: Mapping[str, str] = field(default_factory=dict)
    runtime_span: tuple[int, int] | None = None
    segments: tuple[Segment, ...] = ()
    states: Mapping[int, KernelStates] = field(default_factory=dict)
    dumps: tuple[Dump, ...] = ()
    epolls: EpollEvents = field(default_factory=EpollEvents.of)
    loops: LoopEvents = field(default_factory=LoopEvents.of)
    pools: tuple[PoolEvent, ...] = ()
    listeners: tuple[ListenerEvent, ...] = ()
    datagrams: tuple[DatagramEvent, ...] = ()
    messages: tuple[MessageEvent, ...] = ()
    requests: tuple[RequestsEvent, ...] = ()
    places: tuple[PlacesEvent, ...] = ()
    task_waits: tuple[TaskWaitsEvent, ...] = ()
    wait_for: tuple[WaitForEvent, ...] = ()
    children: tuple[ChildrenEvent, ...] = ()
    process: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    held_up: tuple[HeldUp, ...] = ()

    @property
    def watched(self) -> bool:
        """Whether it is a process of a known runtime that could be attached."""
        return self.worker.runtime is not None and self.worker.why_not is None

    def thread(self, tid: int) -> ThreadKey:
        """One of its threads, among all of the recording."""
        return ThreadKey(self.worker.pid, tid, self.process)


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """What the report says of the recording itself.

    ``gaps`` are the spans (nanoseconds) in which the oracles did not look, ``looks`` is how often
    they did. ``redacted`` says that what tells of persons, hosts and secrets was left out.
    """

    started_at: str
    monotonic_start_ns: int
    duration_s: float
    rate_hz: float
    target: str
    host: str
    end_ns: int
    min_stall_s: float = 0.1
    arch: str = "x86_64"
    tick_s: float = 0.01
    gaps: tuple[tuple[int, int], ...] = ()
    looks: int | None = None
    redacted: bool = False

    @property
    def unseen_s(self) -> float:
        """For how long nobody looked, in all."""
        return sum(end_ns - start_ns for start_ns, end_ns in self.gaps) / NS


@dataclass(frozen=True, slots=True)
class Cost:
    """What waitspy and its samplers used: CPU seconds, share of one core, peak memory."""

    cpu_s: float | None = None
    cpu_share: float | None = None
    peak_rss_mb: float | None = None


SourceLines = Mapping[str, Mapping[int, str]]
"""Source text by file and line, as far as it was read in the target."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording folder in memory, the input of every pure stage; ``stacks`` numbers stacks."""

    info: RecordingInfo
    workers: tuple[WorkerRecord, ...]
    losses: tuple[Loss, ...] = ()
    cost: Cost = Cost()
    sources: SourceLines = field(default_factory=dict)
    stacks: StackTable = field(default_factory=StackTable, compare=False)
