"""What thread pools were seen to hold, as recorded."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class PoolKind(StrEnum):
    """Whose work goes through a pool; those of an executor are recorded as its role."""

    EXECUTOR = "executor"  # of its owner's own
    DEFAULT_EXECUTOR = "default executor"  # of a loop
    ASGIREF = "asgiref thread-sensitive"  # where Django runs its synchronous views
    ANYIO = "AnyIO's worker threads"
    SERVER = "the server's request threads"  # gunicorn's gthread, gRPC's: known by what they run


class PoolInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One pool: an executor of concurrent.futures, or AnyIO's limiter (its threads are not known).

    ``size`` is how many threads it may have, None when unlimited or not known. ``role`` is the
    value of an executor's ``PoolKind``; None for one of its owner's own.
    """

    kind: Literal["executor", "limiter"]
    name: str | None
    role: str | None
    size: int | None
    tids: tuple[int, ...]

    @property
    def pool_kind(self) -> PoolKind:
        """Whose work goes through it; an unknown role says nothing."""
        if self.kind == "limiter":
            return PoolKind.ANYIO
        return PoolKind(self.role) if self.role in set(PoolKind) else PoolKind.EXECUTOR


class PoolWaits(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A look at a pool whose queue did not move: the first items as (name, ``file:line``).

    ``on_itself`` are its threads that hold the future of an item which only this pool can run;
    ``awaited`` is where tasks of the program await what its threads do, one entry for each task.
    """

    first: tuple[tuple[str, str | None], ...]
    on_itself: tuple[int, ...]
    awaited: tuple[tuple[str, str | None], ...] = ()


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
