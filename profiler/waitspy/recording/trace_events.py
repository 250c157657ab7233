"""The events of a py-spy trace, read into columns: which frames came and went, by thread and time.

py-spy writes the same frames again and again, in each trace of a recording, and all of a change
with the same time. So what an event says of its frame is decoded once for all that say the same,
and what it says of thread and time once for all that follow each other with the same. What is
written in another way, or torn, is decoded event by event: that takes longer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from waitspy.model.stacks import Line

_MOST_KNOWN = 1 << 17
"""Of the beginnings of events that are kept for the traces to come: few programs have so many."""

OVER = -1
"""Stands in the place of a frame: the topmost one is no longer there."""


class TracedFrame(NamedTuple):
    """A frame, or the root of a thread, as the trace names it."""

    name: str
    filename: str | None
    line: int | None


class TracedFrames:
    """The frames of a recording's traces, each once; and which bytes of a trace stand for it.

    ``numbers`` are those in the recording's table, of frames that stood in a stack so far. All of
    it holds until the next trace is read.
    """

    __slots__ = ("frames", "known", "numbers")

    def __init__(self) -> None:
        self.frames: list[TracedFrame] = []
        self.numbers: list[int | None] = []
        self.known: dict[bytes, int] = {}

    def add(self, name: str, filename: str | None, line: int | None) -> int:
        """Another one; gives its place."""
        self.frames.append(TracedFrame(name, filename, line))
        self.numbers.append(None)
        return len(self.frames) - 1

    def place(self, beginning: bytes) -> int:
        """What an event that begins so stands for: a frame, by its place, or that one is over.

        Raises:
            msgspec.MsgspecError: that is not how py-spy begins an event.
            UnicodeDecodeError: it is no Unicode.
        """
        told = _beginning_of.decode(_FIRST[1:] + beginning + b'"}')
        over = told.ph == "E"
        place = OVER if over else self.add(told.name, told.args.filename, told.args.line)
        self.known[beginning] = place
        return place

    def forget_if_many(self) -> None:
        """Begins anew with the next trace, rather than keep all that a damaged recording holds."""
        if len(self.known) > _MOST_KNOWN:
            self.frames.clear()
            self.numbers.clear()
            self.known.clear()


class TraceEvents(NamedTuple):
    """All events of a trace, in its order.

    ``what`` has the place in ``known`` of each frame that comes, else ``OVER``. Those of one thread
    at one time that follow each other are a change: thread ids, times (microseconds) and where in
    ``what`` each change ends are columns. ``torn`` says that the trace has lost its end.
    """

    known: TracedFrames
    what: list[int]
    tids: list[int]
    times_us: list[int]
    ends: list[int]
    torn: bool


def read(raw: bytes, known: TracedFrames) -> TraceEvents:
    """The events that a file holds, or has held before the place where it is torn.

    ``known`` are the frames of traces that were read before, and get those of this one.

    Raises:
        ValueError: the bytes are not a py-spy trace.
    """
    known.forget_if_many()
    return _as_written(raw, known) or _one_by_one(raw)


# --- as py-spy writes them ------------------------------------------------------------------------

_FIRST, _BETWEEN, _LAST = b'[{"args":{"filename":"', b'},{"args":{"filename":"', b"}]"
_WITHIN, _END = b'","pid":', b'{"pid":'


class _KnownPlace(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    filename: str
    line: Line | None


class _Beginning(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    args: _KnownPlace
    cat: str
    name: str
    ph: str


class _End(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    pid: int
    tid: int
    ts: int


_beginning_of = msgspec.json.Decoder(_Beginning)
_end_of = msgspec.json.Decoder(_End)


def _as_written(raw: bytes, known: TracedFrames) -> TraceEvents | None:
    """The events of a trace that has all keys in py-spy's order; None for another one.

    Nothing is taken on trust: where both halves of each event are valid for themselves, and
    together have every key, the whole is a list of those events and cannot be read otherwise.
    """
    raw = raw.rstrip()
    if not (raw.startswith(_FIRST) and raw.endswith(_LAST)):
        return None
    what: list[int] = []
    tids: list[int] = []
    times_us: list[int] = []
    ends: list[int] = []
    place_of = known.known
    before = None
    try:
        for event in raw[len(_FIRST) : -len(_LAST)].split(_BETWEEN):
            beginning, _, end = event.rpartition(_WITHIN)
            if end != before:
                before = end
                moment = _end_of.decode(_END + end + b"}")
                ends.append(len(what))
                tids.append(moment.tid)
                times_us.append(moment.ts)
            place = place_of.get(beginning)
            what.append(known.place(beginning) if place is None else place)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return TraceEvents(known, what, tids, times_us, [*ends[1:], len(what)], torn=False)


# --- in any other way -----------------------------------------------------------------------------


class _Place(msgspec.Struct, gc=False):
    filename: str | None = None
    line: Line | None = None


class _TraceEvent(msgspec.Struct, gc=False):
    """One event, without what is not needed."""

    name: str
    ph: str
    tid: int
    ts: int
    args: _Place | None = None


_events_of = msgspec.json.Decoder(list[_TraceEvent])


def _one_by_one(raw: bytes) -> TraceEvents:
    events: Iterable[_TraceEvent]
    try:
        events, torn = _events_of.decode(raw), False
    except (msgspec.MsgspecError, UnicodeDecodeError):
        rows, torn = _salvaged(raw.decode("utf-8", "replace"))
        events = [_event(row) for row in rows]
    places: dict[TracedFrame, int] = {}
    known = TracedFrames()
    found = TraceEvents(known, [], [], [], [], torn)
    before = None
    for event in events:
        if before != (event.tid, event.ts):
            before = event.tid, event.ts
            found.ends.append(len(found.what))
            found.tids.append(event.tid)
            found.times_us.append(event.ts)
        if event.ph == "E":
            found.what.append(OVER)
            continue
        at = event.args or _Place()
        frame = TracedFrame(event.name, at.filename, at.line)
        place = places.get(frame)
        if place is None:
            place = places[frame] = known.add(*frame)
        found.what.append(place)
    return found._replace(ends=[*found.ends[1:], len(found.what)] if found.ends else [])


def _salvaged(text: str) -> tuple[list[Any], bool]:
    """The events of a trace that is torn, or holds what is no Unicode; and whether it is torn."""
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
    while (bad := text.rfind("},{", 0, bad)) >= 0:
        try:
            return json.loads(text[: bad + 1] + "]")
        except json.JSONDecodeError as error:  # it was within a text
            bad = min(bad, error.pos)
    raise ValueError("not a py-spy trace")


def _event(event: Any) -> _TraceEvent:
    if not isinstance(event, Mapping) or not {"ts", "tid", "ph", "name"} <= event.keys():
        raise ValueError("not a py-spy trace: an event lacks its keys")
    args = event.get("args") or {}
    place = _Place(_clean(str(args.get("filename") or "")), _line(args.get("line")))
    name, phase = _clean(str(event["name"])), str(event["ph"])
    return _TraceEvent(name, phase, int(event["tid"]), int(event["ts"]), place)


def _line(value: Any) -> int | None:
    try:
        return msgspec.convert(value, Line | None)
    except msgspec.ValidationError:
        return None


def _clean(text: str) -> str:
    """Valid Unicode: lone surrogates (JSON escapes can hold them) become U+FFFD."""
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
