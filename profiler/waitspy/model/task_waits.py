"""What tasks wait for that other tasks hold, as recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import structs

from waitspy.model.connection_pools import PoolUse
from waitspy.model.ranges import Address, Many, Ns, Tid
from waitspy.model.stacks import Frame
from waitspy.model.unsent import Unsent
from waitspy.model.wait_for import Holder, How, Lost

TaskHeld = Literal["lock", "semaphore", "connections", "full-queue", Lost]
"""A lock, a place of a semaphore, a connection of a pool, room in a queue (those who take from it
are its holders), or what nobody else can reach."""


class TaskHolder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tasks that hold something at one place: their awaits, outermost first, with those of the task
    that these wait for, if there is one; where they took it, and how that is known.

    The one that is there the longest has been since ``since_ns``, None where it was seen once.
    ``future`` is the type of what they wait for, ``unsent`` is what they wait to get rid of.
    ``waits`` is the thing (its address) that all of them wait for, if that is one of those told.
    ``thread`` is the one that is at work on what one of them waits for in the end, if there is one;
    ``sender`` is who has to send what it waits to read, if that is a thread of another process.
    """

    stack: tuple[Frame, ...]
    at: Frame
    count: Many
    since_ns: Ns | None
    future: str | None
    unsent: Unsent | None = None
    how: How = "with"
    waits: Address | None = None
    thread: Tid | None = None
    sender: Holder | None = None


class TaskWait(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tasks that wait for one thing, and those that hold it.

    ``stack`` are the awaits of the one that has waited the longest, since ``since_ns``. Of a
    queue, and what nobody else can reach, ``serves`` says that one of them has a client's
    connection. ``in_line`` is how many stand in the lines of a pool, also who was not looked at, or
    has just come.
    """

    kind: TaskHeld
    subject: Address
    count: Many
    stack: tuple[Frame, ...]
    since_ns: Ns
    holders: tuple[TaskHolder, ...]
    use: PoolUse | None = None
    serves: bool = False
    in_line: Many | None = None

    def placed(self, place: Callable[[Frame], Frame]) -> TaskWait:
        """The same with what ``place`` knows of whose the frames are."""

        def of(holder: TaskHolder) -> TaskHolder:
            stack = tuple(map(place, holder.stack))
            return structs.replace(holder, stack=stack, at=place(holder.at))

        return structs.replace(
            self, stack=tuple(map(place, self.stack)), holders=tuple(map(of, self.holders))
        )


class TaskWaitsEvent(msgspec.Struct, frozen=True, gc=False):
    """What tasks of one loop (by its address) were seen to wait for at two looks or more, the last
    one at ``at_ns``. It holds until the next such event.
    """

    at_ns: int
    loop: int
    waits: tuple[TaskWait, ...]

    def placed(self, place: Callable[[Frame], Frame]) -> TaskWaitsEvent:
        """The same with what ``place`` knows of whose the frames are."""
        return structs.replace(self, waits=tuple(one.placed(place) for one in self.waits))
