"""What the report page draws, packed: string tables and columns of numbers, as one gzip member.

The member holds one line of JSON (the header), spaces up to a multiple of eight bytes, and then the
columns, little-endian, of which the header gives kind, offset and length. Times are in units of
``unit_ns`` nanoseconds after the recording's start; lists of times hold differences.

A recording can have more activities than a page can hold or a screen can show. Short activities
that follow each other are then joined within spans of ``grain_ns``: what one thread did several
times within a span stands there once, with its whole time. So every sum over the recording, over
whole spans, and over a thread is exact; only the order within a span is lost.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.code_origin import Origin
from waitspy.model.judged import Analysis, Finding, PendingKind, PendingSeries
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_frames import wait_frame
from waitspy.model.waits import Wait, WaitKind
from waitspy.render import escape
from waitspy.render.profiles.flame_layers import layer
from waitspy.render.profiles.flame_looks import LEAST, LEGEND, MUCH, SOME, shade
from waitspy.render.reports.markdown import MarkdownRenderer

SCHEMA = "waitspy.page/1"
_MOST_ACTIVITIES = 400_000
_MOST_POINTS = 200_000
_FINEST_GRAIN_NS = 1_000_000
_LONGEST_NAME = 10_000  # characters
_LARGEST = 2**31 - 1

ThreadRole = Literal["loop", "pool", "other"]


def pack(analysis: Analysis, most_activities: int = _MOST_ACTIVITIES) -> bytes:
    """The page's data; equal analyses give equal bytes."""
    return gzip.compress(_Packing(analysis, most_activities).done(), compresslevel=6, mtime=0)


@dataclass(slots=True)
class _Table:
    """Numbers for values in the order of their first use."""

    numbers: dict[Any, int] = field(default_factory=dict)

    def number(self, value: Any) -> int:
        return self.numbers.setdefault(value, len(self.numbers))


