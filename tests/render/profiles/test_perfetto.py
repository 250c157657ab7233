"""Perfetto's trace: by its schema, and as its own trace_processor understands it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from tests.examples import profile_examples as examples
from tests.examples.build import activities
from tests.golden import record
from tests.readers import trace_processor, wire
from waitspy.judge import analysis
from waitspy.judge.merge import merge
from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import WEIGHTS, PendingSeries, Profile
from waitspy.model.stacks import Frame
from waitspy.model.waits import Wait, WaitKind
from waitspy.recording import loading
from waitspy.render import escape
from waitspy.render.profiles import tracks
from waitspy.render.profiles.perfetto import PerfettoRenderer

PROFILES = {
    "server": examples.server,
    "watched": examples.watched,
    "idle": examples.idle,
    "empty": examples.empty,
    "hostile": examples.hostile,
}
PROBLEMS = "select name, value from stats where severity != 'info' and value > 0"
NAMES = "select tid, name from thread where tid > 0 and name is not null order by tid"
SLICES = """
    select t.tid, s.ts, s.ts + s.dur as end, s.depth, s.name, s.category,
        extract_arg(s.arg_set_id, 'source.file_name') as file,
        extract_arg(s.arg_set_id, 'source.line_number') as line
    from slice s join thread_track k on s.track_id = k.id join thread t using (utid)
    where k.name is null or k.name != 'starvation'
    order by t.tid, s.ts, s.depth
