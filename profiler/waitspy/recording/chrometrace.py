"""Parses one py-spy chrometrace file into the stacks of each thread on the common clock.

py-spy 0.4 writes a JSON array of B and E events whose ``ts`` are microseconds since its own start;
it writes them only when a stack changes. The root frame of a thread is named
``thread (OS_TID): NAME`` and tells threads apart when their pthread id (``tid``) is recycled;
OS_TID is what the process itself sees, in its own pid namespace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from waitspy.model.clock import NS
from waitspy.model.columns import Int64s, int64s
from waitspy.model.stacks import StackTable
from waitspy.model.threads import Intervals, SampledThread, Segment
from waitspy.recording import trace_events
from waitspy.recording.trace_events import TracedFrames, TraceEvents

_LATEST_US = 1 << 50  # 35 years
_NOTED_WITHIN_NS = 50_000_000
_ROOT = re.compile(r"thread \((?:0x([0-9A-Fa-f]+)|(\d+))\)(?:: (.*))?\Z", re.DOTALL)

NativeIds = Sequence[tuple[int, int, int]]
"""(from when on, the trace's thread id, OS thread id as seen from here), in time order."""


def parse(
    raw: bytes,
    table: StackTable,
    zero_ns: int,
    period_ns: int,
    end_ns: int | None = None,
    native_ids: NativeIds = (),
    known: TracedFrames | None = None,
) -> Segment:
    """Segment of a trace whose time zero is ``zero_ns``; a truncated trace gives what it holds.

    ``end_ns``, where known, is when the sampler ended: nothing is said of later times. Traces of
    CPython before 3.11 name threads by pthread id, those of another pid namespace by the ids there;
    what ``native_ids`` does not know keeps its id, as a number that is no thread's. ``known`` are
    the frames of the recording's traces that were parsed before.

    Raises:
        ValueError: the bytes are not a py-spy trace.
    """
    events = trace_events.read(raw, known or TracedFrames())
    times = events.times_us
    last_us = max(times, default=0)
    if times and not 0 <= min(times) <= last_us < _LATEST_US:
        raise ValueError("not a py-spy trace: a time is out of range")
    start_ns = zero_ns + times[0] * 1000 if times else zero_ns
    stop_ns = zero_ns + last_us * 1000
    if end_ns is not None:
        if start_ns > end_ns + NS:
            raise ValueError("not a py-spy trace: its times are after its end")
        stop_ns = max(start_ns, min(stop_ns, end_ns))
    spans = _spans(events, last_us)
    shown = _by_thread(_replay(events, table, zero_ns, native_ids), spans)
    threads = tuple(
        SampledThread(tid, name, _intervals(shown[tid, name], table, zero_ns, stop_ns))
        for tid, name in sorted(shown)
    )
    return Segment(start_ns, stop_ns, period_ns, threads, events.torn)


class _Replayed(NamedTuple):
    """After each change: which stack its thread shows, and which of the threads that is, or -1."""

    threads: list[tuple[int, str]]
    stack: list[int]
    thread: list[int]


def _replay(
    events: TraceEvents, table: StackTable, zero_ns: int, native_ids: NativeIds
) -> _Replayed:
    """What is open on each pthread id after each change; threads by OS thread id and name."""
    frames, numbers = events.known.frames, events.known.numbers
    above, below = table.above, table.below
    threads: dict[tuple[int, str], int] = {}
    open_ones: dict[int, tuple[int, int]] = {}
    stacks: list[int] = []
    shown_by: list[int] = []
    first = 0
    for tid, at_us, end in zip(events.tids, events.times_us, events.ends, strict=True):
        stack, thread = open_ones.get(tid, (0, -1))
        for n in events.what[first:end]:
            if n < 0:
                if stack:
                    stack = below[stack]
                else:
                    thread = -1
                continue
            if thread < 0 and (root := _ROOT.match(frames[n].name)):
                told = int(root[2]) if root[2] else int(root[1], 16)
                found = _native(told, zero_ns + at_us * 1000, native_ids)
                thread = threads.setdefault((found, root[3] or ""), len(threads))
                continue
            frame = numbers[n]
            if frame is None:
                name, file, line = frames[n]
                frame = numbers[n] = table.frame(name, file or "", line or None)
            # As table.push, without a call for what was pushed before.
            stack = above.get(stack << 32 | frame) or table.push(stack, frame)
        open_ones[tid] = stack, thread
        stacks.append(stack)
        shown_by.append(thread)
        first = end
    return _Replayed([*threads], stacks, shown_by)


_Rows = tuple[Int64s, Int64s, Int64s]
"""Start, end (microseconds) and stack; or, of a change, when it came, and by which one it went."""


def _spans(events: TraceEvents, last_us: int) -> _Rows:
    """From when to when what a change leaves is shown: until the next one on the same pthread id.

    The third column says which one that is; what is still open at the end goes after all others.
    """
    ids: dict[int, int] = {}
    on = int64s([ids.setdefault(tid, len(ids)) for tid in events.tids])
    start_us = int64s(events.times_us)
    end_us, ended = np.full_like(start_us, last_us), len(on) + on
    order = np.argsort(on, kind="stable")
    same = on[order[1:]] == on[order[:-1]]
    before, after = order[:-1][same], order[1:][same]
    end_us[before], ended[before] = start_us[after], after
    if np.any(end_us < start_us):
        raise ValueError("not a py-spy trace: its times go back")
    return start_us, end_us, ended


def _by_thread(replayed: _Replayed, spans: _Rows) -> dict[tuple[int, str], _Rows]:
    """What each thread has shown, in the order in which it ended."""
    start_us, end_us, ended = spans
    stack, thread = int64s(replayed.stack), int64s(replayed.thread)
    rows = np.flatnonzero((thread >= 0) & (stack > 0) & (end_us > start_us))
    rows = rows[np.lexsort((ended[rows], thread[rows]))]
    known, first = np.unique(thread[rows], return_index=True)
    ends = np.append(first[1:], len(rows)) if len(first) else first
    return {
        replayed.threads[n]: (start_us[mine], end_us[mine], stack[mine])
        for n, a, b in zip(known.tolist(), first.tolist(), ends.tolist(), strict=True)
        for mine in [rows[a:b]]
    }


def _intervals(rows: _Rows, table: StackTable, zero_ns: int, stop_ns: int) -> Intervals:
    """What began before that time; what goes on and stays the same is one, none ends after it."""
    start_us, end_us, stack = rows
    begins = np.append(True, (start_us[1:] != end_us[:-1]) | (stack[1:] != stack[:-1]))
    at = np.flatnonzero(begins)
    start_us, end_us, stack = start_us[at], end_us[np.append(at[1:], len(end_us)) - 1], stack[at]
    kept = start_us * 1000 < stop_ns - zero_ns
    start_ns, end_ns = (zero_ns + us[kept] * 1000 for us in (start_us, end_us))
    return Intervals(start_ns, end_ns.clip(max=stop_ns), stack[kept], table)


def _native(told: int, at_ns: int, native_ids: NativeIds) -> int:
    """The OS thread meant by an id then; a thread is noted a little after it starts."""
    known = [(since_ns, tid) for since_ns, id_, tid in native_ids if id_ == told]
    before = [tid for since_ns, tid in known if since_ns <= at_ns + _NOTED_WITHIN_NS]
    return before[-1] if before else known[0][1] if known else told
