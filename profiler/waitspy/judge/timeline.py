"""Every thread of a worker on one clock: segments joined, ends closed, stacks settled.

Settling uses the strongest fact that the kernel gives: a thread that did not run kept its stack.
So one sample (or dump) inside a span in which the thread stood still names the stack of the whole
span, at any sampling rate; and a stack left over from before such a span is no evidence for it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import Dump, Interval, KernelState, Segment, ThreadRecord

Span = tuple[int, int]

_SETTLE_NS = 30_000_000  # shorter standstills are within the error of alignment
_DUMP_TAKES_NS = 60_000_000  # a dump is asked for at its time and read this much later at most


def build(worker: WorkerRecord, end_ns: int) -> tuple[ThreadRecord, ...]:
    """The worker's Python threads, by tid, each with stacks that do not overlap."""
    stop_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    segments = sorted((s for s in worker.segments if s.threads), key=lambda s: s.start_ns)
    names: dict[int, str] = {}
    joined: dict[int, list[tuple[Interval, int]]] = {}
    for n, segment in enumerate(segments):
        until_ns = segments[n + 1].start_ns if n + 1 < len(segments) else stop_ns
        # A renamed thread is there once for each name.
        seen = (t for t in segment.threads if t.intervals)
        for thread in sorted(seen, key=lambda t: t.intervals[0].start_ns):
            names[thread.tid] = thread.name
            joined.setdefault(thread.tid, []).extend(
                (i, segment.period_ns) for i in _clip(thread.intervals, segment, until_ns)
            )
    tids = sorted(joined.keys() | {tid for dump in worker.dumps for tid in dump.stacks})
    return tuple(
        _thread(worker, tid, names.get(tid, ""), joined.get(tid, []), stop_ns) for tid in tids
    )


def still_spans(states: Sequence[KernelState], end_ns: int) -> list[Span]:
    """Spans in which the thread was blocked in one system call and did not run."""
    spans = []
    for n, state in enumerate(states):
        until_ns = min(end_ns, states[n + 1].at_ns if n + 1 < len(states) else end_ns)
        if state.syscall is not None and state.state not in "RXTt" and until_ns > state.at_ns:
            spans.append((state.at_ns, until_ns))
    return spans


def state_at(states: Sequence[KernelState], at_ns: int) -> KernelState | None:
    """The state in force at that time; None before the first one."""
    n = bisect_right(states, at_ns, key=lambda s: s.at_ns)
    return states[n - 1] if n else None


def _clip(intervals: Iterable[Interval], segment: Segment, until_ns: int) -> Iterable[Interval]:
    for interval in intervals:
        end_ns = min(interval.end_ns, until_ns, segment.end_ns)
        if interval.start_ns < end_ns:
            yield Interval(interval.start_ns, end_ns, interval.stack)


def _thread(
    worker: WorkerRecord, tid: int, name: str, found: list[tuple[Interval, int]], stop_ns: int
) -> ThreadRecord:
    states = worker.states.get(tid, ())
    if states and states[-1].gone:
        # py-spy shows an exited thread's last stack until the end of its trace.
        stop_ns = min(stop_ns, states[-1].at_ns)
    intervals = [
        (Interval(i.start_ns, min(i.end_ns, stop_ns), i.stack), period_ns)
        for i, period_ns in found
        if i.start_ns < stop_ns
    ]
    spans = still_spans(states, stop_ns)
    settled = _settle(intervals, spans, [d for d in worker.dumps if tid in d.stacks], tid)
    return ThreadRecord(worker.worker.pid, tid, name, tuple(_join(settled)), states)


def _settle(
    intervals: list[tuple[Interval, int]], spans: list[Span], dumps: list[Dump], tid: int
) -> list[Interval]:
    spans = [span for span in spans if span[1] - span[0] >= _SETTLE_NS]
    starts = [interval.start_ns for interval, _ in intervals]
    result: list[Interval] = []
    at_ns = intervals[0][0].start_ns if intervals else 0
    for start_ns, end_ns in spans:
        result.extend(_cut(intervals, starts, at_ns, start_ns))
        stack = _proven(intervals, starts, (start_ns, end_ns), dumps, tid)
        if stack is not None:
            result.append(Interval(start_ns, end_ns, stack))
        at_ns = max(at_ns, end_ns)
    result.extend(_cut(intervals, starts, at_ns, 1 << 63))
    return result


def _cut(
    intervals: list[tuple[Interval, int]], starts: list[int], from_ns: int, to_ns: int
) -> Iterable[Interval]:
    for interval in _overlapping(intervals, starts, from_ns, to_ns):
        start_ns, end_ns = max(interval.start_ns, from_ns), min(interval.end_ns, to_ns)
        if start_ns < end_ns:
            yield Interval(start_ns, end_ns, interval.stack)


def _overlapping(
    intervals: list[tuple[Interval, int]], starts: list[int], from_ns: int, to_ns: int
) -> Iterable[Interval]:
    first = max(0, bisect_right(starts, from_ns) - 1)
    return (interval for interval, _ in intervals[first : bisect_left(starts, to_ns)])


def _proven(
    intervals: list[tuple[Interval, int]],
    starts: list[int],
    span: Span,
    dumps: list[Dump],
    tid: int,
) -> Stack | None:
    """The one stack of a still span, where a sample or dump inside it shows it."""
    start_ns, end_ns = span
    for dump in dumps:
        if start_ns <= dump.at_ns and dump.at_ns + _DUMP_TAKES_NS <= end_ns:
            return dump.stacks[tid]
    shown: dict[Stack, int] = {}
    first = max(0, bisect_right(starts, start_ns) - 1)
    for interval, period_ns in intervals[first : bisect_left(starts, end_ns)]:
        overlap_ns = min(interval.end_ns, end_ns) - max(interval.start_ns, start_ns)
        sampled_inside = interval.start_ns >= start_ns or overlap_ns >= period_ns
        if overlap_ns > 0 and sampled_inside:
            shown[interval.stack] = shown.get(interval.stack, 0) + overlap_ns
    return max(shown, key=lambda stack: shown[stack]) if shown else None


def _join(intervals: Iterable[Interval]) -> list[Interval]:
    result: list[Interval] = []
    for interval in intervals:
        if result and result[-1].stack == interval.stack and result[-1].end_ns == interval.start_ns:
            result[-1] = Interval(result[-1].start_ns, interval.end_ns, interval.stack)
        else:
            result.append(interval)
    return result
