"""Every thread of a worker on one clock: segments joined, ends closed, stacks settled.

Settling uses the strongest fact that the kernel gives: a thread that did not run kept its stack.
So one sample (or dump) inside a span in which the thread stood still names the stack of the whole
span, at any sampling rate; and a stack left over from before such a span is no evidence for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from waitspy.judge import spans
from waitspy.judge.spans import Span
from waitspy.model.columns import Int64s, int64s
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import StackTable
from waitspy.model.threads import (
    NO_STATES,
    Dump,
    Intervals,
    KernelState,
    KernelStates,
    SampledThread,
    Segment,
    ThreadRecord,
)

_SETTLE_NS = 30_000_000  # shorter standstills are within the error of alignment


def build(worker: WorkerRecord, table: StackTable, end_ns: int) -> tuple[ThreadRecord, ...]:
    """The worker's Python threads, by tid, each with stacks that do not overlap."""
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    names: dict[int, str] = {}
    shown: dict[int, list[_Shown]] = {}
    for thread, piece in _clipped(worker.segments, stop_ns):
        names[thread.tid] = thread.name
        shown.setdefault(thread.tid, []).append(piece)
    dumps: dict[int, list[Dump]] = {}
    for dump in worker.dumps:
        for tid in dump.stacks:
            dumps.setdefault(tid, []).append(dump)
    found = []
    for tid in sorted(shown.keys() | dumps.keys()):
        states = worker.states.get(tid, NO_STATES)
        sampled = _Shown.joined(shown.get(tid, []))
        settled = _settle(sampled, states, dumps.get(tid, []), tid, stop_ns)
        name = names.get(tid, "")
        found.append(ThreadRecord(worker.worker.pid, tid, name, Intervals(*settled, table), states))
    return tuple(found)


def still_spans(states: KernelStates, end_ns: int) -> tuple[Int64s, Int64s]:
    """Starts and ends of the spans in which the thread was blocked in one call and did not run."""
    starts, ends = states.still
    known = int(np.searchsorted(starts, end_ns))
    return starts[:known], np.minimum(ends[:known], end_ns)


def longest_still_ns(states: KernelStates, span: Span) -> int:
    """The longest part of a span in which the thread stood still in one system call."""
    starts, ends = states.still
    here = slice(np.searchsorted(ends, span[0], "right"), np.searchsorted(starts, span[1]))
    lengths = np.minimum(ends[here], span[1]) - np.maximum(starts[here], span[0])
    return int(lengths.max(initial=0))


def state_at(states: KernelStates, at_ns: int) -> KernelState | None:
    """The state in force at that time; None before the first one."""
    n = states.index_at(at_ns)
    return states[n] if n >= 0 else None


