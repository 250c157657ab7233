"""Who held the GIL, and when garbage was collected, as our own sampler saw at each tick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from waitspy.judge.spans import Span, common, length_ns, union
from waitspy.model.columns import UNKNOWN, Int64s, int64s
from waitspy.model.gil import MAIN, GilStates
from waitspy.model.recorded import WorkerRecord

SEEN = "gil"
"""The evidence of a finding that goes by this."""


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
    told = list(_told(worker, interpreter))
    seen: list[Span] = []
    for states, ends in told:
        rows = np.flatnonzero(states.collects)
        seen += zip(states.at_ns[rows].tolist(), ends[rows].tolist(), strict=True)
    # across all segments: the end of one is no end of a collection
    collects = np.concatenate([int64s(()), *(states.collects for states, _ in told)])
    return believed_ns(union(seen), span, ended=bool((np.diff(collects) < 0).any()))


def believed_ns(collections: Sequence[Span], span: Span, *, ended: bool) -> int:
    """How much of a span collections took; ``ended`` says that one of them was seen to be over.

    What always says so says nothing: a collection without an end counts only after another one.
    """
    return length_ns(common(collections, [span])) if ended else 0


def _told(worker: WorkerRecord, interpreter: int) -> Iterator[tuple[GilStates, Int64s]]:
    """What each segment says of an interpreter, and until when each row of that holds."""
    for segment in worker.segments:
        states = segment.gil.of_interpreter(interpreter)
        if len(states):
            yield states, np.append(states.at_ns[1:], segment.end_ns)
