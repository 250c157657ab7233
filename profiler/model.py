"""The frozen values that the stages hand to each other; the vocabulary of the whole project.

Times with ``_ns`` are CLOCK_MONOTONIC nanoseconds of the recorded machine, those with ``_s`` are
seconds. ``None`` means unknown and is left out of every file that is written; it is never zero.
Text that came from a target is kept as it was read, except that it is always valid Unicode;
whoever renders it escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from profiler.loop_events import LoopEvent
from profiler.queue_events import ListenerEvent, PoolEvent

NS = 1_000_000_000

Role = Literal["master", "worker", "helper"]
Verdict = Literal["starving", "late", "latent"]
Weight = Literal["wall", "starved", "victims"]
WEIGHTS: tuple[Weight, ...] = ("wall", "starved", "victims")
WEIGHT_UNITS: Mapping[Weight, str] = {
    "wall": "seconds",
    "starved": "starved seconds",
    "victims": "victim-seconds",
}


# --- processes -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of the target's tree; ``python`` is None when it is not a CPython process.

    ``start_ticks`` is field 22 of /proc/PID/stat (clock ticks after boot): with the pid it names
    the process for good. ``why_not`` says why it cannot be attached; None means that it can.
    """

    pid: int
    ppid: int
    role: Role
    command: str
    start_ticks: int
    python: str | None = None
    framework: str | None = None
    threads: int | None = None
    why_not: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that could not be recorded: what, why, and what the user can do about it."""

    what: str
    why: str
    remedy: str
    pid: int | None = None


# --- stacks and kernel state, as recorded ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """One Python frame; ``file`` is the path inside the target, ``line`` None when not known."""

    function: str
    file: str
    line: int | None = None


Stack = tuple[Frame, ...]
"""Frames, root first, without process and thread roots."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A thread showed one stack from ``start_ns`` to ``end_ns`` (half open)."""

    start_ns: int
    end_ns: int
    stack: Stack


@dataclass(frozen=True, slots=True)
class KernelState:
    """What the kernel said of a thread at one tick; it holds until the next one of that thread.

    ``state`` is the letter of /proc/PID/task/TID/stat (R S D T t Z X). ``syscall`` is the number
    the thread is blocked in, None while it runs; ``arg0`` its first argument. ``ran_ns`` and
    ``queued_ns`` are schedstat's fields 1 and 2: time on the CPU and time runnable without it
    (credited when it gets the CPU). ``gone`` marks the tick at which the thread no longer existed.
    """

    at_ns: int
    state: str
    syscall: int | None = None
    arg0: int | None = None
    ran_ns: int | None = None
    queued_ns: int | None = None
    switches: int | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Dump:
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