"""


def written(profile: Profile) -> bytes:
    stream = io.BytesIO()
    PerfettoRenderer().render(profile, stream)
    return stream.getvalue()


def frames(thread: ThreadActivity) -> Iterator[tuple[int, int, int, Frame]]:
    """From, until, depth and frame of every slice that a thread should show."""
    open_: list[tuple[int, Frame]] = []
    until_ns = 0
    for step in [*tracks.steps(thread), None]:
        kept = 0
        if step is not None and step.start_ns == until_ns:
            kept = tracks.shared([frame for _, frame in open_], step.stack)
        while len(open_) > kept:
            start_ns, frame = open_.pop()
            yield start_ns, until_ns, len(open_), frame
        if step is not None:
            open_ += [(step.start_ns, frame) for frame in step.stack[kept:]]
            until_ns = step.end_ns


@pytest.mark.parametrize("name", PROFILES)
def test_every_field_is_one_of_the_schema(name: str) -> None:
    trace = Trace.FromString(written(PROFILES[name]()))
    assert wire.unknown(trace) == []
    assert trace.packet[0].clock_snapshot.primary_trace_clock == 3
    assert {packet.trusted_packet_sequence_id for packet in trace.packet[1:]} <= {0, 1}


@pytest.mark.parametrize("name", PROFILES)
def test_the_trace_processor_has_nothing_to_complain_of(name: str) -> None:
    profile = PROFILES[name]()
    problems, threads = trace_processor.query(written(profile), PROBLEMS, NAMES)
    assert problems == []
    assert [(row["tid"], row["name"]) for row in threads] == sorted(
        (thread.tid, escape.plain(thread.name)) for thread in profile.threads
    )


def test_every_frame_is_a_slice_at_its_time() -> None:
    profile = examples.server()
    (slices,) = trace_processor.query(written(profile), SLICES)
    expected = [
        (thread.tid, start_ns, end_ns, depth, frame)
        for thread in profile.threads
        for start_ns, end_ns, depth, frame in frames(thread)
    ]
    expected.sort(key=lambda row: (row[0], row[1], row[3]))
    shown = [
        (r["tid"], r["ts"], r["end"], r["depth"], Frame(r["name"], r["file"] or "", r["line"]))
        for r in slices
    ]
    assert shown == expected
    waits = {row["name"]: row["category"] for row in slices}
    assert waits["[sleep] time.sleep"] == "sleep"
    assert waits["retry"] == "python"


def test_nothing_is_claimed_in_a_gap() -> None:
    cpu, main = Wait(WaitKind.ON_CPU), (Frame("main", "/x.py", 1),)
    shown = [Activity(NS, 2 * NS, main, cpu), Activity(5 * NS, 6 * NS + 1, main, cpu)]
    thread = ThreadActivity(1, 1, "t", activities(*shown))
    (slices,) = trace_processor.query(
        written(merge([thread], title="t", start_ns=0, end_ns=6 * NS)), SLICES
    )
    assert [(r["ts"], r["end"]) for r in slices] == [(NS, 2 * NS), (5 * NS, 6 * NS + 1)]


def test_processes_and_threads_have_their_names() -> None:
    processes, mains = trace_processor.query(
        written(examples.watched()),
        "select pid, name from process where pid > 0 order by pid",
        "select tid from thread where is_main_thread and name is not null and tid > 0 order by tid",
    )
    command = escape.shorten(examples.watched().workers[0].command, 80)
    roles = [(4100, "master"), *((pid, "worker") for pid in examples.PIDS)]
    assert [(row["pid"], row["name"]) for row in processes] == [
        (pid, f"{role} {pid}: {command}") for pid, role in roles
    ]
    assert [row["tid"] for row in mains] == list(examples.PIDS)


def test_episodes_are_slices_below_their_thread_with_what_is_known() -> None:
    arguments = ", ".join(
        f"extract_arg(s.arg_set_id, 'debug.{key}') as {key}" for key in tracks.DETAILS
    )
    threads, processes = trace_processor.query(
        written(examples.watched()),
        f"select t.tid, s.ts, s.dur, s.category, {arguments} from slice s join thread_track k "
        "on s.track_id = k.id join thread t using (utid) where k.name = 'starvation' order by s.ts",
        "select p.pid, s.ts, s.dur, s.depth, s.name from slice s join process_track k "
        "on s.track_id = k.id join process p using (upid) where k.name = 'starvation' order by s.ts",
    )
    half = NS // 2
    shown = [(r["tid"], r["ts"] - examples.START_NS, r["dur"], r["category"]) for r in threads]
    assert shown == [
        (4101, half, half, "starving"),
        (4101, half * 3 // 2, half * 3, "starving"),  # overlaps its neighbours
        (4102, NS, half // 2, "starving"),
        (4101, 2 * NS, half, "starving"),
        (4104, 6 * NS, half, "latent"),
    ]
    assert threads[0] | {"tid": 0, "ts": 0, "dur": 0, "category": ""} == {
        "tid": 0, "ts": 0, "dur": 0, "category": "",
        "kind": "blocked-loop", "verdict": "starving", "detail": "a loop", "blame": "retry, /srv/app/http/retry.py:31",
        "wait": "waits in time.sleep (clock_nanosleep)", "evidence": "asyncio, epoll",
        "remedy": "await it", "victims": 7, "served": 0,
    }  # fmt: skip
    assert threads[3]["served"] is None
    assert threads[4]["blame"] == "not known: no stack was seen"
    # Of these threads nothing else is known.
    assert [(r["pid"], r["ts"] - examples.START_NS, r["depth"]) for r in processes] == [
        (4103, 3 * NS, 0),
        (4100, 4 * NS, 0),
    ]


def test_pending_work_is_a_counter_of_its_thread_or_process() -> None:
    threads, processes = trace_processor.query(
        written(examples.watched()),
        "select t.tid, k.name, c.ts, c.value from counter c join thread_counter_track k "
        "on c.track_id = k.id join thread t using (utid) order by c.ts",
        "select p.pid, k.name, c.ts, c.value from counter c join process_counter_track k "
        "on c.track_id = k.id join process p using (upid) order by p.pid, c.ts",
    )
    start_ns, at = examples.START_NS, examples.at_ms
    overdue = "overdue timers: loop on epoll descriptor 5"
    assert [tuple(row.values()) for row in threads] == [
        (4101, overdue, start_ns, 0),
        (4101, overdue, at(500), 7),
        (4101, overdue, at(800), 3),
        (4101, overdue, at(1000), 0),
    ]
    assert [tuple(row.values()) for row in processes] == [
        (4100, "unread I/O: loop on epoll descriptor 3", start_ns, 0),
        (4100, "unread I/O: loop on epoll descriptor 3", at(40), 1),
        (4102, "connections to accept: listener 0.0.0.0:8000", at(-5), 2),
        (4102, "connections to accept: listener 0.0.0.0:8000", at(900), 0),
    ]


def test_the_time_of_day_is_told_where_it_is_known() -> None:
    clocks = "select clock_name, clock_value from clock_snapshot order by clock_id"
    (known,) = trace_processor.query(written(examples.watched()), clocks)
    started_us = datetime.fromisoformat(examples.STARTED_AT).timestamp() * 1_000_000
    assert [tuple(row.values()) for row in known] == [
        ("REALTIME", round(started_us) * 1000),
        ("MONOTONIC", examples.START_NS),
    ]
    (unknown,) = trace_processor.query(written(examples.server()), clocks)
    assert [row["clock_name"] for row in unknown] == ["MONOTONIC"]


def test_a_series_without_a_change_is_zero() -> None:
    series = PendingSeries(7, None, "pool", "queued", ())
    profile = Profile("t", 5, 9, (), (), pending=(series,))
    (rows,) = trace_processor.query(written(profile), "select ts, value from counter")
    assert [tuple(row.values()) for row in rows] == [(5, 0)]


def test_hostile_names_are_whole_and_harmless() -> None:
    (rows,) = trace_processor.query(written(examples.hostile()), "select distinct name from slice")
    names = {row["name"] for row in rows}
    assert {escape.plain(name) for name in examples.HOSTILE} <= names
    text = written(examples.hostile()).decode("utf-8", "ignore")
    assert "\x1b[" not in text


def test_a_weight_changes_nothing() -> None:
    profile = examples.watched()
    streams = [io.BytesIO() for _ in WEIGHTS]
    for weight, stream in zip(WEIGHTS, streams, strict=True):
        PerfettoRenderer(weight).render(profile, stream)
    assert all(one.getvalue() == other.getvalue() for one, other in pairwise(streams))


@pytest.mark.parametrize("name", ["blocked", "parked"])
def test_a_real_recording_has_its_episodes(name: str) -> None:
    judged = analysis.analyse(loading.load(str(record.folder(name))))
    problems, episodes = trace_processor.query(
        written(analysis.profile(judged)), PROBLEMS,
        "select s.name, s.ts, s.dur from slice s join track k on s.track_id = k.id "
        "where k.name = 'starvation' order by s.ts",
    )  # fmt: skip
    assert problems == []
    expected: list[tuple[Any, ...]] = sorted(
        (round(e.start_s * NS), round(e.end_s * NS), f.kind.name)
        for f in judged.report.findings
        for e in f.episodes
    )
    assert expected
    assert [(r["ts"], r["ts"] + r["dur"], r["name"]) for r in episodes] == expected
