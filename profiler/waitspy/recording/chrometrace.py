"""Parses one py-spy chrometrace file into the stacks of each thread on the common clock.

py-spy 0.4 writes a JSON array of B and E events whose ``ts`` are microseconds since its own start;
it writes them only when a stack changes. The root frame of a thread is named
``thread (OS_TID): NAME`` and tells threads apart when their pthread id (``tid``) is recycled;
OS_TID is what the process itself sees, in its own pid namespace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from waitspy.model.stacks import Frame, Stack
from waitspy.model.threads import Interval, SampledThread, Segment

_LATEST_US = 1 << 50  # 35 years
_NOTED_WITHIN_NS = 50_000_000
_ROOT = re.compile(r"thread \((?:0x([0-9A-Fa-f]+)|(\d+))\)(?:: (.*))?\Z", re.DOTALL)


class _OpenThread:
    """The stack that is open on one pthread id while events are replayed."""

    def __init__(self) -> None:
        self.root: tuple[int, str] | None = None
        self.frames: list[Frame] = []
        self.since_ns = 0


NativeIds = Sequence[tuple[int, int, int]]
"""(from when on, the trace's thread id, OS thread id as seen from here), in time order."""


def parse(
    text: str,
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
        ValueError: the text is not a py-spy trace.
    """
    events = _events(text)
    intern: dict[tuple[str, str, int | None], Frame] = {}
    open_threads: dict[int, _OpenThread] = {}
    done: dict[tuple[int, str], list[Interval]] = {}
    first_ns: int | None = None
    last_ns = zero_ns
    for event in events:
        at_us = int(event["ts"])
        if not 0 <= at_us < _LATEST_US:
            raise ValueError("not a py-spy trace: a time is out of range")
        at_ns = zero_ns + at_us * 1000
        first_ns = at_ns if first_ns is None else first_ns
        last_ns = max(last_ns, at_ns)
        thread = open_threads.setdefault(int(event["tid"]), _OpenThread())
        _close_interval(thread, at_ns, done)
        _apply(thread, event, intern, native_ids, at_ns)
    for thread in open_threads.values():  # only in a truncated trace
        _close_interval(thread, last_ns, done)
    start_ns = zero_ns if first_ns is None else first_ns
    stop_ns = last_ns if end_ns is None else max(start_ns, min(last_ns, end_ns))
    threads = tuple(
        SampledThread(tid, name, _clip(intervals, stop_ns))
        for (tid, name), intervals in sorted(done.items())
    )
    return Segment(start_ns, stop_ns, period_ns, threads)


def _events(text: str) -> list[dict[str, Any]]:
    try:
        events = json.loads(text)
    except json.JSONDecodeError as error:
        events = _salvage(text, error.pos)
    if not isinstance(events, list):
        raise ValueError("not a py-spy trace: no list of events")  # noqa: TRY004
    for event in events:
        if not isinstance(event, dict) or not {"ts", "tid", "ph", "name"} <= event.keys():
            raise ValueError("not a py-spy trace: an event lacks its keys")
    return events


def _salvage(text: str, bad: int) -> Any:
    """The events before the place where the text stops being JSON."""
    cut = text.rfind("},{", 0, bad) if text.startswith("[") else -1
    while cut >= 0:
        try:
            return json.loads(text[: cut + 1] + "]")
        except json.JSONDecodeError as error:
            cut = text.rfind("},{", 0, min(cut, error.pos))
    raise ValueError("not a py-spy trace")


def _apply(
    thread: _OpenThread,
    event: dict[str, Any],
    intern: dict[tuple[str, str, int | None], Frame],
    native_ids: NativeIds,
    at_ns: int,
) -> None:
    name = _clean(str(event["name"]))
    if event["ph"] == "E":
        if thread.frames:
            thread.frames.pop()
        else:
            thread.root = None
        return
    root = _ROOT.match(name) if thread.root is None else None
    if root:
        told = int(root[2]) if root[2] else int(root[1], 16)
        thread.root = _native(told, at_ns, native_ids), root[3] or ""
        return
    args = event.get("args") or {}
    key = name, _clean(str(args.get("filename") or "")), args.get("line") or None
    frame = intern.get(key)
    if frame is None:
        frame = intern[key] = Frame(*key)
    thread.frames.append(frame)


def _native(told: int, at_ns: int, native_ids: NativeIds) -> int:
    """The OS thread meant by an id then; a thread is noted a little after it starts."""
    known = [(since_ns, tid) for since_ns, id_, tid in native_ids if id_ == told]
    before = [tid for since_ns, tid in known if since_ns <= at_ns + _NOTED_WITHIN_NS]
    return before[-1] if before else known[0][1] if known else told


def _close_interval(
    thread: _OpenThread, at_ns: int, done: dict[tuple[int, str], list[Interval]]
) -> None:
    if thread.root is not None and thread.frames and at_ns > thread.since_ns:
        stack: Stack = tuple(thread.frames)
        intervals = done.setdefault(thread.root, [])
        if intervals and intervals[-1].end_ns == thread.since_ns and intervals[-1].stack == stack:
            intervals[-1] = Interval(intervals[-1].start_ns, at_ns, stack)
        else:
            intervals.append(Interval(thread.since_ns, at_ns, stack))
    thread.since_ns = at_ns


def _clip(intervals: list[Interval], stop_ns: int) -> tuple[Interval, ...]:
    return tuple(
        i if i.end_ns <= stop_ns else Interval(i.start_ns, stop_ns, i.stack)
        for i in intervals
        if i.start_ns < stop_ns
    )


def _clean(text: str) -> str:
    """Valid Unicode: lone surrogates (JSON escapes can hold them) become U+FFFD."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
