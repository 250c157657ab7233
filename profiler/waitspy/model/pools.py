"""What pools were seen to hold, as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from waitspy.model.ranges import Address, Count


class PoolKind(StrEnum):
    """Whose work goes through a pool; those of an executor are recorded as its role."""

    EXECUTOR = "executor"  # of its owner's own
    DEFAULT_EXECUTOR = "default executor"  # of a loop
    ASGIREF = "asgiref thread-sensitive"  # where Django runs its synchronous views
    ANYIO = "AnyIO's worker threads"
    SERVER = "the server's request threads"  # gunicorn's gthread, gRPC's: known by what they run
    TWISTED = "Twisted's reactor threads"
    LIBUV = "libuv's thread pool"  # where Node.js has files read and names looked up
    LOOKUPS = "lookups of names in libuv's thread pool"  # half of its threads at the most do them
    PROCESSES = "a pool of processes"
    GROUP = "threads that take from one queue"


PoolClass = Literal["executor", "group", "processes", "limiter"]
"""What a pool is made of."""

_KINDS: Mapping[PoolClass, PoolKind] = {
    "executor": PoolKind.EXECUTOR,
    "group": PoolKind.GROUP,
    "processes": PoolKind.PROCESSES,
    "limiter": PoolKind.ANYIO,
}


class PoolInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One pool: an executor of concurrent.futures, with threads or processes; a group of threads
    that take from one queue; or AnyIO's limiter (its threads are not known).

    ``name`` is an executor's own, or the function that a group runs. A group's threads wait for one
    of ``signals`` when there is nothing to do. ``size`` is how many threads it may have, of a group
    how many may work at a time, None when unlimited or not known. ``tids`` are these, or its
    processes. ``role`` is the value of its ``PoolKind`` where it is a special one.
    """

    kind: PoolClass
    name: str | None
    role: str | None
    size: int | None
    tids: tuple[int, ...]
    signals: tuple[Address, ...] = ()

    @property
    def pool_kind(self) -> PoolKind:
        """Whose work goes through it; an unknown role says nothing."""
        if self.role in set(PoolKind):
            return PoolKind(self.role)
        return _KINDS[self.kind]


class PoolWaits(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A look at a pool whose queue did not move: the first items as (name, ``file:line``).

    ``on_itself`` are its threads that hold the future of an item which only this pool can run;
    ``awaited`` is where tasks of the program await what its threads do, one entry for each task.
    Of the first items of a group, ``promises`` are the futures, events and conditions in them;
    ``awaiting`` tasks wait for one, and ``of_requests`` says that a server has begun such a task.
    ``of_clients`` says that there are connections in the first items of a group or an executor.
    """

    first: tuple[tuple[str, str | None], ...]
    on_itself: tuple[int, ...]
    awaited: tuple[tuple[str, str | None], ...] = ()
    promises: tuple[Address, ...] = ()
    awaiting: Count = 0
    of_requests: bool = False
    of_clients: bool = False


class PoolEvent(msgspec.Struct, frozen=True, gc=False):
    """A row about one pool (by its address); one of the fields is set.

    ``queue`` is how many items wait, and how many were taken since the recording began to look.
    With ``unseen``, nobody looked at it from then on until its next ``queue``.
    """

    at_ns: int
    pool: int
    info: PoolInfo | None = None
    gone: bool = False
    queue: tuple[int, int] | None = None
    waits: PoolWaits | None = None
    unseen: bool = False
