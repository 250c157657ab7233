"""Parses one py-spy chrometrace file into the stacks of each thread on the common clock.

py-spy 0.4 writes a JSON array of B and E events whose ``ts`` are microseconds since its own start;
it writes them only when a stack changes. The root frame of a thread is named
``thread (OS_TID): NAME`` and tells threads apart when their pthread id (``tid``) is recycled;
OS_TID is what the process itself sees, in its own pid namespace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from waitspy.model.clock import NS
from waitspy.model.columns import int64s
from waitspy.model.stacks import Line, StackTable
from waitspy.model.threads import Intervals, SampledThread, Segment

_LATEST_US = 1 << 50  # 35 years
_NOTED_WITHIN_NS = 50_000_000
_ROOT = re.compile(r"thread \((?:0x([0-9A-Fa-f]+)|(\d+))\)(?:: (.*))?\Z", re.DOTALL)

NativeIds = Sequence[tuple[int, int, int]]
"""(from when on, the trace's thread id, OS thread id as seen from here), in time order."""


class _Place(msgspec.Struct, gc=False):
    filename: str | None = None
    line: Line | None = None


class _TraceEvent(msgspec.Struct, gc=False):
    """One event as py-spy writes it, without what is not needed."""

    name: str
    ph: str
    tid: int
    ts: int
    args: _Place | None = None


_events_of = msgspec.json.Decoder(list[_TraceEvent])


class _OpenThread:
    """What is open on one pthread id while events are replayed, and what was."""

    __slots__ = ("done", "root", "since_us", "stack")

    def __init__(self, root: tuple[int, str] | None, done: list[list[int]]) -> None:
        self.root = root
        self.stack = 0
        self.since_us = 0
        self.done = done


def parse(
    raw: bytes,
    table: StackTable,
    zero_ns: int,
    period_ns: int,
    end_ns: int | None = None,
    native_ids: NativeIds = (),
) -> Segment:
    """Segment of a trace whose time zero is ``zero_ns``; a truncated trace gives what it holds.

    ``end_ns``, where known, is when the sampler ended: nothing is said of later times. Traces of
    CPython before 3.11 name threads by pthread id, those of another pid namespace by the ids there;
    what ``native_ids`` does not know keeps its id, as a number that is no thread's.

    Raises:
        ValueError: the bytes are not a py-spy trace.
    """
    events, torn = _events(raw)
    times = [event.ts for event in events]
    last_us = max(times, default=0)
    if events and not 0 <= min(times) <= last_us < _LATEST_US:
        raise ValueError("not a py-spy trace: a time is out of range")
    start_ns = zero_ns + events[0].ts * 1000 if events else zero_ns
    stop_ns = zero_ns + last_us * 1000
    if end_ns is not None:
        if start_ns > end_ns + NS:
            raise ValueError("not a py-spy trace: its times are after its end")
        stop_ns = max(start_ns, min(stop_ns, end_ns))
    shown = _replay(events, table, zero_ns, native_ids, last_us)
    threads = tuple(
        SampledThread(tid, name, _intervals(rows, table, zero_ns, stop_ns))
        for (tid, name), rows in sorted(shown.items())
        if rows
    )
    return Segment(start_ns, stop_ns, period_ns, threads, torn)


def _events(raw: bytes) -> tuple[list[_TraceEvent], bool]:
    """The events, and whether the trace has lost its end."""
    try:
        return _events_of.decode(raw), False
    except (msgspec.MsgspecError, UnicodeDecodeError):
        events, torn = _salvaged(raw.decode("utf-8", "replace"))
        return [_event(one) for one in events], torn


def _salvaged(text: str) -> tuple[list[Any], bool]:
    """The events of a trace that is torn, or holds what is no Unicode."""
    torn = False
    try:
        events = json.loads(text)
    except json.JSONDecodeError as error:
        events, torn = _before(text, error.pos), True
    if not isinstance(events, list):
        raise ValueError("not a py-spy trace: no list of events")  # noqa: TRY004
    return events, torn


def _before(text: str, bad: int) -> Any:
    """The events before the place where the text stops being JSON."""
    cut = text.rfind("},{", 0, bad) if text.startswith("[") else -1
    while cut >= 0:
        try:
            return json.loads(text[: cut + 1] + "]")
        except json.JSONDecodeError as error:
            cut = text.rfind("},{", 0, min(cut, error.pos))
    raise ValueError("not a py-spy trace")


def _line(value: Any) -> int | None:
    try:
        return msgspec.convert(value, Line | None)
    except msgspec.ValidationError:
        return None


def _event(event: Any) -> _TraceEvent:
    if not isinstance(event, Mapping) or not {"ts", "tid", "ph", "name"} <= event.keys():
        raise ValueError("not a py-spy trace: an event lacks its keys")
    args = event.get("args") or {}
    place = _Place(_clean(str(args.get("filename") or "")), _line(args.get("line")))
    name, phase = _clean(str(event["name"])), str(event["ph"])
    return _TraceEvent(name, phase, int(event["tid"]), int(event["ts"]), place)


def _replay(
    events: list[_TraceEvent],
    table: StackTable,
    zero_ns: int,
    native_ids: NativeIds,
    last_us: int,
) -> dict[tuple[int, str], list[list[int]]]:
    """Rows of start, end (microseconds) and stack, by OS thread id and name."""
    frames: dict[tuple[str, str | None, int | None], int] = {}
    done: dict[tuple[int, str], list[list[int]]] = {}
    open_threads: dict[int, _OpenThread] = {}
    thread = _OpenThread(None, [])
    tid = -1
    above, below, push = table.above, table.below, table.push
    for event in events:
        if event.tid != tid:
            tid = event.tid
            if tid not in open_threads:
                open_threads[tid] = _OpenThread(None, [])
            thread = open_threads[tid]
        if event.ts != thread.since_us:
            _close(thread, event.ts)
        if event.ph == "E":
            if thread.stack:
                thread.stack = below[thread.stack]
            else:
                thread.root = None
            continue
        if thread.root is None and (root := _ROOT.match(event.name)):
            told = int(root[2]) if root[2] else int(root[1], 16)
            found = _native(told, zero_ns + event.ts * 1000, native_ids)
            thread.root = found, root[3] or ""
            thread.done = done.setdefault(thread.root, [])
            continue
        place = event.args
        key = (event.name, place.filename, place.line) if place else (event.name, None, None)
        frame = frames.get(key)
        if frame is None:
            frame = frames[key] = table.frame(key[0], key[1] or "", key[2] or None)
        # As table.push, without a call for what was pushed before.
        thread.stack = above.get(thread.stack << 32 | frame) or push(thread.stack, frame)
    for thread in open_threads.values():  # only in a truncated trace
        _close(thread, last_us)
    return done


def _close(thread: _OpenThread, at_us: int) -> None:
    """What was shown until then is over."""
    if at_us < thread.since_us:
        raise ValueError("not a py-spy trace: its times go back")
    if thread.root is not None and thread.stack and at_us > thread.since_us:
        last = thread.done[-1] if thread.done else None
        if last and last[1] == thread.since_us and last[2] == thread.stack:
            last[1] = at_us
        else:
            thread.done.append([thread.since_us, at_us, thread.stack])
    thread.since_us = at_us


def _intervals(rows: list[list[int]], table: StackTable, zero_ns: int, stop_ns: int) -> Intervals:
    kept = [row for row in rows if zero_ns + row[0] * 1000 < stop_ns]
    starts, ends, stacks = zip(*kept, strict=True) if kept else ((), (), ())
    start_ns, end_ns = (zero_ns + int64s(column) * 1000 for column in (starts, ends))
    return Intervals(start_ns, end_ns.clip(max=stop_ns), int64s(stacks), table)


def _native(told: int, at_ns: int, native_ids: NativeIds) -> int:
    """The OS thread meant by an id then; a thread is noted a little after it starts."""
    known = [(since_ns, tid) for since_ns, id_, tid in native_ids if id_ == told]
    before = [tid for since_ns, tid in known if since_ns <= at_ns + _NOTED_WITHIN_NS]
    return before[-1] if before else known[0][1] if known else told


def _clean(text: str) -> str:
    """Valid Unicode: lone surrogates (JSON escapes can hold them) become U+FFFD."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
