"""Which process of a multiprocessing.Pool has a job that somebody waits for, or that none has it.

A process that is killed takes its task with it, and the pool never knows. That is proven where
nothing of the job can be anywhere: all processes were asked, nothing is on its way to them, one of
them stands in a read of the pipe that they take from, and the pool in one of their results. One
that is killed while it reads has the turn to read for ever: then all others that have nothing to do
wait for that, and none reads.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from waitspy.kernel import pipe_fds, procfs
from waitspy.kernel.pipe_fds import Call
from waitspy.model import syscalls
from waitspy.oracles import Watched
from waitspy.oracles.reading import TRANSIENT
from waitspy.remote.memory import Unavailable
from waitspy.remote.pool_jobs import PoolJob, PoolWork
from waitspy.remote.reader import Reader

_READS, _TURN = "_recv", "__enter__"
_TAKES = frozenset({_READS, _TURN})
"""Where a process without a task stands: it reads, or waits for its turn to read."""


def ask(
    pids: Sequence[int], readers: Mapping[int, Reader], turn: int, cpu_ns: int
) -> dict[int, PoolWork]:
    """What the processes of a pool do, as far as they can be asked; not all of very many, but
    others at another ``turn``: until this thread has used so much CPU time.
    """
    until_ns = time.thread_time_ns() + cpu_ns
    first = turn % len(pids) if pids else 0
    found = {}
    for pid in (*pids[first:], *pids[:first]):
        with suppress(*TRANSIENT, OSError, Unavailable):  # it runs, or is ending
            if pid in readers:
                found[pid] = readers[pid].pool_work()
        if time.thread_time_ns() >= until_ns:
            break
    return found


def is_lost(
    job: PoolJob,
    does: Mapping[int, PoolWork],
    owner: Watched,
    tid: int,
    watched: Mapping[int, Watched],
) -> bool:
    """Whether that thread of the ``owner`` waits for ever for a job that no process has."""
    idle = [pid for pid, work in does.items() if work.task is None]
    if (
        not job.open
        or not idle
        or len(does) != len(job.pids)
        or len(job.pids) != job.size
        or any(work.task is not None and work.task.job == job.job for work in does.values())
        or any(does[pid].at not in _TAKES for pid in idle)
        or job.gives is None
        or job.takes is None
    ):
        return False
    with suppress(OSError, ValueError):  # one has ended
        tasks, results = (pipe_fds.of_fd(owner.pid, fd) for fd in (job.tasks, job.results))
        reading = {pid for pid in idle if does[pid].at == _READS}
        return (
            tasks is not None
            and all(_pipe_read(watched[pid], pid) == tasks for pid in reading)
            and not (reading and job.on_its_way)
            and results is not None
            and _pipe_read(owner, job.takes) == results
            and all(_stands(watched[pid], pid) for pid in idle)
            and all(_stands(owner, one) for one in (job.gives, job.takes, tid))
            and not procfs.futex_timeout(owner.pid, tid)
        )
    return False


def _stands(watched: Watched, tid: int) -> bool:
    """Whether a thread has not run since its state was read, nor is about to: it was not woken."""
    return _call(watched, tid) is not None and watched.stood(tid)


def _pipe_read(watched: Watched, tid: int) -> int | None:
    """The pipe in a read of which a thread stands."""
    call = _call(watched, tid)
    if call is None or syscalls.name(call.number, platform.machine()) != "read":
        return None
    return pipe_fds.of_fd(watched.pid, call.args[0])


def _call(watched: Watched, tid: int) -> Call | None:
    return pipe_fds.parse_call(procfs.read(watched.pid, f"task/{tid}/syscall"), b"")
