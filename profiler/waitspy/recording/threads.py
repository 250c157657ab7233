"""The stream ``threads``: what the kernel said of each thread of a process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from waitspy.model.columns import Int64s, int64s, words
from waitspy.model.ranges import Address, Count, Ns
from waitspy.model.threads import KernelStates
from waitspy.recording.rows import Row, reader

Letter = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]
Number = Annotated[int, msgspec.Meta(ge=-1, le=1 << 31)]


class ThreadRow(Row, frozen=True):
    """A thread ran, waits elsewhere or has ended: see ``KernelState``."""

    tid: Count
    state: Letter
    syscall: Number | None = None
    arg0: Address | None = None
    ran_ns: Ns | None = None
    queued_ns: Ns | None = None


READER = reader(ThreadRow)


class ThreadColumns:
    """Takes a stream's rows, part by part, and makes columns of each thread's."""

    def __init__(self) -> None:
        self._parts: dict[int, list[list[Int64s]]] = {}

    def take(self, rows: Sequence[ThreadRow]) -> None:
        """The next rows."""
        tids = int64s([row.tid for row in rows])
        columns = (
            int64s([row.at_ns for row in rows]),
            int64s([ord(row.state) for row in rows]),
            int64s([row.syscall for row in rows]),
            words([row.arg0 for row in rows]),
            int64s([row.ran_ns for row in rows]),
            int64s([row.queued_ns for row in rows]),
        )
        order = np.argsort(tids, kind="stable")
        known, first = np.unique(tids[order], return_index=True)
        for tid, part in zip(known.tolist(), np.split(order, first[1:]), strict=True):
            self._parts.setdefault(tid, []).append([column[part] for column in columns])

    def states(self) -> dict[int, KernelStates]:
        """The kernel states of each thread, by its id."""
        return {
            tid: KernelStates(*map(np.concatenate, zip(*self._parts.pop(tid), strict=True)))
            for tid in sorted(self._parts)
        }