# --- segments --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a thread was sampled with: spans, stacks, one sample per ``period_ns``, each of which
    was read at some moment of the ``takes_ns`` before its time, or of the ``late_ns`` after it.
    """

    start_ns: Int64s
    end_ns: Int64s
    stack: Int64s
    period_ns: Int64s
    takes_ns: Int64s
    late_ns: Int64s

    @staticmethod
    def joined(parts: Sequence[_Shown]) -> _Shown:
        columns = _Shown.__dataclass_fields__
        if not parts:
            return _Shown(*(int64s(()) for _ in columns))
        return _Shown(*(np.concatenate([getattr(p, name) for p in parts]) for name in columns))

    def until(self, stop_ns: int) -> _Shown:
        ends = np.minimum(self.end_ns, stop_ns)
        kept = self.start_ns < ends
        return _Shown(
            self.start_ns[kept],
            ends[kept],
            self.stack[kept],
            self.period_ns[kept],
            self.takes_ns[kept],
            self.late_ns[kept],
        )


def _clipped(segments: Sequence[Segment], stop_ns: int) -> Iterator[tuple[SampledThread, _Shown]]:
    """What each thread showed in each segment, until the next segment takes over."""
    known = sorted((s for s in segments if s.threads), key=lambda s: s.start_ns)
    ends_ns = _taken_over_ns(known, stop_ns)
    for segment, until_ns in zip(known, ends_ns, strict=True):
        # A renamed thread is there once for each name.
        seen = (t for t in segment.threads if len(t.intervals))
        for thread in sorted(seen, key=lambda t: int(t.intervals.start_ns[0])):
            intervals = thread.intervals
            times = segment.period_ns, segment.takes_ns, segment.late_ns
            shown = _Shown(
                intervals.start_ns,
                intervals.end_ns,
                intervals.stack,
                *(np.full(len(intervals), ns, np.int64) for ns in times),
            )
            yield thread, shown.until(min(until_ns, segment.end_ns))


def _taken_over_ns(known: Sequence[Segment], stop_ns: int) -> list[int]:
    """When the next segment takes over from each: of those with a single thread, its next one, as
    Node's threads answer each in its own time.
    """
    found = [stop_ns] * len(known)
    next_ns = stop_ns
    of_thread: dict[int, int] = {}
    for n in range(len(known) - 1, -1, -1):
        threads = known[n].threads
        if len({thread.tid for thread in threads}) == 1:
            found[n] = min(next_ns, of_thread.get(threads[0].tid, stop_ns))
            of_thread[threads[0].tid] = known[n].start_ns
        else:
            found[n] = min([next_ns, *of_thread.values()])
            next_ns = known[n].start_ns
    return found


def without_stacks(
    worker: WorkerRecord,
    known: Sequence[ThreadRecord],
    tids: Iterable[int],
    table: StackTable,
    end_ns: int,
) -> Iterator[ThreadRecord]:
    """Those of these threads of which no stack is known: the kernel tells what they wait in."""
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    for tid in sorted({*tids} - {record.tid for record in known}):
        states = worker.states.get(tid)
        if states is not None and len(states):
            first_ns = int(states.at_ns[0])
            columns = (int64s([first_ns]), int64s([max(first_ns, stop_ns)]), int64s([0]))
            yield ThreadRecord(worker.worker.pid, tid, "", Intervals(*columns, table), states)


# --- settling --------------------------------------------------------------------------------


def _settle(
    shown: _Shown, states: KernelStates, dumps: Sequence[Dump], tid: int, stop_ns: int
) -> tuple[Int64s, Int64s, Int64s]:
    """Starts, ends and stacks: of still spans what is proven, of other times what was sampled."""
    starts, ends = states.still
    ends = np.minimum(ends, stop_ns)
    long = ends - starts >= _SETTLE_NS
    starts, ends = starts[long], ends[long]
    edges = np.concatenate([starts, ends])
    from_ns, to_ns, owner = spans.pieces(shown.start_ns, shown.end_ns, edges)
    within = np.searchsorted(starts, from_ns, "right") - 1
    outside = (within < 0) | (from_ns >= ends[within]) if len(ends) else np.full(len(owner), True)
    outside &= shown.takes_ns[owner] <= _SETTLE_NS  # what took longer shows no moment
    proven = _proven(shown, starts, ends)
    for dump in reversed(dumps):  # the first one that lies within a span counts
        n = int(np.searchsorted(starts, dump.at_ns, "right")) - 1
        if n >= 0 and dump.until_ns <= ends[n]:
            proven[n] = dump.stacks[tid]
    told = proven >= 0
    all_starts = np.concatenate([from_ns[outside], starts[told]])
    all_ends = np.concatenate([to_ns[outside], ends[told]])
    all_stacks = np.concatenate([shown.stack[owner[outside]], proven[told]])
    order = np.argsort(all_starts, kind="stable")
    return _join(all_starts[order], all_ends[order], all_stacks[order])


def _proven(shown: _Shown, starts: Int64s, ends: Int64s) -> Int64s:
    """The stack of each still span, where a sample inside it shows one; else -1.

    Of several, the one that was shown for the longest time, of equals the first.
    """
    proven = np.full(len(starts), -1, np.int64)
    if not len(starts) or not len(shown.start_ns):
        return proven
    first = np.maximum(0, np.searchsorted(shown.start_ns, starts, "right") - 1)
    last = np.searchsorted(shown.start_ns, ends, "left")
    span, item = spans.pairs(starts, first, last)
    overlap_ns = np.minimum(shown.end_ns[item], ends[span]) - np.maximum(
        shown.start_ns[item], starts[span]
    )
    takes_ns, late_ns = shown.takes_ns[item], shown.late_ns[item]
    begun = shown.start_ns[item] - takes_ns >= starts[span]
    begun &= shown.start_ns[item] + late_ns <= ends[span]
    sampled = begun | (overlap_ns >= shown.period_ns[item] + takes_ns + late_ns)
    kept = (overlap_ns > 0) & sampled
    span, stack, overlap_ns = span[kept], shown.stack[item[kept]], overlap_ns[kept]
    if not len(span):
        return proven
    key = span * (int(stack.max()) + 1) + stack
    keys, at, back = np.unique(key, return_index=True, return_inverse=True)
    length_ns = np.zeros(len(keys), np.int64)
    np.add.at(length_ns, back, overlap_ns)
    best = np.lexsort((-at, length_ns, span[at]))  # the last row of a span is its best
    proven[span[at[best]]] = stack[at[best]]
    return proven


def _join(start_ns: Int64s, end_ns: Int64s, stack: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Intervals that touch and show the same stack become one."""
    at = spans.runs(end_ns, start_ns, stack)
    last = np.append(at[1:], len(start_ns)) - 1 if len(at) else at
    return start_ns[at], end_ns[last], stack[at]
