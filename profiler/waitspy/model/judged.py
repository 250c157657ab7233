"""What the judge says: waits, activities, episodes, findings, and the report of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from waitspy.model.activities import ThreadActivity
from waitspy.model.children import ChildHeld, ChildHow
from waitspy.model.kinds import Kind, Verdict
from waitspy.model.processes import Worker
from waitspy.model.recorded import Cost, Loss, RecordingInfo, SourceLines, WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.task_waits import TaskHeld
from waitspy.model.unsent import Unsent
from waitspy.model.wait_for import Held, How
from waitspy.model.waits import Wait

Weight = Literal["wall", "starved", "victims", "root"]
WEIGHTS: tuple[Weight, ...] = ("wall", "starved", "victims", "root")
WEIGHT_UNITS: Mapping[Weight, str] = {
    "wall": "seconds",
    "starved": "starved seconds",
    "victims": "victim-seconds",
    "root": "starved seconds",
}


VictimKind = Literal["task", "timer", "callback", "io", "work-item", "connection", "thread"]
PlaceWait = Literal["idle", "lock", "other"]
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
    points: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class WeightedStack:
    """One distinct stack and its four weights, in seconds."""

    stack: Stack
    wall_s: float
    starved_s: float = 0.0
    victim_s: float = 0.0
    root_s: float = 0.0

    def weight(self, name: Weight) -> float:
        """The weight of that name."""
        weights: Mapping[Weight, float] = {
            "wall": self.wall_s, "starved": self.starved_s, "victims": self.victim_s,
            "root": self.root_s,
        }  # fmt: skip
        return weights[name]


@dataclass(frozen=True, slots=True)
class RootTime:
    """Starved time of other stacks, or of tasks, at the root of its chain: what a thread, or a task
    of the loop of that thread, was seen to do there.
    """

    pid: int
    tid: int
    thread: str
    stack: Stack
    wait: Wait
    root_ns: int


@dataclass(frozen=True, slots=True)
class Blame:
    """The frame that holds the victims up; ``share`` of the finding's starved time was under it.

    ``file`` and ``line`` are None when a C function is blamed, ``source`` when it was not read.
    ``hint`` says that it only seems to hold what the victims want, ``begins`` that the line is
    where the function begins, as it is not known where in it that is.
    """

    function: str
    file: str | None
    line: int | None
    share: float
    source: str | None = None
    hint: bool = False
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Victim:
    """Items of one kind and name that waited: how many, and for how long together (seconds)."""

    kind: VictimKind
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
class Spot:
    """A line of code, in words; ``source`` is its text, None when it was not read."""

    function: str
    file: str | None
    line: int | None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A thread in a chain of waits: where it is, since when (seconds), and in what.

    With ``task`` it is ``count`` tasks of the loop of that thread, which run that coroutine; with
    ``program`` it is another process, of that name; else ``count`` threads, of which that is one.
    ``unsent`` is what tasks wait to get rid of, where that is what they wait for.
    ``how`` says how it is known that it holds what the one before it waits for, and ``taken`` at
    which line it took that, where known; the first link has neither. ``waits_for`` is the kind of
    what it waits for itself, None at the root.
    """

    pid: int
    tid: int
    thread: str
    at: Spot | None
    wait: Wait
    since_s: float | None = None
    how: How | ChildHow | None = None
    taken: Spot | None = None
    waits_for: Held | TaskHeld | ChildHeld | None = None
    task: str | None = None
    count: int = 1
    program: str | None = None
    unsent: Unsent | None = None


@dataclass(frozen=True, slots=True)
class LentTo:
    """Threads or tasks that have connections of a pool, ``count`` of these together: their line,
    what they wait in there, and how it is known that they have them; ``reach`` is a hint.
    """

    what: Literal["thread", "task"]
    at: Spot | None
    count: int
    how: How
    wait: Wait


@dataclass(frozen=True, slots=True)
class Lending:
    """A pool of connections at one time: its class, its limit, how many are lent, how many threads
    or tasks (``who``) wait for one, and to whom they are lent, as far as is known; the most first.
    """

    pool: str
    limit: int | None
    lent: int | None
    waiting: int
    to: tuple[LentTo, ...]
    who: Literal["thread", "task"] = "thread"

    @property
    def unknown(self) -> int | None:
        """How many are lent to nobody who is known; None: that is not known either."""
        if self.lent is None:
            return None
        return max(0, self.lent - sum(one.count for one in self.to))


