"""Who waits for what, and who holds it, as recorded: the edges from which chains are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import structs

from waitspy.model.connection_pools import PoolUse
from waitspy.model.ranges import Address, Many, Tid
from waitspy.model.stacks import Frame
from waitspy.model.unsent import Unsent

Lost = Literal["lost-result", "lost-signal", "lost-lock", "lost-queue"]
"""A future, an event, a lock, or a full queue, to which nobody refers but those who wait for it."""

Held = Literal[
    "lock", "abandoned-lock", "orphaned-lock", "lost-job", "condition", "event", "semaphore",
    "barrier", "thread", "queue", "full-queue", "joined-queue", "future", "connections", "task",
    "loop", "file-lock", "message", "reply", Lost,
]  # fmt: skip
"""What is waited for: a lock, one that nobody is left to give up, as its process was forked or its
holder's has ended, work that nobody has, a signal, a place, an end, what somebody has to hand
in, to take out of a full queue, or to have done of all that was put into one, a connection of a
pool, the end of a task, one's turn on an event loop, a lock on a file, or what has to come from
the other end of a pipe or connection, a reply where the thread has sent something there before;
or what nobody else can reach.
"""

How = Literal[
    "owner", "mutex", "with", "work-item", "queued", "takes", "join", "task", "loop", "frame",
    "peer", "reach", "ended",
]  # fmt: skip
"""How it is known who holds it: it names its owner, as a mutex of C code does, too, a ``with``
block is entered, a thread does that work, or is the only one that can and does something else, it
was seen to take from that queue, it is that thread, or that task, it runs that loop, it stands in a
method of it, or it is the only thread of the only process that has the other end. With ``reach`` a
variable of the thread leads there, or what it was started with, it stands behind such a call as
others wait in, or its loop watches for that: that is a hint. Who has ``ended`` had it.
"""


class Holder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The thread that holds something; ``at`` is the line at which it was taken, where known.

    With ``task`` it is that task, by its address, and ``tid`` the thread that runs its loop: zero
    where none is seen to. ``pid`` is its process, where that is another one than that of the thread
    that waits.
    """

    tid: Tid
    how: How
    at: Frame | None = None
    task: Address | None = None
    pid: Tid | None = None

    def placed(self, place: Callable[[Frame], Frame]) -> Holder:
        """The same with what ``place`` knows of whose the frame is."""
        return self if self.at is None else structs.replace(self, at=place(self.at))


class WaitEdge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a thread waits for: its kind and address, and who holds it.

    ``whole`` says that all threads were asked whether they hold it: without it, no holder means
    nothing.
    """

    tid: Tid
    kind: Held
    subject: Address
    holders: tuple[Holder, ...]
    whole: bool


class TaskEdge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A task that holds, or has to hand in, what others wait for; ``tid`` is that of its holders.

    ``stack`` are its awaits, outermost first. ``kind`` is what it waits for itself where threads or
    other tasks do that (``holders``); None: its awaits tell, or it only waits for its turn on its
    loop, for which all tasks have to wait. ``unsent`` is what it waits to get rid of.
    """

    task: Address
    tid: Tid
    stack: tuple[Frame, ...]
    kind: Held | None = None
    holders: tuple[Holder, ...] = ()
    unsent: Unsent | None = None

    def placed(self, place: Callable[[Frame], Frame]) -> TaskEdge:
        """The same with what ``place`` knows of whose the frames are."""
        holders = tuple(holder.placed(place) for holder in self.holders)
        return structs.replace(self, stack=tuple(map(place, self.stack)), holders=holders)


class LentToTasks(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tasks that stand at one place (their awaits, outermost first) and have ``count`` connections;
    ``at`` is where these were taken, where known.
    """

    stack: tuple[Frame, ...]
    how: How
    at: Frame | None
    count: Many

    def placed(self, place: Callable[[Frame], Frame]) -> LentToTasks:
        """The same with what ``place`` knows of whose the frames are."""
        at = None if self.at is None else place(self.at)
        return structs.replace(self, stack=tuple(map(place, self.stack)), at=at)


class LentPool(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A pool (by its address) that threads wait for, and the threads that have its connections.

    There is one holder for each connection that a thread is known to have; ``tasks`` have others.
    ``whole`` says that all were asked.
    """

    subject: Address
    use: PoolUse | None
    holders: tuple[Holder, ...]
    whole: bool
    tasks: tuple[LentToTasks, ...] = ()

    def placed(self, place: Callable[[Frame], Frame]) -> LentPool:
        """The same with what ``place`` knows of whose the frames are."""
        holders = tuple(one.placed(place) for one in self.holders)
        tasks = tuple(one.placed(place) for one in self.tasks)
        return structs.replace(self, holders=holders, tasks=tasks)

    @property
    def unknown(self) -> int:
        """How many are lent to nobody who is known."""
        lent = None if self.use is None else self.use.lent
        known = len(self.holders) + sum(one.count for one in self.tasks)
        return 0 if lent is None else max(0, lent - known)


class WaitForEvent(msgspec.Struct, frozen=True, gc=False):
    """What threads of a process were seen to wait for at one time, and those that hold that;
    ``tasks`` are those among the holders.
    """

    at_ns: int
    waiting: tuple[WaitEdge, ...]
    pools: tuple[LentPool, ...] = ()
    tasks: tuple[TaskEdge, ...] = ()

    def placed(self, place: Callable[[Frame], Frame]) -> WaitForEvent:
        """The same with what ``place`` knows of whose the frames are."""
        waiting = (
            structs.replace(one, holders=tuple(holder.placed(place) for holder in one.holders))
            for one in self.waiting
        )
        pools = tuple(pool.placed(place) for pool in self.pools)
        tasks = tuple(task.placed(place) for task in self.tasks)
        return structs.replace(self, waiting=tuple(waiting), pools=pools, tasks=tasks)