@dataclass(frozen=True, slots=True)
class UnreadSocket:
    """A socket of a loop that holds data, connections to accept or an end-of-file, not yet read.

    ``size`` is in bytes, or connections for a listener; ``inbound`` says that its local port is
    one that somebody listens on, so that the peer is a client. ``read_bytes`` is how much has been
    read from a connection so far: it grows when, and only when, the connection is served.
    """

    fd: int
    inode: int
    kind: Literal["tcp", "listener", "eof"]
    size: int
    local: str
    peer: str
    inbound: bool = False
    read_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class EpollEvent:
    """A change of one epoll descriptor of a process.

    ``ready`` says whether events wait uncollected; None when this event is not about that.
    ``share`` names the open file description: descriptors with the same number, also of other
    processes, are the same epoll. ``unread`` lists its sockets that hold something to read, at
    the times when that was looked up.
    """

    at_ns: int
    epfd: int
    ready: bool | None = None
    closed: bool = False
    share: int | None = None
    unread: tuple[UnreadSocket, ...] | None = None


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """One worker's part of a recording; ``runtime_span`` is where the interpreter's globals lie."""

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
    states: Mapping[int, tuple[KernelState, ...]] = field(default_factory=dict)
    dumps: tuple[Dump, ...] = ()
    epolls: tuple[EpollEvent, ...] = ()
    loops: tuple[LoopEvent, ...] = ()
    pools: tuple[PoolEvent, ...] = ()
    listeners: tuple[ListenerEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """What the report says of the recording itself.

    ``gaps`` are the spans (nanoseconds) in which the oracles did not look.
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
    """A recording folder in memory: the input of every pure stage."""

    info: RecordingInfo
    workers: tuple[WorkerRecord, ...]
    losses: tuple[Loss, ...] = ()
    cost: Cost = Cost()
    sources: SourceLines = field(default_factory=dict)


# --- judged ----------------------------------------------------------------------------------


class WaitKind(StrEnum):
    """What a thread was doing, one word; design of the catalogue in waits.py."""

    ON_CPU = "on-cpu"
    GIL = "gil"
    LOOP_POLL = "loop-poll"
    SLEEP = "sleep"
    LOCK = "lock"
    QUEUE = "queue"
    FUTURE = "future"
    JOIN = "join"
    SOCKET = "socket"
    DNS = "dns"
    FILE = "file"
    SUBPROCESS = "subprocess"
    POOL_IDLE = "pool-idle"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Wait:
    """A named wait: its kind, the call on the source line and the system call, where known."""

    kind: WaitKind
    call: str | None = None
    syscall: str | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """What a thread did in an interval, and what that cost others.

    ``starved_ns`` is the part of the interval during which it starved something,
    ``victim_ns`` the same multiplied by how many items waited.
    """

    start_ns: int
    end_ns: int
    stack: Stack
    wait: Wait
    starved_ns: int = 0
    victim_ns: int = 0


@dataclass(frozen=True, slots=True)
class ThreadActivity:
    """One thread's activities in time order, without overlap; gaps mean that nothing is known."""

    pid: int
    tid: int
    name: str
    activities: tuple[Activity, ...]


PendingKind = Literal["ready", "overdue", "unread", "queued", "backlog"]


@dataclass(frozen=True, slots=True)
class PendingSeries:
    """How much work of one kind waited on one loop, pool or listener, over time.

    ``tid`` is the thread that should serve it, where that is one. ``points`` are (time in
    nanoseconds, count), sorted by time; a count holds until the next one, and before the first
    one nothing waited.
    """

    pid: int
    tid: int | None
    name: str
    kind: PendingKind
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class WeightedStack:
    """One distinct stack and its three weights, in seconds."""

    stack: Stack
    wall_s: float
    starved_s: float = 0.0
    victim_s: float = 0.0

    def weight(self, name: Weight) -> float:
        """The weight of that name."""
        return {"wall": self.wall_s, "starved": self.starved_s, "victims": self.victim_s}[name]


@dataclass(frozen=True, slots=True)
class Blame:
    """The frame that holds the victims up; ``share`` of the finding's starved time was under it.

    ``file`` and ``line`` are None when a C function is blamed, ``source`` when it was not read.
    """

    function: str
    file: str | None
    line: int | None
    share: float
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Victim:
    """Items of one kind and name that waited: how many, and for how long together (seconds)."""

    kind: Literal["task", "timer", "callback", "io", "work-item", "connection"]
    name: str
    where: str | None
    count: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class Episode:
    """A span in which due work of one loop or pool was not served."""

    pid: int
    tid: int
    start_s: float
    end_s: float
    evidence: tuple[str, ...]
    pending_max: int | None = None
    served: int | None = None

    @property
    def length_s(self) -> float:
        """How long it lasted."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Finding:
    """Episodes with the same kind and blame; the field meanings are those of the JSON report.

    ``blames`` is sorted by share, the largest first; it is empty when nothing can be blamed.
    ``pids`` and ``threads`` (OS thread ids) are sorted. ``detail`` says what it is that starved,
    where there is more to say than the kind.
    """

    kind: str
    verdict: Verdict
    wait: Wait
    blames: tuple[Blame, ...]
    stack: Stack
    pids: tuple[int, ...]
    threads: tuple[int, ...]
    episodes: tuple[Episode, ...]
    occurrences: int
    starved_s: float
    longest_s: float
    victim_s: float
    share: float
    victims: tuple[Victim, ...]
    remedy: str
    detail: str | None = None

    @property
    def blame(self) -> Blame | None:
        """The frame with the largest share."""
        return self.blames[0] if self.blames else None


@dataclass(frozen=True, slots=True)
class Profile:
    """All workers as one weighted profile; ``merged`` is sorted by stack and has no duplicates.

    What stands beside the stacks is for formats with a time axis: ``started_at`` is the wall clock
    (ISO 8601) at ``start_ns``; ``workers``, ``findings`` and ``pending`` are those of the threads'
    processes. Of a finding that other processes share, only ``episodes`` are cut to these.
    """

    title: str
    start_ns: int
    end_ns: int
    merged: tuple[WeightedStack, ...]
    threads: tuple[ThreadActivity, ...]
    started_at: str | None = None
    workers: tuple[Worker, ...] = ()
    findings: tuple[Finding, ...] = ()
    pending: tuple[PendingSeries, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report says; ``sources`` are the lines around every blamed frame."""

    recording: RecordingInfo
    workers: tuple[WorkerRecord, ...]
    losses: tuple[Loss, ...]
    findings: tuple[Finding, ...]
    cost: Cost
    sources: SourceLines = field(default_factory=dict)
