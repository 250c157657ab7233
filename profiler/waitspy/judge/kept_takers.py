"""Whoever should have taken from a socket, and could not: another thread of it kept the GIL.

They stood in a wait for it, at a line that says nothing: what matters is what that thread did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from waitspy.judge import gil
from waitspy.judge.episode import Starvation
from waitspy.judge.spans import length_ns
from waitspy.judge.thread_time import cut
from waitspy.model.activities import NO_ACTIVITIES, Activities, Activity
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.waits import WaitKind

_HALF = 0.5
_LEAST_HELD = 0.1  # of the time of the one that had it the longest: others only took turns


def of_gil(
    one: Starvation, workers: Sequence[WorkerRecord], done: Mapping[ThreadKey, Activities]
) -> Starvation:
    """The same, blamed on the threads that kept the GIL for most of it, where all who should have
    taken are of one process, and wanted it for most of it.
    """
    processes = {key._replace(tid=0) for key in one.held_by}
    if len(processes) != 1 or not all(map(_wants_gil, one.held_by.values())):
        return one
    worker = next(worker for worker in workers if worker.thread(0) in processes)
    span = one.start_ns, one.end_ns
    times = {
        key: spans
        for tid, spans in gil.held(worker, span).items()
        if (key := worker.thread(tid)) not in one.held_by
    }
    lengths = {key: length_ns(spans) for key, spans in times.items()}
    if sum(lengths.values()) < (span[1] - span[0]) * _HALF:
        return one
    least_ns = max(lengths.values()) * _LEAST_HELD
    guilty = {
        key: tuple(a for piece in times[key] for a in cut(done.get(key, NO_ACTIVITIES), *piece))
        for key in sorted(times)
        if lengths[key] >= least_ns
    }
    guilty = {key: spent for key, spent in guilty.items() if spent}
    if not guilty:
        return one
    return replace(
        one,
        held_by=guilty,
        evidence=(*one.evidence, gil.SEEN),
        detail=f"{one.detail}: wanted the GIL",
    )


def _wants_gil(mine: Sequence[Activity]) -> bool:
    wanted_ns = sum(a.end_ns - a.start_ns for a in mine if a.wait.kind is WaitKind.GIL)
    return wanted_ns * 2 >= sum(a.end_ns - a.start_ns for a in mine) > 0
