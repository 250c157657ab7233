"""The stacks of a thread end with its life: settled on loading, so that no judge can forget it.

py-spy shows the last stack of a thread that has ended until its trace ends, or until another thread
gets its pthread id. The kernel's rows tell when a thread ended. One that lived between two looks is
in no row: it is known to have lived until its stack changed for the last time, and one sample more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from waitspy.model.columns import Int64s
from waitspy.model.threads import FOREVER_NS, Intervals, KernelStates, SampledThread, Segment

_MAIN = "MainThread"
_GONE = ord("X")


def bounded(segments: Sequence[Segment], states: Mapping[int, KernelStates]) -> tuple[Segment, ...]:
    """The segments, in which each thread shows stacks while it lived only.

    Where no thread is in a row, the rows or the names are missing: that says nothing of lives. A
    process's main thread lives as long as itself; one without rows goes by another's name.
    """
    if not any(thread.tid in states for segment in segments for thread in segment.threads):
        return tuple(segments)
    until_ns: dict[int, int] = {}
    for segment in segments:
        for thread in segment.threads:
            if thread.tid not in states and thread.name != _MAIN and len(thread.intervals):
                seen_ns = int(thread.intervals.start_ns[-1]) + segment.period_ns
                until_ns[thread.tid] = max(seen_ns, until_ns.get(thread.tid, 0))
    dead = {tid: _dead(own) for tid, own in states.items()}
    dead |= {tid: [(end_ns, FOREVER_NS)] for tid, end_ns in until_ns.items()}
    return tuple(
        replace(segment, threads=tuple(_alive(t, dead.get(t.tid, ())) for t in segment.threads))
        for segment in segments
    )


def _dead(states: KernelStates) -> list[tuple[int, int]]:
    """When no thread had that id; another one may get it."""
    rows = np.flatnonzero(states.state == _GONE)
    ends = np.append(states.at_ns[1:], FOREVER_NS)[rows]
    return [*zip(states.at_ns[rows].tolist(), ends.tolist(), strict=True)]


def _alive(thread: SampledThread, dead: Sequence[tuple[int, int]]) -> SampledThread:
    shown = thread.intervals
    columns = shown.start_ns, shown.end_ns, shown.stack
    for start_ns, end_ns in dead:
        columns = _without(columns, start_ns, end_ns)
    if columns[0] is shown.start_ns:
        return thread
    return replace(thread, intervals=Intervals(*columns, shown.table))


_Columns = tuple[Int64s, Int64s, Int64s]


def _without(columns: _Columns, start_ns: int, end_ns: int) -> _Columns:
    """Starts, ends and stacks of what lies outside of that span; the same if all does."""
    starts, ends, stacks = columns
    within = (starts < end_ns) & (ends > start_ns)
    if not within.any():
        return columns
    before, after = within & (starts < start_ns), within & (ends > end_ns)
    at = np.concatenate([starts[~within], starts[before], np.full(after.sum(), end_ns)])
    until = np.concatenate([ends[~within], np.full(before.sum(), start_ns), ends[after]])
    stack = np.concatenate([stacks[~within], stacks[before], stacks[after]])
    order = np.argsort(at, kind="stable")
    return at[order], until[order], stack[order]
