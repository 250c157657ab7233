"""Perfetto's own trace format: a track per thread, one for its episodes, counters of pending work.

The messages and their field numbers are those of
https://github.com/google/perfetto/blob/main/protos/perfetto/trace/trace_packet.proto and of the
files beside it; https://ui.perfetto.dev and ``trace_processor`` read it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import IO, ClassVar

from waitspy.model.activities import ThreadActivity
from waitspy.model.judged import PendingSeries, Profile, Weight
from waitspy.model.processes import Worker
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_frames import wait_kind
from waitspy.render import escape
from waitspy.render.profiles import tracks
from waitspy.render.profiles.protobuf import integer, message, text

_SEQUENCE = 1
_CLEARED, _NEEDS_STATE = 1, 2
_REALTIME, _MONOTONIC = 1, 3
_COUNT = 2
_ON_SEQUENCE = integer(10, _SEQUENCE) + integer(13, _NEEDS_STATE)


class _Event(IntEnum):
    """TrackEvent.Type."""

    BEGIN = 1
    END = 2
    COUNTER = 4


class _Interned(IntEnum):
    """The fields of message InternedData that are used."""

    CATEGORY = 1
    NAME = 2
    ANNOTATION = 3
    SOURCE = 4


class PerfettoRenderer:
    """Slices per frame on CLOCK_MONOTONIC, in nanoseconds; packets are written as they are made.

    A trace has time on its axis, so that the weight does not change it: episodes of starvation
    are slices of a track below the thread that should have served, with what is known of them as
    arguments. Frames say file and line as their source, waits have their kind as category.
    Controls and line breaks in names are written out; only a process's title is cut.
    """

    name: ClassVar[str] = "perfetto"
    extension: ClassVar[str] = "pftrace"
    binary: ClassVar[bool] = True
    weighed: ClassVar[bool] = False

    def __init__(self, weight: Weight = "wall") -> None:
        del weight

    def render(self, profile: Profile, stream: IO[bytes]) -> None:
        """Write the whole profile; without its time of day where that is not known."""
        for packet in _Trace(profile).packets():
            stream.write(message(1, packet))


@dataclass(slots=True)
class _Trace:
    """Message Trace, packet by packet; a name is sent once, with the first packet that uses it."""

    profile: Profile
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _tracks: dict[tuple[int, int | None], int] = field(default_factory=dict)
    _interned: dict[tuple[_Interned, object], int] = field(default_factory=dict)
    _unsent: list[bytes] = field(default_factory=list)

    def packets(self) -> Iterator[bytes]:
        """Clocks, then every thread with its slices, then the episodes and the counters."""
        yield self._clocks()
        yield from self._processes()
        for thread in self.profile.threads:
            yield from self._slices(thread)
        yield from self._episodes()
        for series in self.profile.pending:
            yield from self._counter(series)

    def _clocks(self) -> bytes:
        clocks = [(_MONOTONIC, self.profile.start_ns)]
        started_ns = tracks.started_ns(self.profile)
        if started_ns is not None:
            clocks.append((_REALTIME, started_ns))
        snapshot = [message(1, integer(1, clock), integer(2, at_ns)) for clock, at_ns in clocks]
        return b"".join((
            message(6, *snapshot, integer(2, _MONOTONIC)),
            integer(10, _SEQUENCE),
            integer(13, _CLEARED),
            message(59, integer(58, _MONOTONIC)),
        ))  # fmt: skip

    # --- tracks ----------------------------------------------------------------------------------

    def _processes(self) -> Iterator[bytes]:
        workers = {worker.pid: worker for worker in self.profile.workers}
        named = {(thread.pid, thread.tid): thread.name for thread in self.profile.threads}
        pids = {pid for pid, _ in named} | {series.pid for series in self.profile.pending}
        pids |= {one.episode.pid for one in tracks.starved(self.profile)}
        for pid in sorted(pids):
            yield self._track((pid, None), _process(pid, workers))
        for (pid, tid), name in named.items():
            fields = integer(1, pid), integer(2, tid), text(5, escape.plain(name))
            yield self._track((pid, tid), message(4, *fields))

    def _track(self, key: tuple[int, int | None], *fields: bytes) -> bytes:
        number = self._tracks[key] = next(self._ids)
        return message(60, integer(1, number), *fields)

    def _owner(self, pid: int, tid: int | None) -> int:
        """The track of a thread; that of its process where nothing else is known of the thread."""
        return self._tracks.get((pid, tid)) or self._tracks[pid, None]

    def _below(self, parent: int, name: str, *fields: bytes) -> tuple[int, bytes]:
        number = next(self._ids)
        named = integer(1, number), integer(5, parent), text(2, name)
        return number, message(60, *named, *fields)

    # --- events ----------------------------------------------------------------------------------

    def _slices(self, thread: ThreadActivity) -> Iterator[bytes]:
        """Frames that go on from one step to the next stay open."""
        track = self._tracks[thread.pid, thread.tid]
        end = _event(_Event.END, track)
        begins: dict[Frame, bytes] = {}
        stack: Stack = ()
        until_ns = 0
        for step in tracks.steps(thread):
            kept = tracks.shared(stack, step.stack) if step.start_ns == until_ns else 0
            yield from itertools.repeat(self._packet(until_ns, end), len(stack) - kept)
            for frame in step.stack[kept:]:
                if frame not in begins:
                    begins[frame] = _event(_Event.BEGIN, track, *self._frame(frame))
                yield self._packet(step.start_ns, begins[frame])
            stack, until_ns = step.stack, step.end_ns
        yield from itertools.repeat(self._packet(until_ns, end), len(stack))

    def _frame(self, frame: Frame) -> Iterator[bytes]:
        kind = wait_kind(frame)
        yield integer(3, self._text(_Interned.CATEGORY, "python" if kind is None else kind.value))
        yield integer(10, self._text(_Interned.NAME, escape.plain(frame.function)))
        if frame.file:
            yield integer(34, self._source(frame))

    def _episodes(self) -> Iterator[bytes]:
        """Slices of one track are nested, so that episodes that overlap lie on several."""
        lanes: dict[int, list[tuple[int, int]]] = {}
        for one in tracks.starved(self.profile):
            owner = self._owner(one.episode.pid, one.episode.tid)
            rows = lanes.setdefault(owner, [])
            row = next((n for n, (_, until) in enumerate(rows) if until <= one.start_ns), len(rows))
            if row == len(rows):
                track, described = self._below(owner, "starvation")
                rows.append((track, 0))
                yield described
            track = rows[row][0]
            rows[row] = track, one.end_ns
            about = tracks.details(one)
            name = self._text(_Interned.NAME, str(about["kind"]))
            category = self._text(_Interned.CATEGORY, one.finding.verdict)
            annotations = [self._annotation(key, value) for key, value in about.items()]
            begin = _event(
                _Event.BEGIN, track, integer(3, category), integer(10, name), *annotations
            )
            yield self._packet(one.start_ns, begin)
            yield self._packet(one.end_ns, _event(_Event.END, track))

    def _annotation(self, key: str, value: str | int) -> bytes:
        name = integer(1, self._text(_Interned.ANNOTATION, key))
        return message(4, name, integer(4, value) if isinstance(value, int) else text(6, value))

    def _counter(self, series: PendingSeries) -> Iterator[bytes]:
        owner = self._owner(series.pid, series.tid)
        unit = message(8, integer(3, _COUNT))
        track, described = self._below(owner, tracks.pending_name(series), unit)
        yield described
        for at_ns, count in tracks.levels(series, self.profile.start_ns):
            yield self._packet(at_ns, _event(_Event.COUNTER, track, integer(30, count)))

    def _packet(self, at_ns: int, event: bytes) -> bytes:
        interned = message(12, *self._unsent) if self._unsent else b""
        self._unsent.clear()
        return integer(8, at_ns) + _ON_SEQUENCE + interned + event

    def _text(self, kind: _Interned, value: str) -> int:
        return self._intern(kind, value, text(2, value))

    def _source(self, frame: Frame) -> int:
        line = () if frame.line is None else (integer(4, frame.line),)
        key = (frame.file, frame.line)
        return self._intern(_Interned.SOURCE, key, text(2, escape.plain(frame.file)), *line)

    def _intern(self, kind: _Interned, key: object, *fields: bytes) -> int:
        number = self._interned.get((kind, key))
        if number is None:
            number = self._interned[kind, key] = len(self._interned) + 1
            self._unsent.append(message(kind, integer(1, number), *fields))
        return number


def _event(kind: _Event, track: int, *fields: bytes) -> bytes:
    return message(11, integer(9, kind), integer(11, track), *fields)


def _process(pid: int, workers: Mapping[int, Worker]) -> bytes:
    worker = workers.get(pid)
    command = () if worker is None else (text(2, escape.plain(worker.command)),)
    return message(3, integer(1, pid), *command, text(6, tracks.process_name(pid, worker)))
