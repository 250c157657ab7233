"""The events of a trace: those that are decoded at once are the same as one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.build import Trace, stack
from waitspy.model.stacks import Frame
from waitspy.recording import trace_events
from waitspy.recording.trace_events import TracedFrames, TraceEvents, read

A = stack("main@/app/a.py:3 > work@/app/a.py:9")
ROOT = "thread (11): MainThread"
NAMES = st.sampled_from(
    ["f", '","pid":', '},{"args":{"filename":"', "\\", 'a"', "\ud800", "é", "}]"]
)
FRAMES = st.lists(st.builds(Frame, NAMES, NAMES, st.integers(1, 3)), min_size=1, max_size=3)
SHOWN = st.lists(st.tuples(st.integers(1, 5), st.sampled_from([7, 8]), FRAMES), max_size=8)


def told(events: TraceEvents) -> list[Any]:
    """Every event in words, those that say that a frame is over without it."""
    ends = [0, *events.ends]
    return [
        (tid, at_us, [events.known.frames[n] if n >= 0 else None for n in events.what[first:end]])
        for tid, at_us, first, end in zip(
            events.tids, events.times_us, ends, ends[1:], strict=False
        )
    ]


def otherwise(text: str) -> str:
    """The same events, as py-spy does not write them."""
    return json.dumps([dict(reversed(event.items())) for event in json.loads(text)])


def test_a_change_is_what_a_thread_does_at_one_time() -> None:
    text = Trace().show(5, 7, ROOT, A).show(9, 7, ROOT, A[:1]).end(9)
    events = read(text.encode(), TracedFrames())
    one, two, three = (ROOT, "", 0), ("main", "/app/a.py", 3), ("work", "/app/a.py", 9)
    assert told(events) == [(7, 5, [one, two, three]), (7, 9, [None, None, None])]
    assert not events.torn


def test_what_py_spy_writes_is_decoded_at_once_into_frames_that_stay_for_the_next_trace() -> None:
    text, known = Trace().show(5, 7, ROOT, A).end(9).encode(), TracedFrames()
    for written in (text, text + b"\n"):
        assert read(written, known).known is known
        assert [frame.name for frame in known.frames] == [ROOT, "main", "work"], "each once"


def test_what_another_one_writes_is_told_in_the_same_words() -> None:
    text = Trace().show(5, 7, ROOT, A).show(9, 7, ROOT, A[:1]).show(12, 7, ROOT, A).end(15)
    events = read(otherwise(text).encode(), known := TracedFrames())
    assert told(events) == told(read(text.encode(), known))
    assert [frame.name for frame in events.known.frames] == [ROOT, "main", "work"], "each once"
    assert not events.torn


@pytest.mark.parametrize("name", ["\udc80", "\\ud800"], ids=["bytes", "an escape"])
def test_what_is_no_unicode_is_replaced_and_loses_nothing(name: str) -> None:
    text = Trace().show(5, 7, ROOT, A).end(9).replace("main", name)
    events = read(text.encode("utf-8", "surrogateescape"), TracedFrames())
    assert not events.torn
    ((tid, at_us, (_, odd, work)), ended) = told(events)
    assert (tid, at_us, work[0]) == (7, 5, "work")
    assert odd[0] in {"\ufffd", "?"}
    assert ended == (7, 9, [None, None, None])


def test_an_event_may_have_no_more_than_its_four_keys() -> None:
    odd = {"name": "f", "ph": "B", "tid": 7, "ts": 5}
    for line in (3, -3):  # with -3 not all of them are events of py-spy
        rows = [odd, {**odd, "name": "g", "args": {"filename": "/a.py", "line": line}}]
        ((tid, at_us, frames),) = told(read(json.dumps(rows).encode(), TracedFrames()))
        assert (tid, at_us, frames[0][0], frames[0][2]) == (7, 5, "f", None)
        assert frames[1] == ("g", "/a.py", line if line > 0 else None)


def test_a_trace_without_events_has_none() -> None:
    assert read(b"[]", TracedFrames())[1:] == ([], [], [], [], False)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "not a py-spy trace"),
        ('[{"name":"f"', "not a py-spy trace"),
        ('"},{"', "not a py-spy trace: no list of events"),
        ("{}", "not a py-spy trace: no list of events"),
        ("[1]", "not a py-spy trace: an event lacks its keys"),
        ("[{}]", "not a py-spy trace: an event lacks its keys"),
    ],
)
def test_what_is_no_trace_is_refused_and_says_so(raw: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        read(raw.encode(), TracedFrames())


@pytest.mark.parametrize("name", ["},{", "a},{b},{c"])
@pytest.mark.parametrize("more", [0, 5], ids=["within its name", "after its name"])
def test_a_torn_event_whose_name_looks_like_an_end_takes_no_other_one_along(
    name: str, more: int
) -> None:
    shown = (*A, Frame(name, "/app/a.py", 1))
    text = Trace().show(5, 7, ROOT, shown).end(9)
    events = read(text[: text.index(f'"{name}"') + 1 + len(name) + more].encode(), TracedFrames())
    assert events.torn
    ((tid, at_us, frames),) = told(events)
    assert (tid, at_us, [frame.name for frame in frames]) == (7, 5, [ROOT, "main", "work"])


@given(SHOWN)
def test_events_are_the_same_in_whatever_way_they_are_written(
    shown: list[tuple[int, int, list[Frame]]],
) -> None:
    trace, at_us = Trace(), 0
    for step, tid, frames in shown:
        at_us += step
        trace.show(at_us, tid, ROOT, tuple(frames))
    text, known = trace.end(at_us + 1), TracedFrames()
    expected = told(read(otherwise(text).encode(), known))
    assert told(read(text.encode(), known)) == expected
    assert told(read(text.encode() + b"\n", known)) == expected, "with frames that are known"


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('"ph":"B"', '"ph":"B","ph":"E"'),
        ('"ph":"B"', '"ph":"X"'),
        ('"line":9', '"line":-9'),
        ('"line":9', '"line":9,"line":10'),
        ('"line":9}', '"line":9},"args":{"filename":"/b.py","line":1}'),
        ('"name":"work"', '"name":"work","name":"rest"'),
        ('"name":"work"', '"name":"work","tid":8'),
        ('"name":"work"', '"name":"work","ph":"E"'),
        ('"ts":5}', '"ts":5,"name":"rest"}'),
        ('"ts":5}', '"ts":5,"ts":4}'),
        ('"ts":5}', '"ts":5,"args":{"filename":"/c.py","line":2}}'),
        ('"pid":100', '"pid":null'),
        ('"tid":7', '"tid":7,"tid":8'),
        ('"filename":"/app/a.py"', '"filename":"/app\\u002fb.py"'),
    ],
)
def test_what_is_odd_means_what_it_means_in_json(written: str, instead: str) -> None:
    text = Trace().show(5, 7, ROOT, A).end(9)
    assert written in text
    odd = text.replace(written, instead)
    assert told(read(odd.encode(), TracedFrames())) == told(
        read(odd.replace('[{"args"', '[ {"args"').encode(), TracedFrames())
    )


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('"ph":"B"', '"ph":"B'),
        ('"name":"work"', '"name":"work'),
        ('"name":"work"', '"name":"work\\"'),
        ('"ts":5}', '"ts":5'),
        ('"ts":5}', '"ts":}'),
        ('"tid":7', '"tid":7.5}'),
        ('"cat"', 'cat"'),
    ],
)
def test_what_is_no_json_is_torn_there(written: str, instead: str) -> None:
    text = Trace().show(3, 8, "thread (12): x", A).show(5, 7, ROOT, A).end(9)
    odd = text[: text.rindex(written)] + instead + text[text.rindex(written) + len(written) :]
    events = read(odd.encode(), TracedFrames())
    assert events.torn
    whole = [what for _, _, whats in told(read(text.encode(), TracedFrames())) for what in whats]
    kept = [what for _, _, whats in told(events) for what in whats]
    assert kept == whole[: len(kept)]
    assert len(kept) < len(whole)


def test_not_all_frames_are_kept_of_many_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_events, "_MOST_KNOWN", 4)
    known, many = TracedFrames(), []
    for n in range(10):
        shown = (Frame(f"f{n}", "/app/a.py", 1), *A)
        events = read(Trace().show(5, 7, ROOT, shown).end(9).encode(), known)
        assert [what and what[0] for what in told(events)[0][2]] == [ROOT, f"f{n}", "main", "work"]
        many.append(len(known.frames))
    assert max(many) <= 8
