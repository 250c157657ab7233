"""The stream ``threads``: what the kernel said of each thread of a process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np

from waitspy.model.columns import int64s, words
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


def states(rows: Sequence[ThreadRow]) -> dict[int, KernelStates]:
    """The kernel states of each thread, by its id."""
    if not rows:
        return {}
    tids = np.array([row.tid for row in rows], np.int64)
    columns = (
        np.array([row.at_ns for row in rows], np.int64),
        np.array([ord(row.state) for row in rows], np.int64),
        int64s([row.syscall for row in rows]),
        words([row.arg0 for row in rows]),
        int64s([row.ran_ns for row in rows]),
        int64s([row.queued_ns for row in rows]),
    )
    order = np.argsort(tids, kind="stable")
    known, first = np.unique(tids[order], return_index=True)
    parts = np.split(order, first[1:])
    return {
        tid: KernelStates(*(column[part] for column in columns))
        for tid, part in zip(known.tolist(), parts, strict=True)
    }
