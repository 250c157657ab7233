"""What event loop objects said of themselves, as recorded."""

from __future__ import annotations

import msgspec

from waitspy.model.gil import MAIN


class LoopInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an event loop object says of itself; ``how`` the owning thread is known (or None).

    ``interpreter`` is the number of the one that it lives in.
    """

    kind: str
    epfd: int | None
    owner_tid: int | None
    how: str | None
    closed: bool | None
    interpreter: int = MAIN


class LateTimer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An overdue timer; ``guards`` says that it limits the time of something else."""

    due_ns: int
    name: str
    where: str | None
    guards: bool


class LoopWork(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The work that waited on a loop when it was looked at.

    ``ready`` callbacks, the first of them as (name, ``file:line``, whether it is a task that can
    run); ``overdue`` timers (None when they cannot be read), the oldest of them in ``late``; not
    ``named`` when it was not looked up which tasks those would wake.
    """

    ready: int
    first: tuple[tuple[str, str | None, bool], ...]
    overdue: int | None
    late: tuple[LateTimer, ...]
    named: bool = True


class LoopEvent(msgspec.Struct, frozen=True, gc=False):
    """A row about one event loop object (by its address); one of the fields is set.

    ``service`` is the length of its ready queue and how often that queue was changed. With
    ``collecting``, whether garbage is collected was looked at because it served nothing. With
    ``unseen``, nobody looked at it from then on until its next row, and it served meanwhile.
    """

    at_ns: int
    loop: int
    facts: LoopInfo | None = None
    service: tuple[int, int] | None = None
    work: LoopWork | None = None
    collecting: bool | None = None
    unseen: bool = False