class _Packing:
    """One pass over an analysis; every table numbers what it meets."""

    def __init__(self, analysis: Analysis, most_activities: int) -> None:
        self._analysis = analysis
        self._info = analysis.report.recording
        span_ns = max(1, self._info.end_ns - self._info.monotonic_start_ns)
        self._unit_ns = max(1000, -(-span_ns // (_LARGEST // 2)))
        self._strings = _Table()
        self._frames = _Table()
        self._nodes = _Table()
        self._whats = _Table()
        self._waits = _Table()
        # Equal stacks are mostly the same object, and hashing one costs more than all the rest.
        self._node_of: dict[int, int] = {}
        self._columns: dict[str, array[Any]] = {}
        self._threads = sorted(analysis.threads, key=lambda t: (t.pid, t.tid))
        self._most_activities = most_activities
        self._serving = {
            (one.pid, one.tid) for one in analysis.pending if one.kind in _KINDS_OF_LOOPS
        }

    def done(self) -> bytes:
        grain_ns = self._pack_threads()
        header: dict[str, Any] = {
            "schema": SCHEMA,
            "unit_ns": self._unit_ns,
            "thresholds": {"least": LEAST, "some": SOME, "much": MUCH},
            "looks": LEGEND,
            "grain_ns": grain_ns,
            "end": self._at(self._info.end_ns),
            "threads": [self._thread(thread) for thread in self._threads],
            "workers": [self._worker(one) for one in self._analysis.report.workers],
            "pending": self._pack_pending(),
            "findings": [self._finding(one) for one in self._analysis.report.findings],
            "waits": [self._wait(wait) for wait in self._waits.numbers],
            "markdown": self._markdown(),
        }
        self._pack_tables()
        header["strings"] = list(self._strings.numbers)
        return self._joined(header)

    # --- threads ---------------------------------------------------------------------------------

    def _pack_threads(self) -> int:
        """Fills the columns of activities; gives the grain that was needed, 0 for none."""
        count = sum(len(thread.activities) for thread in self._threads)
        rows: list[Sequence[Activity]] = [thread.activities for thread in self._threads]
        grain_ns = 0
        while count > self._most_activities:
            grain_ns = grain_ns * 2 or _FINEST_GRAIN_NS
            rows = [joined(thread.activities, grain_ns) for thread in self._threads]
            count = sum(map(len, rows))
            if grain_ns > self._info.end_ns - self._info.monotonic_start_ns:
                break
        counts, gaps, lengths, whats = (self._column(n, "i") for n in _ACTIVITY_COLUMNS)
        harm_at, harm_starved = self._column("harm_at", "i"), self._column("harm_starved", "i")
        harm_victims = self._column("harm_victims", "d")
        row = 0
        last_harm = 0
        for activities in rows:
            counts.append(len(activities))
            reached = 0
            for activity in activities:
                start, end = self._at(activity.start_ns), self._at(activity.end_ns)
                gaps.append(start - reached)
                lengths.append(end - start)
                whats.append(self._what(activity.stack, activity.wait))
                reached = end
                if activity.starved_ns:
                    harm_at.append(row - last_harm)
                    starved = round(activity.starved_ns / self._unit_ns)
                    harm_starved.append(min(_LARGEST, starved))  # more in a damaged recording
                    harm_victims.append(activity.victim_ns / self._unit_ns)
                    last_harm = row
                row += 1
        return grain_ns

    def _what(self, stack: Stack, wait: Wait) -> int:
        node = self._node_of.get(id(stack))
        if node is None:
            node = self._node_of[id(stack)] = self._node(stack)
        return self._whats.number((node, self._waits.number(wait)))

    def _node(self, stack: Iterable[Frame]) -> int:
        """The deepest node of a stack in the tree of all stacks; -1 is its root."""
        node = -1
        for frame in stack:
            node = self._nodes.number((node, self._frames.number(frame)))
        return node

    def _thread(self, thread: ThreadActivity) -> list[Any]:
        return [thread.pid, thread.tid, self._text(thread.name), self._role(thread)]

    def _role(self, thread: ThreadActivity) -> ThreadRole:
        if (thread.pid, thread.tid) in self._serving:
            return "loop"
        kinds = {activity.wait.kind for activity in thread.activities}
        if WaitKind.LOOP_POLL in kinds:
            return "loop"
        return "pool" if WaitKind.POOL_IDLE in kinds else "other"

    def _worker(self, record: WorkerRecord) -> list[Any]:
        worker = record.worker
        return [worker.pid, worker.role, self._text(worker.framework or worker.command)]

    # --- pending work ----------------------------------------------------------------------------

    def _pack_pending(self) -> list[list[Any]]:
        counts, times, values = (self._column(n, "i") for n in _PENDING_COLUMNS)
        series = sorted(self._analysis.pending, key=lambda s: (s.pid, s.tid or 0, s.name, s.kind))
        span_ns = self._info.end_ns - self._info.monotonic_start_ns
        grain_ns = 0
        while sum(len(each.points) for each in series) > _MOST_POINTS:
            grain_ns = max(grain_ns * 2, span_ns // 4000, 1)
            series = [thinned(one, grain_ns) for one in series]
            if grain_ns > span_ns:
                break
        for one in series:
            counts.append(len(one.points))
            reached = 0
            for at_ns, count in one.points:
                times.append(self._at(at_ns) - reached)
                values.append(min(count, _LARGEST))
                reached = self._at(at_ns)
        return [[one.pid, one.tid, self._text(one.name), one.kind] for one in series]

    # --- findings --------------------------------------------------------------------------------

    def _finding(self, finding: Finding) -> dict[str, Any]:
        blame = finding.blame
        return {
            "kind": finding.kind.name,
            "verdict": finding.verdict,
            "node": self._node(finding.stack),
            "blame": None
            if blame is None
            else [self._text(blame.function), self._text(blame.file or "")],
            "episodes": [
                [e.pid, e.tid, self._at(round(e.start_s * 1e9)), self._at(round(e.end_s * 1e9))]
                for e in finding.episodes
            ],
        }

    def _markdown(self) -> dict[str, Any]:
        """What the page's buttons copy: the whole report, and each finding."""
        renderer, report = MarkdownRenderer(), self._analysis.report
        whole = io.StringIO()
        renderer.render(self._analysis, whole)
        findings = [renderer.finding(report, n) for n in range(len(report.findings))]
        return {"report": whole.getvalue(), "findings": findings}

    # --- tables ----------------------------------------------------------------------------------

    def _pack_tables(self) -> None:
        node_parent, node_frame = self._column("node_parent", "i"), self._column("node_frame", "i")
        for node, (parent, frame) in enumerate(self._nodes.numbers):
            node_parent.append(0 if parent < 0 else node - parent)
            node_frame.append(frame)
        what_node, what_wait = self._column("what_node", "i"), self._column("what_wait", "i")
        for node, wait in self._whats.numbers:
            what_node.append(node)
            what_wait.append(wait)
        columns = [self._column(name, "i") for name in _FRAME_COLUMNS]
        for frame in self._frames.numbers:
            values = (
                self._text(frame.function),
                self._text(frame.file),
                -1 if frame.line is None else frame.line,
                _ORIGINS.index(frame.origin),
                self._text(layer(frame)),
                shade(frame.file),
            )
            for column, value in zip(columns, values, strict=True):
                column.append(value)

    def _wait(self, wait: Wait) -> list[Any]:
        syscall = "" if wait.syscall is None else wait.syscall
        return [wait.kind.value, self._text(wait_frame(wait).function), self._text(syscall)]

    def _text(self, text: str) -> int:
        return self._strings.number(escape.shorten(escape.terminal(text), _LONGEST_NAME))

    def _at(self, at_ns: int) -> int:
        units = (at_ns - self._info.monotonic_start_ns) // self._unit_ns
        return max(-_LARGEST // 2, min(units, _LARGEST // 2))

    def _column(self, name: str, kind: Literal["i", "d"]) -> array[Any]:
        return self._columns.setdefault(name, array(kind))

    def _joined(self, header: dict[str, Any]) -> bytes:
        # Doubles come first, so that every column is aligned to its own size.
        columns = sorted(self._columns.items(), key=lambda item: -item[1].itemsize)
        places = header["columns"] = {}
        offset = 0
        for name, column in columns:
            places[name] = [column.typecode, offset, len(column)]
            offset += len(column) * column.itemsize
        line = json.dumps(header, separators=(",", ":")).encode("ascii")
        head = line + b" " * (-(len(line) + 1) % 8) + b"\n"
        return head + b"".join(_little_endian(column) for _, column in columns)


_KINDS_OF_LOOPS: frozenset[PendingKind] = frozenset({"ready", "overdue", "unread"})
_ACTIVITY_COLUMNS = ("thread_rows", "gap", "length", "what")
_PENDING_COLUMNS = ("pending_rows", "pending_time", "pending_count")
_FRAME_COLUMNS = ("function", "file", "line", "origin", "layer", "shade")
_ORIGINS = list(Origin)


def joined(activities: Sequence[Activity], grain_ns: int) -> list[Activity]:
    """Runs of activities shorter than ``grain_ns`` in spans of at most that, equal ones as one.

    Every sum by stack, wait and whether it starved something stays the same. Runs end at gaps.
    """
    result: list[Activity] = []
    run: list[Activity] = []
    for activity in activities:
        short = activity.end_ns - activity.start_ns < grain_ns
        if run and not (
            short
            and activity.start_ns == run[-1].end_ns
            and activity.end_ns - run[0].start_ns <= grain_ns
        ):
            result.extend(_sorted_out(run))
            run = []
        if short:
            run.append(activity)
        else:
            result.append(activity)
    result.extend(_sorted_out(run))
    return result


def _sorted_out(run: list[Activity]) -> Iterator[Activity]:
    """The run with equal activities joined, one after the other from its start."""
    if len(run) < 2:
        yield from run
        return
    sums: dict[tuple[int, Wait, bool], list[int]] = {}
    first: dict[tuple[int, Wait, bool], Activity] = {}
    for activity in run:
        key = (id(activity.stack), activity.wait, activity.starved_ns > 0)
        first.setdefault(key, activity)
        total = sums.setdefault(key, [0, 0, 0])
        total[0] += activity.end_ns - activity.start_ns
        total[1] += activity.starved_ns
        total[2] += activity.victim_ns
    at_ns = run[0].start_ns
    for key, (length_ns, starved_ns, victim_ns) in sums.items():
        one = first[key]
        yield Activity(at_ns, at_ns + length_ns, one.stack, one.wait, starved_ns, victim_ns)
        at_ns += length_ns


def thinned(series: PendingSeries, grain_ns: int) -> PendingSeries:
    """At most two points a span: its largest count where that comes, and its last one."""
    points: list[tuple[int, int]] = []
    span: list[tuple[int, int]] = []
    for point in series.points:
        if span and point[0] // grain_ns != span[0][0] // grain_ns:
            points.extend(_peak_and_last(span))
            span = []
        span.append(point)
    points.extend(_peak_and_last(span))
    return PendingSeries(series.pid, series.tid, series.name, series.kind, tuple(points))


def _peak_and_last(span: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if not span:
        return []
    peak = max(span, key=lambda point: point[1])
    return [peak] if peak == span[-1] else [peak, span[-1]]


def _little_endian(column: array[Any]) -> bytes:
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()
