"""Where tasks of asyncio were seen to wait, as recorded."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import structs

from waitspy.model.stacks import Frame
from waitspy.model.unsent import Unsent


class TaskGroup(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tasks that wait at the same lines: ``stack`` are the awaits, outermost first.

    ``future`` is the type of what they wait for, None when it could not be read. The one that is
    there the longest has stood there at every look since ``since_ns``, None where all of them were
    seen there once; ``still`` says that their loop has run nothing since then. ``unsent`` is what
    they wait to get rid of, where that is known.
    """

    stack: tuple[Frame, ...]
    future: str | None
    count: int
    since_ns: int | None
    still: bool
    unsent: Unsent | None = None


class PlacesEvent(msgspec.Struct, frozen=True, gc=False):
    """A look at the tasks of one loop (by its address).

    Of ``pending`` tasks ``looked`` were looked at, and ``groups`` are those of them that wait, the
    largest groups. Without groups, all waited where they had at the look before.
    """

    at_ns: int
    loop: int
    pending: int = 0
    looked: int = 0
    groups: tuple[TaskGroup, ...] | None = None

    def placed(self, place: Callable[[Frame], Frame]) -> PlacesEvent:
        """The same with what ``place`` knows of whose the frames are."""
        if self.groups is None:
            return self
        groups = (structs.replace(g, stack=tuple(map(place, g.stack))) for g in self.groups)
        return structs.replace(self, groups=tuple(groups))