@dataclass(frozen=True, slots=True)
class Finding:
    """Episodes with the same kind and blame; the field meanings are those of the JSON report.

    ``blames`` is sorted by share, the largest first; it is empty when nothing can be blamed.
    ``pids`` and ``threads`` (OS thread ids) are sorted. ``detail`` says what it is that starved,
    where there is more to say than the kind. ``chain`` leads from a thread that starved it to the
    root, where somebody is known to hold what it waits for; in a deadlock, back to its beginning.
    ``lending`` is the pool of connections that it is about, in the longest of the episodes.
    """

    kind: Kind
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
    chain: tuple[Link, ...] = ()
    lending: Lending | None = None

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
    roots: tuple[RootTime, ...] = ()

    @property
    def telling_weight(self) -> Weight:
        """The weight that shows what was found: starved time, or wall time where none was."""
        return "starved" if any(one.starved_s > 0 for one in self.merged) else "wall"


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many things that can starve were seen, and looked at, in the recorded workers.

    ``unseen_loops`` are there as well, in processes whose I/O could not be watched. ``datagrams``
    are sockets for datagrams that no event loop was seen to watch.
    """

    loops: int
    pools: int
    listeners: int
    unseen_loops: int = 0
    datagrams: int = 0

    @property
    def nothing(self) -> bool:
        """Whether there was none: then no finding means nothing."""
        return not (self.loops or self.pools or self.listeners or self.datagrams)


@dataclass(frozen=True, slots=True)
class OwedRequests:
    """What was owed to the clients of one port at the end of the recording.

    On ``count`` connections the client has spoken last, the longest ago for ``oldest_s``. At some
    time ``most`` of them waited for --min-stall or longer, and one was seen to wait for
    ``longest_s``. None is not known; the times are None as well where nothing is, or was, owed.
    """

    port: int
    count: int | None = None
    oldest_s: float | None = None
    most: int | None = None
    longest_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unaccepted:
    """Connections to a listener that waited to be accepted, whatever its owner did: ``most`` at
    once.

    For ``longest_s`` none was seen to be taken; ``waited_s`` is how long one of them has waited.
    Either is None where it is not known, or less than a second.
    """

    listener: str
    most: int
    longest_s: float | None = None
    waited_s: float | None = None


@dataclass(frozen=True, slots=True)
class UnreadDatagrams:
    """For how long, at the most, datagrams lay in a socket while none was read from it, and how
    many found no room there during the recording. How many lay there is not known.

    ``socket`` is its address, or the path of a unix socket. ``longest_s`` is None where it is not
    known, or less than a second.
    """

    socket: str
    longest_s: float | None
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A line at which tasks, or threads, wait, and what for in the end.

    ``longest_s`` is how long the one that is there the longest has been; None where that is not
    known. It is ``sure``, or the task was there at every look, and may have been elsewhere in
    between. ``wait`` says whether idle ones usually wait so, or they wait for a lock that another
    task holds; ``own`` whether it is the program's code. ``unsent`` is what tasks wait to get rid
    of there.
    """

    what: Literal["task", "thread"]
    function: str
    file: str | None
    line: int | None
    awaits: str
    wait: PlaceWait
    count: int
    longest_s: float | None
    sure: bool
    pids: tuple[int, ...]
    source: str | None = None
    own: bool = True
    unsent: Unsent | None = None


@dataclass(frozen=True, slots=True)
class TasksLooked:
    """How many tasks there were at the last looks, and how many of them were looked at."""

    pending: int
    looked: int


@dataclass(frozen=True, slots=True)
class WorkerTime:
    """What a worker's threads did, all together, as shares of the time; None is not known.

    ``cpu_share`` is on the CPU, ``gil_share`` waiting for the GIL.
    """

    pid: int
    cpu_share: float | None
    gil_share: float | None


@dataclass(frozen=True, slots=True)
class UnreadMessages:
    """For how long, at the most, nothing was read from a connection that a process has opened
    itself, while its ``peer`` went on sending, and where the thread waited that reads from it.
    """

    peer: str
    longest_s: float
    reader: Place


@dataclass(frozen=True, slots=True)
class WhatWaits:
    """What waits, whether anything is to blame for it or not; ``requests`` are sorted by port,
    ``unaccepted`` by how long it was. ``unseen`` are the unix sockets at which workers listen: what
    is owed to their clients nobody can see.

    ``places`` are those of tasks and threads, idle ones last; None when not known.
    """

    requests: tuple[OwedRequests, ...] = ()
    places: tuple[Place, ...] | None = None
    tasks: TasksLooked | None = None
    workers: tuple[WorkerTime, ...] = ()
    unaccepted: tuple[Unaccepted, ...] = ()
    unseen: tuple[str, ...] = ()
    unread: tuple[UnreadDatagrams, ...] = ()
    messages: tuple[UnreadMessages, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report says; ``sources`` are the lines around every blamed frame."""

    recording: RecordingInfo
    workers: tuple[WorkerRecord, ...]
    losses: tuple[Loss, ...]
    findings: tuple[Finding, ...]
    cost: Cost
    sources: SourceLines = field(default_factory=dict)
    watched: Coverage | None = None
    waiting: WhatWaits = WhatWaits()


@dataclass(frozen=True, slots=True)
class Analysis:
    """What every output is made from; ``profile`` is that of all workers, without lines."""

    report: Report
    threads: tuple[ThreadActivity, ...] = ()
    pending: tuple[PendingSeries, ...] = ()
    profile: Profile = Profile("", 0, 0, (), ())
    roots: tuple[RootTime, ...] = ()
