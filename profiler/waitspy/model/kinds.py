"""Every kind of finding, once: its name, the verdicts that it can have, and what it is called.

To add one, put it into ``KINDS``; the command line, the reports and their schema read it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Verdict = Literal["starving", "late", "latent"]
"""Nothing was served; it was served, but late; nothing was due."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class Kind:
    """Why something starves.

    ``title`` and ``meaning`` say it to people; ``deed`` says what the blamed line did, and to whom:
    ``{who}`` stands for the workers. ``verdicts`` are those that such a finding can
    have, the usual one first. ``on_cpu`` says that its threads compute rather than wait: the time
    on the CPU is what is told of them.
    """

    name: str
    title: str
    meaning: str
    deed: str
    verdicts: tuple[Verdict, ...] = ("starving",)
    on_cpu: bool = False

    @property
    def verdict(self) -> Verdict:
        """The usual verdict."""
        return self.verdicts[0]


BLOCKED_LOOP = Kind(
    "blocked-loop",
    "blocked loop",
    "a blocking call holds the running event loop",
    "blocked {who}",
    verdicts=("starving", "latent"),
)
PARKED_LOOP = Kind(
    "parked-loop",
    "parked loop",
    "work is due on a loop that its thread does not run",
    "kept {who} away from due work",
)
BUSY_LOOP = Kind(
    "busy-loop",
    "busy loop",
    "one callback keeps the loop's thread on the CPU",
    "kept {who} busy",
    on_cpu=True,
)
GIL_BOUND = Kind(
    "gil-bound",
    "GIL-bound loop",
    "another thread keeps the GIL that the loop's thread wants",
    "kept the GIL from {who}",
    on_cpu=True,
)
GC_PAUSE = Kind(
    "gc-pause",
    "garbage collection",
    "the thread that should serve, or that keeps the GIL, collects garbage",
    "collected garbage and held up {who}",
    on_cpu=True,
)
NO_CPU = Kind(
    "no-cpu",
    "no CPU",
    "whoever should serve could run, or was stopped, and did not get the CPU",
    "kept {who} off the CPU",
)
HELD_LOCK = Kind(
    "held-lock",
    "held lock",
    "threads or tasks wait for a lock that somebody holds over a slow wait, or for room in a "
    "queue behind one",
    "held a lock that {who} wanted",
    verdicts=("starving", "late"),
)
EXHAUSTED_CONNECTIONS = Kind(
    "exhausted-connections",
    "exhausted connections",
    "all connections of a pool are lent, and others want one",
    "is where connections ran out in {who}",
    verdicts=("starving", "late"),
)
DEADLOCK = Kind(
    "deadlock",
    "deadlock",
    "they wait for each other, or for what nobody is left to do",
    "took part in a deadlock of {who}",
)
EXHAUSTED_POOL = Kind(
    "exhausted-pool",
    "exhausted pool",
    "all its threads are blocked, and work waits in its queue",
    "held every thread of a pool in {who}",
    verdicts=("starving", "late"),
)
ACCEPT_BACKLOG = Kind(
    "accept-backlog",
    "accept backlog",
    "connections, or datagrams, wait while all who could take them are blocked or at work",
    "kept {who} from accepting",
    verdicts=("starving", "late"),
)
OVERLOADED_LOOP = Kind(
    "overloaded-loop",
    "overloaded loop",
    "it serves all along, but late: too much work",
    "overloaded the loop of {who}",
    verdicts=("late",),
    on_cpu=True,
)
OVERLOADED_POOL = Kind(
    "overloaded-pool",
    "overloaded pool",
    "it serves all along, but late: too much work",
    "overloaded a pool of {who}",
    verdicts=("late",),
    on_cpu=True,
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        BLOCKED_LOOP,
        PARKED_LOOP,
        BUSY_LOOP,
        GIL_BOUND,
        GC_PAUSE,
        NO_CPU,
        HELD_LOCK,
        EXHAUSTED_CONNECTIONS,
        DEADLOCK,
        EXHAUSTED_POOL,
        ACCEPT_BACKLOG,
        OVERLOADED_LOOP,
        OVERLOADED_POOL,
    )
}
"""All kinds by name, in the order in which they are told."""
