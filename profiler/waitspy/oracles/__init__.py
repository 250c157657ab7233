"""The sources of pending work, behind one Protocol; one file per source.

An oracle watches all workers. What it sees goes as rows into ``oracles/<name>/<pid>.jsonl``; their
types are in ``recording/``. It emits changes only: a row holds until the next one about the same
thing.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from waitspy.model.clock import NS
from waitspy.model.processes import Worker
from waitspy.oracles.allowance import ROUTINE_SHARE
from waitspy.recording.rows import Row, RowType
from waitspy.remote.reader import Reader

NEVER_NS = NS << 32
"""A time that does not come."""


LATE_NS = NS // 200
"""What is read later within a tick is dated by that: half of the time between two looks."""


@dataclass
class Watched:
    """One worker under observation: what the oracles of a tick tell each other.

    ``ran`` is False when no thread of the process got any CPU time since the last tick.
    ``polling`` maps a thread to the epoll descriptor it is blocked on in its own epoll_wait.
    ``tids`` are its threads, ``running`` those not blocked in a call. ``blocked`` maps a blocked
    thread to its syscall number and first argument, ``blocked_since_ns`` tells since when at least
    a thread has not run; ``moved`` are those that have, or ended, since the oracle of waits cleared
    it, ``stirred`` those that have since the sampler did.
    ``due`` is set at a tick by whoever sees that
    I/O waits uncollected on some epoll of the process, or that other work has begun to wait on a
    loop; ``was_due`` says so of the tick before, for those that look earlier. ``onset`` is set at
    the one tick at which such a wait is old enough to look like the start of an episode.
    ``routine_share`` of one core is what an oracle may use to look for new things in it.
    ``suspects`` are the threads that it may be about, as far as whoever saw it knows.
    ``holders`` are those that hold what others wait for, and those that wait for it.
    ``stood`` tells of a thread whether it has not run since its state was read.
    ``listening`` are the names of the listening sockets that it holds, None where nobody can know.
    ``called`` is set when somebody saw, while asking for another worker, that there is something to
    see in this one: then it is asked, whether or not it runs.
    ``before_ns`` is the time of the tick before, whether or not anybody was asked at it.
    ``rests_until_ns`` is set by an oracle at its tick: until when it would see nothing new as long
    as the process does not run and no I/O becomes ready; not set, it is asked at every tick.
    ``idles_until_ns`` is the same though the process runs, as long as no thread of it comes or goes
    and nobody sees that something waits; who sets it knows already that the process has run.
    ``has_room`` is whether the budget has room for a sample now.
    ``readiness`` tells when I/O becomes ready: readable while it waits on an epoll of the process.
    ``reader`` reads its memory, once an oracle has asked for it, or is the reason why it cannot
    be read.
    """

    worker: Worker
    proc: str
    pid: int = field(init=False)
    ran: bool = True
    polling: dict[int, int] = field(default_factory=dict)
    blocked: dict[int, tuple[int, int]] = field(default_factory=dict)
    blocked_since_ns: dict[int, int] = field(default_factory=dict)
    moved: set[int] = field(default_factory=set)
    stirred: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)
    tids: set[int] = field(default_factory=set)
    due: bool = False
    was_due: bool = False
    onset: bool = False
    suspects: set[int] = field(default_factory=set)
    holders: set[int] = field(default_factory=set)
    stood: Callable[[int], bool] = lambda _: False
    listening: frozenset[str] | None = None
    reader: Reader | str | None = None
    routine_share: float = ROUTINE_SHARE
    called: bool = False
    has_room: bool = True
    before_ns: int = 0
    rests_until_ns: int = 0
    idles_until_ns: int = 0
    readiness: select.poll = field(default_factory=select.poll)

    def __post_init__(self) -> None:
        self.pid = self.worker.pid

    def begin_tick(self, *, ran: bool) -> None:
        """Forgets what was said at the tick before: what holds on has to be seen again."""
        self.ran = ran
        self.was_due, self.due = self.due, False
        self.onset = False


class Oracle(Protocol):
    """Watches one kind of pending work in every worker; ``rows`` is the type of what it tells."""

    name: ClassVar[str]
    rows: ClassVar[RowType]

    def attach(self, watched: Watched) -> str:
        """Starts to watch a worker: ``"ok"``, or why that is not possible there."""
        ...

    def tick(self, watched: Watched, now_ns: int) -> Iterator[Row]:
        """Rows for what changed; ends quietly when the process is gone."""
        ...

    def detach(self, watched: Watched) -> None:
        """Releases what is held for that worker."""
        ...
