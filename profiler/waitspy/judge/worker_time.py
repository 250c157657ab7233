"""How much each worker ran, and wanted to: its share of a CPU, and of waiting for the GIL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from waitspy.model.activities import Activities, by_process
from waitspy.model.columns import UNKNOWN
from waitspy.model.judged import WorkerTime
from waitspy.model.oracle_names import THREADS
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import KernelStates
from waitspy.model.waits import WaitKind


def of_workers(
    workers: Iterable[WorkerRecord], done: Mapping[ThreadKey, Activities], end_ns: int
) -> Iterator[WorkerTime]:
    """The shares of every worker whose threads were watched, of the time until it was gone."""
    of_threads = by_process(done)
    for worker in workers:
        until_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
        length_ns = until_ns - worker.attached_ns
        if worker.oracles.get(THREADS) != "ok" or not worker.states or length_ns <= 0:
            continue
        ran = [_ran_ns(states) for states in worker.states.values()]
        known = [ran_ns for ran_ns in ran if ran_ns is not None]
        cpu_share = sum(known) / length_ns if len(known) == len(ran) else None
        gil_share = None
        if worker.runtime_span is not None:
            own = of_threads.get(worker.thread(0), {}).values()
            gil_share = sum(map(_gil_ns, own)) / length_ns
        yield WorkerTime(worker.worker.pid, cpu_share, gil_share)


def _ran_ns(states: KernelStates) -> int | None:
    """What schedstat gained from the first look at the thread to the last; None without it."""
    known = states.ran_ns[states.ran_ns != UNKNOWN]
    return int(known[-1] - known[0]) if len(known) else None


def _gil_ns(activities: Activities) -> int:
    wants = activities.in_wait(lambda wait: wait.kind is WaitKind.GIL)
    return int(np.sum(activities.length_ns[wants]))
