"""The stream ``threads``: what the kernel said of each thread of a process."""

from __future__ import annotations

from collections.abc import Iterable

from waitspy.model.threads import KernelState
from waitspy.recording.rows import Address, Count, Ns, Row, reader


class ThreadRow(Row, frozen=True):
    """A thread ran, waits elsewhere or has ended: see ``KernelState``."""

    tid: Count
    state: str
    syscall: int | None = None
    arg0: Address | None = None
    ran_ns: Ns | None = None
    queued_ns: Ns | None = None


READER = reader(ThreadRow)


def states(rows: Iterable[ThreadRow]) -> dict[int, tuple[KernelState, ...]]:
    """The kernel states of each thread, by its id."""
    found: dict[int, list[KernelState]] = {}
    for row in rows:
        state = KernelState(row.at_ns, row.state, row.syscall, row.arg0, row.ran_ns, row.queued_ns)
        mine = found.get(row.tid)
        if mine is None:
            found[row.tid] = [state]
        else:
            mine.append(state)
    return {tid: tuple(mine) for tid, mine in sorted(found.items())}
