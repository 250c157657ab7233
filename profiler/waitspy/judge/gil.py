"""Who held the GIL, and when garbage was collected, as our own sampler saw at each tick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from waitspy.judge.spans import Span, common, length_ns, union
from waitspy.model.columns import UNKNOWN, Int64s
from waitspy.model.gil import MAIN, GilStates
from waitspy.model.recorded import WorkerRecord


def held(worker: WorkerRecord, span: Span) -> dict[int, list[Span]]:
    """The threads that were seen to hold the main interpreter's GIL in a span, and when."""
    found: dict[int, list[Span]] = {}
    for states, ends in _told(worker, MAIN):
        first = max(0, states.index_at(span[0]))
        for n in range(first, int(np.searchsorted(states.at_ns, span[1]))):
            start_ns, end_ns = max(int(states.at_ns[n]), span[0]), min(int(ends[n]), span[1])
            if start_ns < end_ns and states.holder_tid[n] != UNKNOWN:
                found.setdefault(int(states.holder_tid[n]), []).append((start_ns, end_ns))
    return found


def collecting_ns(worker: WorkerRecord, interpreter: int, span: Span) -> int:
    """For how long of a span an interpreter was seen to collect garbage."""
    seen: list[Span] = []
    last_ns = 0
    for states, ends in _told(worker, interpreter):
        rows = np.flatnonzero(states.collects)
        seen += zip(states.at_ns[rows].tolist(), ends[rows].tolist(), strict=True)
        last_ns = int(ends[-1])
    collections = union(seen)
    goes_on = bool(collections) and collections[-1][1] == last_ns
    return believed_ns(collections, span, goes_on=goes_on)


def believed_ns(collections: Sequence[Span], span: Span, *, goes_on: bool) -> int:
    """How much of a span collections took; ``goes_on`` says that the last of them has no end.

    What always says so says nothing: a collection without an end counts only after another one.
    """
    if goes_on and len(collections) == 1:
        return 0
    return length_ns(common(collections, [span]))


def _told(worker: WorkerRecord, interpreter: int) -> Iterator[tuple[GilStates, Int64s]]:
    """What each segment says of an interpreter, and until when each row of that holds."""
    for segment in worker.segments:
        states = segment.gil.of_interpreter(interpreter)
        if len(states):
            yield states, np.append(states.at_ns[1:], segment.end_ns)
