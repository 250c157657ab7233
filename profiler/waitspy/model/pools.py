"""What thread pools were seen to hold, as recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec


class PoolInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One pool: an executor of concurrent.futures, or AnyIO's limiter (its threads are not known).

    ``size`` is how many threads it may have, None when unlimited or not known. ``role`` is
    ``default executor`` for a loop's own, ``asgiref thread-sensitive`` for Django's.
    """

    kind: Literal["executor", "limiter"]
    name: str | None
    role: str | None
    size: int | None
    tids: tuple[int, ...]


class PoolWaits(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A look at a pool whose queue did not move: the first items as (name, ``file:line``).

    ``on_itself`` are its threads that hold the future of an item which only this pool can run.
    """

    first: tuple[tuple[str, str | None], ...]
    on_itself: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """A row about one pool (by its address); one of the fields is set.

    ``queue`` is how many items wait, and how many were taken since the recording began to look.
    """

    at_ns: int
    pool: int
    info: PoolInfo | None = None
    gone: bool = False
    queue: tuple[int, int] | None = None
    waits: PoolWaits | None = None
