"""pprof's profile.proto, gzipped: what ``go tool pprof`` and many services read.

The messages and their field numbers are those of
https://github.com/google/pprof/blob/main/proto/profile.proto.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, ClassVar

from waitspy import __version__
from waitspy.model.activities import ThreadActivity
from waitspy.model.judged import WEIGHTS, Profile, Weight
from waitspy.model.processes import Worker
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_frames import merged_stack, stack_key
from waitspy.model.waits import WaitKind
from waitspy.render import escape
from waitspy.render.profiles import tracks
from waitspy.render.profiles.protobuf import integer, message, packed, text

_LEVEL = 6
_MAPPING = 1

_Key = tuple[Stack, WaitKind]


@dataclass(slots=True)
class _Tables:
    """What samples refer to by number; what is not yet in a table gets its next number."""

    strings: dict[str, int] = field(default_factory=lambda: {"": 0})
    functions: dict[tuple[str, str], int] = field(default_factory=dict)
    locations: dict[Frame, int] = field(default_factory=dict)

    def string(self, value: str) -> int:
        return self.strings.setdefault(value, len(self.strings))

    def location(self, frame: Frame) -> int:
        return self.locations.setdefault(frame, len(self.locations) + 1)

    def function(self, frame: Frame) -> int:
        key = (frame.function, frame.file)
        return self.functions.setdefault(key, len(self.functions) + 1)


class PprofRenderer:
    """One sample per thread, stack and kind of wait, with all three weights.

    The sample types are ``wall``, ``starved`` and ``victims``, all in nanoseconds, so that pprof
    shows them as times; ``victims`` adds up the time that every item waited, as the delay of a
    mutex profile does. The chosen weight is the default one. A wait is the leaf of its stack,
    without file and line; labels are ``pid``, ``tid``, ``thread``, ``wait`` and, where the worker
    is known, ``role`` and ``command``. Lines are always kept: pprof itself joins them by function.
    Controls and line breaks in names are written out, and nothing is cut.
    """

    name: ClassVar[str] = "pprof"
    extension: ClassVar[str] = "pb.gz"
    binary: ClassVar[bool] = True
    weighed: ClassVar[bool] = True

    def __init__(self, weight: Weight = "wall") -> None:
        self._weight: Weight = weight

    def render(self, profile: Profile, stream: IO[bytes]) -> None:
        """Write the whole profile; without its time of day where that is not known."""
        with gzip.GzipFile("", "wb", _LEVEL, stream, mtime=0) as out:
            for part in self._fields(profile):
                out.write(part)

    def _fields(self, profile: Profile) -> Iterator[bytes]:
        """The fields of message Profile, samples first: they fill the tables."""
        tables = _Tables()
        title = tables.string(escape.plain(profile.title))
        nanoseconds = tables.string("nanoseconds")
        for weight in WEIGHTS:
            yield message(1, integer(1, tables.string(weight)), integer(2, nanoseconds))
        workers = {worker.pid: worker for worker in profile.workers}
        for thread in profile.threads:
            yield from _samples(thread, workers, tables)
        for root in profile.roots:
            key = merged_stack(root.stack, root.wait, lines=True), root.wait.kind
            sums = {key: (0, 0, 0, root.root_ns)}
            yield from _written(sums, root.pid, root.tid, root.thread, workers, tables)
        # One mapping that knows everything, or pprof would look for a binary to ask.
        known = (integer(number, 1) for number in (7, 8, 9))
        yield message(3, integer(1, _MAPPING), integer(5, title), *known)
        for frame, number in tables.locations.items():
            line = () if frame.line is None else (integer(2, frame.line),)
            lines = message(4, integer(1, tables.function(frame)), *line)
            yield message(4, integer(1, number), integer(2, _MAPPING), lines)
        for (function, file), number in tables.functions.items():
            name = tables.string(escape.plain(function))
            filename = tables.string(escape.plain(file))
            # Without a system_name: pprof would take one that equals the name for one of C++, and
            # leave nothing of "<module>".
            yield message(5, integer(1, number), integer(2, name), integer(4, filename))
        started_ns = tracks.started_ns(profile)
        if started_ns is not None:
            yield integer(9, started_ns)
        yield integer(10, max(0, profile.end_ns - profile.start_ns))
        yield packed(13, [tables.string(f"waitspy {__version__}")])
        yield integer(14, tables.string(self._weight))
        for value in tables.strings:
            yield text(6, value)


def _samples(
    thread: ThreadActivity, workers: Mapping[int, Worker], tables: _Tables
) -> Iterator[bytes]:
    sums: dict[_Key, list[int]] = {}
    for step in tracks.steps(thread):
        total = sums.setdefault((step.stack, step.activity.wait.kind), [0, 0, 0, 0])
        total[0] += step.end_ns - step.start_ns
        total[1] += step.activity.starved_ns
        total[2] += step.activity.victim_ns
        total[3] += step.activity.root_ns
    yield from _written(sums, thread.pid, thread.tid, thread.name, workers, tables)


def _written(
    sums: Mapping[_Key, Sequence[int]],
    pid: int,
    tid: int,
    name: str,
    workers: Mapping[int, Worker],
    tables: _Tables,
) -> Iterator[bytes]:
    """A sample for each stack and wait of a thread."""
    about: dict[str, str | int] = {"pid": pid, "tid": tid, "thread": name}
    worker = workers.get(pid)
    if worker is not None:
        about |= {"role": worker.role, "command": worker.command}
    whose = [_label(key, value, tables) for key, value in about.items()]
    for stack, wait in sorted(sums, key=lambda key: (stack_key(key[0]), key[1])):
        yield message(
            2,
            packed(1, [tables.location(frame) for frame in reversed(stack)]),
            packed(2, sums[stack, wait]),
            *whose,
            _label("wait", wait.value, tables),
        )


def _label(key: str, value: str | int, tables: _Tables) -> bytes:
    if isinstance(value, int):
        known = integer(3, value)
    else:
        known = integer(2, tables.string(escape.plain(value)))
    return message(3, integer(1, tables.string(key)), known)
