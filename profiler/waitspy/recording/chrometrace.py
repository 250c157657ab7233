"""Parses one py-spy chrometrace file into the stacks of each thread on the common clock.

py-spy 0.4 writes a JSON array of B and E events whose ``ts`` are microseconds since its own start;
it writes them only when a stack changes. The root frame of a thread is named
``thread (OS_TID): NAME`` and tells threads apart when their pthread id (``tid``) is recycled;
OS_TID is what the process itself sees, in its own pid namespace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from waitspy.model.clock import NS
from waitspy.model.columns import int64s
from waitspy.model.stacks import StackTable
from waitspy.model.threads import Intervals, SampledThread, Segment
from waitspy.recording import trace_events
from waitspy.recording.trace_events import TracedFrames, TraceEvents

_LATEST_US = 1 << 50  # 35 years
_NOTED_WITHIN_NS = 50_000_000
_ROOT = re.compile(r"thread \((?:0x([0-9A-Fa-f]+)|(\d+))\)(?:: (.*))?\Z", re.DOTALL)

NativeIds = Sequence[tuple[int, int, int]]
"""(from when on, the trace's thread id, OS thread id as seen from here), in time order."""


class _Rows:
    """What a thread has shown, in time order: start, end (microseconds) and stack."""

    __slots__ = ("ends_us", "stacks", "starts_us")

    def __init__(self) -> None:
        self.starts_us: list[int] = []
        self.ends_us: list[int] = []
        self.stacks: list[int] = []

    def add(self, start_us: int, end_us: int, stack: int) -> None:
        """One more, which goes on with the last one where that touches it and is the same."""
        if self.stacks and self.stacks[-1] == stack and self.ends_us[-1] == start_us:
            self.ends_us[-1] = end_us
            return
        self.starts_us.append(start_us)
        self.ends_us.append(end_us)
        self.stacks.append(stack)

    def intervals(self, table: StackTable, zero_ns: int, stop_ns: int) -> Intervals:
        """The columns of what began before that time; none goes on after it."""
        kept = int64s(self.starts_us) * 1000 < stop_ns - zero_ns
        start_ns, end_ns = (
            zero_ns + int64s(us)[kept] * 1000 for us in (self.starts_us, self.ends_us)
        )
        return Intervals(start_ns, end_ns.clip(max=stop_ns), int64s(self.stacks)[kept], table)


class _OpenThread:
    """What is open on one pthread id while events are replayed, and what was."""

    __slots__ = ("done", "root", "since_us", "stack")

    def __init__(self) -> None:
        self.root: tuple[int, str] | None = None
        self.stack = 0
        self.since_us = 0
        self.done = _Rows()

    def close(self, at_us: int) -> None:
        """What was shown until then is over."""
        since_us = self.since_us
        if at_us < since_us:
            raise ValueError("not a py-spy trace: its times go back")
        if self.stack and self.root is not None and at_us > since_us:
            self.done.add(since_us, at_us, self.stack)
        self.since_us = at_us


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
    shown = _replay(events, table, zero_ns, native_ids, last_us)
    threads = tuple(
        SampledThread(tid, name, shown[tid, name].intervals(table, zero_ns, stop_ns))
        for tid, name in sorted(shown)
        if shown[tid, name].stacks
    )
    return Segment(start_ns, stop_ns, period_ns, threads, events.torn)


def _replay(
    events: TraceEvents,
    table: StackTable,
    zero_ns: int,
    native_ids: NativeIds,
    last_us: int,
) -> dict[tuple[int, str], _Rows]:
    """What each thread has shown, by OS thread id and name."""
    numbers = [-1] * len(events.frames)  # in the table, of those that were a frame so far
    done: dict[tuple[int, str], _Rows] = {}
    open_threads: dict[int, _OpenThread] = {}
    above, below, push = table.above, table.below, table.push
    first = 0
    for tid, at_us, end in zip(events.tids, events.times_us, events.ends, strict=True):
        thread = open_threads.get(tid)
        if thread is None:
            thread = open_threads[tid] = _OpenThread()
        if at_us != thread.since_us:
            thread.close(at_us)
        stack = thread.stack
        for n in events.what[first:end]:
            if n < 0:
                if stack:
                    stack = below[stack]
                else:
                    thread.root = None
                continue
            if thread.root is None and (root := _ROOT.match(events.frames[n].name)):
                told = int(root[2]) if root[2] else int(root[1], 16)
                found = _native(told, zero_ns + at_us * 1000, native_ids)
                thread.root = found, root[3] or ""
                thread.done = done.setdefault(thread.root, _Rows())
                continue
            frame = numbers[n]
            if frame < 0:
                name, file, line = events.frames[n]
                frame = numbers[n] = table.frame(name, file or "", line or None)
            # As table.push, without a call for what was pushed before.
            stack = above.get(stack << 32 | frame) or push(stack, frame)
        thread.stack = stack
        first = end
    for thread in open_threads.values():  # only in a truncated trace
        thread.close(last_us)
    return done


def _native(told: int, at_ns: int, native_ids: NativeIds) -> int:
    """The OS thread meant by an id then; a thread is noted a little after it starts."""
    known = [(since_ns, tid) for since_ns, id_, tid in native_ids if id_ == told]
    before = [tid for since_ns, tid in known if since_ns <= at_ns + _NOTED_WITHIN_NS]
    return before[-1] if before else known[0][1] if known else told
