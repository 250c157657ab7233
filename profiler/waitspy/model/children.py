"""Processes that a worker has started and that wait for it to read a pipe, as recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import structs

from waitspy.model.ranges import Address, Few, Many, Ns, Tid
from waitspy.model.stacks import Frame

ChildHeld = Literal["exit", "output", "input", "reader"]
"""What is waited for: the end of a process, what it writes, that it reads what is written to it, or
that its own pipe is read.
"""

ChildHow = Literal["child", "pipe"]
"""How it is known who has to do it: it is that process, or it alone has that end of the pipe."""

Awaited = Literal["exit", "output", "input"]
Name = Annotated[str, msgspec.Meta(max_length=64)]


class ChildWait(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who in the worker waits for the process ``pid`` to end, write or read: a thread, or ``count``
    tasks of a loop (by its address) that stand at the same awaits, ``stack``, outermost first.

    ``name`` is that of the process.
    """

    awaits: Awaited
    pid: Tid
    name: Name
    since_ns: Ns
    tid: Tid | None = None
    loop: Address | None = None
    stack: tuple[Frame, ...] = ()
    count: Many = 1

    def placed(self, place: Callable[[Frame], Frame]) -> ChildWait:
        """The same with what ``place`` knows of whose the frames are."""
        return structs.replace(self, stack=tuple(map(place, self.stack)))


class StandingChild(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A process that has stood since ``since_ns`` in a write to a pipe.

    Only the worker can read that, by its descriptor ``fd``. ``waits`` are those for whom the
    process would have to go on.
    """

    pid: Tid
    name: Name
    pipe: Address
    fd: Few
    since_ns: Ns
    waits: tuple[ChildWait, ...] = ()


class ChildrenEvent(msgspec.Struct, frozen=True, gc=False):
    """All such processes of a worker at one time, until the next event.

    ``ended`` are those of the event before that have ended; others have gone on.
    """

    at_ns: int
    standing: tuple[StandingChild, ...]
    ended: tuple[int, ...] = ()

    def placed(self, place: Callable[[Frame], Frame]) -> ChildrenEvent:
        """The same with what ``place`` knows of whose the frames are."""
        standing = (
            structs.replace(one, waits=tuple(wait.placed(place) for wait in one.waits))
            for one in self.standing
        )
        return structs.replace(self, standing=tuple(standing))
