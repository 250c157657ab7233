"""Who waits for what, and who holds it, as recorded: the edges from which chains are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import structs

from waitspy.model.ranges import Address, Tid
from waitspy.model.stacks import Frame

Held = Literal[
    "lock", "condition", "event", "semaphore", "barrier", "thread", "queue", "full-queue", "future"
]
"""What is waited for: a lock, a signal, a place, an end, what somebody has to hand in, or to take
out of a full queue.
"""

How = Literal["owner", "with", "work-item", "join"]
"""How it is known who holds it: it names its owner, a ``with`` block is entered, a thread does
that work, it is that thread.
"""


class Holder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The thread that holds something; ``at`` is the line at which it was taken, where known."""

    tid: Tid
    how: How
    at: Frame | None = None


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


class WaitForEvent(msgspec.Struct, frozen=True, gc=False):
    """What threads of a process were seen to wait for at one time, and those that hold that."""

    at_ns: int
    waiting: tuple[WaitEdge, ...]

    def placed(self, place: Callable[[Frame], Frame]) -> WaitForEvent:
        """The same with what ``place`` knows of whose the frames are."""

        def of(holder: Holder) -> Holder:
            return holder if holder.at is None else structs.replace(holder, at=place(holder.at))

        waiting = (
            structs.replace(one, holders=tuple(map(of, one.holders))) for one in self.waiting
        )
        return structs.replace(self, waiting=tuple(waiting))
