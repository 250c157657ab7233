"""Processes that keep objects for others: no workers, although their command lines do not tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from waitspy.model.activities import Activities
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Frame

_KEEPER = "/multiprocessing/managers.py", "serve_forever"


def told(worker: WorkerRecord, main: Activities | None) -> WorkerRecord:
    """The worker as a helper if its main thread, whose activities these are, serves a
    ``multiprocessing.Manager``: it keeps objects for the others, and answers nobody else.
    """
    if worker.worker.role != "worker" or main is None:
        return worker
    if not main.stacks.having(_keeps)[main.stack].any():
        return worker
    return replace(worker, worker=replace(worker.worker, role="helper"))


def keeps_objects(stack: Iterable[Frame]) -> bool:
    """Whether one of these frames serves the objects of a ``multiprocessing.Manager``."""
    return any(map(_keeps, stack))


def _keeps(frame: Frame) -> bool:
    return frame.is_one_of(*_KEEPER)
