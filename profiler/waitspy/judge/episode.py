"""One episode of starvation with all that a finding needs: what starved, why, and who waited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from waitspy.model.activities import Activity
from waitspy.model.epolls import UnreadSocket
from waitspy.model.judged import Lending, Link
from waitspy.model.kinds import Kind, Verdict
from waitspy.model.pools import PoolKind
from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Frame, Stack
from waitspy.model.waits import Wait

ItemKind = Literal["task", "timer", "callback", "work-item", "connection", "io", "thread"]


UNNAMED = ""
"""The name of things of which only the number is known."""

Root = tuple[ThreadKey, Stack, Wait]
"""What a thread, or a task of its loop, does at the root of a chain."""


@dataclass(frozen=True, slots=True)
class Item:
    """Things of one name that waited, from when they were due until they were served.

    ``guards`` marks a timer that limits the time of something else.
    """

    kind: ItemKind
    name: str
    where: str | None
    start_ns: int
    end_ns: int
    guards: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True)
class Look:
    """The unread sockets behind a loop's epoll at one time."""

    at_ns: int
    sockets: tuple[UnreadSocket, ...]


@dataclass(frozen=True, slots=True)
class Starvation:
    """A span in which due work of one loop, pool or listener was not served.

    ``pid`` and ``tid`` are the thread that should have served it. ``held_by`` are the activities
    that starved it, by thread, cut to the episode; empty when no stack did (no CPU, unknown
    holder of the GIL) or none was sampled. ``place`` names what starved, ``detail`` says more of
    it, both for people. ``served`` counts what was served nevertheless, where that is known.
    ``pool`` is what starved if it is a pool.
    ``asyncio`` says that an object of asyncio's is known to be the loop, ``node`` that it is one
    of Node.js.
    ``stand_in`` is to blame where the threads that starved it show no code of the program.
    ``of_tasks`` says that ``held_by`` shows awaits of tasks, and no stacks that a thread has shown.
    ``links`` is the chain, where it is known already; of tasks it always is.
    ``lending`` is the pool of connections that it is about. ``root`` is what a thread, or a task of
    its loop, does at the end of ``links``, where these go on beyond ``held_by``.
    ``looked`` is False for a blocking call during which nobody saw whether something was due.
    """

    kind: Kind
    verdict: Verdict
    pid: int
    tid: int
    place: str
    start_ns: int
    end_ns: int
    held_by: Mapping[ThreadKey, tuple[Activity, ...]]
    base: Stack | None
    evidence: tuple[str, ...]
    looks: tuple[Look, ...] = ()
    items: tuple[Item, ...] = ()
    detail: str | None = None
    served: int | None = None
    pool: PoolKind | None = None
    process: int = 0
    looked: bool = True
    stand_in: Frame | None = None
    asyncio: bool = False
    node: bool = False
    links: tuple[Link, ...] = ()
    of_tasks: bool = False
    lending: Lending | None = None
    root: Root | None = None

    def __post_init__(self) -> None:
        """ValueError for a verdict that such a kind does not have."""
        if self.verdict not in self.kind.verdicts:
            raise ValueError(f"{self.kind.name} is never {self.verdict}")

    @property
    def guilty(self) -> tuple[Activity, ...]:
        """The activities of all threads that starved it."""
        return tuple(activity for mine in self.held_by.values() for activity in mine)

    @property
    def thread(self) -> ThreadKey:
        """The thread that should have served it."""
        return ThreadKey(self.pid, self.tid, self.process)

    @property
    def threads(self) -> tuple[ThreadKey, ...]:
        """The threads that starved it; the one that should have served it where none is known."""
        return tuple(sorted(self.held_by)) or (self.thread,)

    @property
    def latent(self) -> bool:
        """Whether it happened to starve nothing."""
        return self.verdict == "latent"

    @property
    def waiting(self) -> int:
        """How many things waited at most: unread sockets and late items known, at least one."""
        steps = [(item.start_ns, 0, item.count) for item in self.items]
        steps += [(item.end_ns, 0, -item.count) for item in self.items]
        steps += [(look.at_ns, 1, len(look.sockets)) for look in self.looks]
        most, late, sockets = 1, 0, 0
        for at_ns, is_look, count in sorted(steps):
            if is_look:
                sockets = count
            else:
                late += count
            if at_ns < self.end_ns:
                most = max(most, sockets + late)
        return most
