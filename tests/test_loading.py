"""Recordings are loaded whole, cut short, damaged or refused; never with anything but a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from profiler import analysis, loading
from profiler.errors import RecordingError
from profiler.merge import merge
from profiler.model import (
    WEIGHTS,
    Cost,
    Dump,
    EpollEvent,
    KernelState,
    Loss,
    Recording,
    UnreadSocket,
)
from profiler.recording import SCHEMA, Writer, save_sources
from profiler.render import FLAMEGRAPHS, REPORTS
from tests.build import HANDLER, POLL, START_NS, Trace, at, frame

END_NS = at(1_000)
META: dict[str, Any] = {
    "clock": {"monotonic_ns": START_NS, "wall": "2026-01-02T03:04:05+00:00"},
    "host": {"name": "web-1", "kernel": "6.1", "arch": "x86_64", "cpus": 2},
    "target": ":8000",
    "rate_hz": 100.0,
    "tick_s": 0.01,
    "min_stall_s": 0.1,
    "waitspy": "0.1.0",
}
WORKER: dict[str, Any] = {
    "pid": 7,
    "ppid": 1,
    "role": "worker",
    "command": "python main.py",
    "start_ticks": 5_000,
    "python": "3.12.1",
    "framework": "uvicorn",
    "threads": 2,
    "attached_ns": START_NS,
    "oracles": {"threads": "ok", "epoll": "ok", "asyncio": "no symbols"},
    "runtime_span": [4096, 8192],
}
THREADS: list[list[Any]] = [
    [at(0), 7, "S", 232, 5, 100, 0, 1],
    [at(200), 7, "S", 230, 0, 200, 5, 2],
    [at(0), 8, "S", 202, 4100, 100, 0, 1],
    [at(800), 7, "S", 232, 5, 300, 5, 3],
    [at(900), 8, "X", None, None, None, None, None],
]
EPOLL: list[list[Any]] = [
    [at(0), 5, "open", 1],
    [at(300), 5, "ready", True],
    [at(400), 5, "unread", [[6, 66, "tcp", 120, "127.0.0.1:8000", "127.0.0.1:50000", True]]],
    [at(800), 5, "ready", False],
    [at(950), 5, "closed", True],
]
DUMP: dict[str, Any] = {
    "at_ns": at(310),
    "stacks": {"7": [[f.function, f.file, f.line] for f in HANDLER], "8": [["f", "x.py", None]]},
    "gil_tid": 8,
}
SOURCES = {"/app/client.py": {41: "    time.sleep(backoff_s)"}}


def trace() -> str:
    """One second of two threads; the second one's name ends like the file does."""
    rows = Trace(7).show(1_000, 1, "thread (7): MainThread", POLL)
    rows.show(1_100, 2, "thread (8): pool[1]", HANDLER[-1:])
    return rows.show(200_000, 1, "thread (7): MainThread", HANDLER).end(999_000)


def write(path: Path, worker: dict[str, Any] | None = None, **more: Any) -> Path:
    """A whole recording of one worker, as the capture writes it."""
    writer = Writer(str(path), META)
    writer.start_stream("threads", 7, ("at_ns", "tid", "state"))
    writer.append("threads", 7, THREADS)
    writer.start_stream("epoll", 7, ("at_ns", "epfd", "what", "value"))
    writer.append("epoll", 7, EPOLL)
    writer.append_dump(7, DUMP)
    writer.save_file("stacks/7-0.trace.json", trace())
    writer.meta["workers"] = [WORKER | (worker or {})]
    writer.meta["segments"] = [
        {"pid": 7, "n": 0, "file": "7-0.trace.json", "zero_ns": START_NS, "rate_hz": 100,
         "end_ns": at(1_000), "samples": 190, "errors": 0}
    ]  # fmt: skip
    writer.meta["losses"] = []
    writer.meta["end_ns"] = END_NS
    writer.meta["cost"] = {"cpu_s": 0.3, "cpu_share": 0.03, "peak_rss_mb": 34.2}
    writer.meta.update(more)
    writer.close()
    save_sources(str(path), SOURCES)
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write(tmp_path / "rec")


def load(path: Path) -> Recording:
    return loading.load(str(path))


def change(path: Path, **more: Any) -> None:
    meta = json.loads((path / "meta.json").read_text("utf-8"))
    meta.update(more)
    (path / "meta.json").write_text(json.dumps(meta), "utf-8")


def drop(path: Path, *keys: str) -> None:
    meta = json.loads((path / "meta.json").read_text("utf-8"))
    for key in keys:
        del meta[key]
    (path / "meta.json").write_text(json.dumps(meta), "utf-8")


def whats(recording: Recording) -> set[str]:
    return {loss.what for loss in recording.losses}


# --- whole ------------------------------------------------------------------------------------------


def test_a_whole_recording_has_no_losses(whole: Path) -> None:
    recording = load(whole)
    assert recording.losses == ()
    assert recording.cost == Cost(0.3, 0.03, 34.2)
    assert recording.sources == SOURCES
    assert recording.info.duration_s == 1.0
    assert (recording.info.end_ns, recording.info.arch) == (END_NS, "x86_64")


def test_a_workers_streams_become_values(whole: Path) -> None:
    (record,) = load(whole).workers
    assert record.worker.framework == "uvicorn"
    assert record.runtime_span == (4096, 8192)
    assert record.states == {
        7: (
            KernelState(at(0), "S", 232, 5, 100, 0, 1),
            KernelState(at(200), "S", 230, 0, 200, 5, 2),
            KernelState(at(800), "S", 232, 5, 300, 5, 3),
        ),
        8: (KernelState(at(0), "S", 202, 4100, 100, 0, 1), KernelState(at(900), "X", gone=True)),
    }
    socket = UnreadSocket(6, 66, "tcp", 120, "127.0.0.1:8000", "127.0.0.1:50000", inbound=True)
    assert record.epolls == (
        EpollEvent(at(0), 5, share=1),
        EpollEvent(at(300), 5, ready=True),
        EpollEvent(at(400), 5, unread=(socket,)),
        EpollEvent(at(800), 5, ready=False),
        EpollEvent(at(950), 5, closed=True),
    )
    (dump,) = record.dumps
    assert isinstance(dump, Dump)
    assert (dump.at_ns, dump.gil_tid, dump.stacks[7]) == (at(310), 8, HANDLER)
    (segment,) = record.segments
    assert [(t.tid, t.name) for t in segment.threads] == [(7, "MainThread"), (8, "pool[1]")]


def test_the_achieved_rate_is_per_thread(whole: Path) -> None:
    (record,) = load(whole).workers
    # 190 looks at two threads in one second: 95 of the 100 that were asked for.
    assert record.samples == 190
    assert record.rate_hz == pytest.approx(95, rel=0.02)
    assert record.missed_samples == pytest.approx(5, abs=2)


def test_what_is_unknown_stays_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "rec")
    meta = json.loads((path / "meta.json").read_text("utf-8"))
    for key in ("python", "framework", "threads", "runtime_span"):
        del meta["workers"][0][key]
    del meta["segments"][0]["samples"]
    del meta["cost"]
    (path / "meta.json").write_text(json.dumps(meta), "utf-8")
    recording = load(path)
    (record,) = recording.workers
    assert (record.worker.python, record.worker.framework, record.worker.threads) == (None,) * 3
    assert (record.rate_hz, record.samples, record.missed_samples) == (None,) * 3
    assert (record.runtime_span, record.gone_ns, record.exit) == (None,) * 3
    assert recording.cost == Cost()


def test_losses_of_the_capture_are_kept(tmp_path: Path) -> None:
    row = {"what": "1.0 s of stacks", "why": "killed", "remedy": "sampling went on", "pid": 7}
    recording = load(write(tmp_path / "rec", losses=[row]))
    assert recording.losses == (Loss("1.0 s of stacks", "killed", "sampling went on", 7),)


def test_segments_of_other_workers_are_not_mixed_in(tmp_path: Path) -> None:
    path = write(tmp_path / "rec")
    change(path, workers=[WORKER, WORKER | {"pid": 9}])
    seven, nine = load(path).workers
    assert len(seven.segments) == 1
    assert (nine.segments, nine.states, nine.epolls, nine.dumps) == ((), {}, (), ())


def test_pthread_ids_of_old_pythons_become_thread_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "rec", {"native_ids": [[START_NS, 0x7F00, 7], [at(100), 0x7F08, 8]]})
    own = Trace(7).show(1_000, 0x7F00, "thread (0x7F00): MainThread", POLL)
    own.show(120_000, 0x7F08, "thread (0x7F08): pool", HANDLER[-1:])
    (path / "stacks/7-0.trace.json").write_text(own.end(999_000), "utf-8")
    (segment,) = load(path).workers[0].segments
    assert [(t.tid, t.name) for t in segment.threads] == [(7, "MainThread"), (8, "pool")]


def test_a_segment_file_is_looked_for_in_the_recording_only(tmp_path: Path) -> None:
    path = write(tmp_path / "rec")
    meta = json.loads((path / "meta.json").read_text("utf-8"))
    (tmp_path / "outside.json").write_text(trace(), "utf-8")
    meta["segments"][0]["file"] = "../../outside.json"
    (path / "meta.json").write_text(json.dumps(meta), "utf-8")
    recording = load(path)
    assert recording.workers[0].segments == ()
    assert whats(recording) == {"stacks of pid 7, segment 0"}


# --- refused ----------------------------------------------------------------------------------------


def refused(path: Path) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        load(path)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in str(refused(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("", "utf-8")
    assert "is not a folder" in str(refused(tmp_path / "file"))


def test_a_folder_without_meta_is_no_recording(tmp_path: Path, whole: Path) -> None:
    assert "it has no meta.json" in str(refused(tmp_path))
    (whole / "meta.json").unlink()
    assert "waitspy record" in refused(whole).hint


@pytest.mark.parametrize("text", ["", "{", "nonsense", "\0" * 100, '{"schema": "wai', "\ufeff{}"])
def test_a_meta_that_is_no_json_is_refused(whole: Path, text: str) -> None:
    (whole / "meta.json").write_text(text, "utf-8")
    assert "empty or not JSON" in str(refused(whole))


def test_a_meta_that_is_no_utf_8_is_refused(whole: Path) -> None:
    (whole / "meta.json").write_bytes(b'{"schema": "\xff\xfe"}')
    refused(whole)


@pytest.mark.parametrize(
    "text", ["[]", "null", "3", '"x"', "{}", '{"schema": 1}', '{"schema": "x/1"}']
)
def test_another_programs_meta_is_refused(whole: Path, text: str) -> None:
    (whole / "meta.json").write_text(text, "utf-8")
    assert "names no schema" in str(refused(whole))


@pytest.mark.parametrize(
    "schema", ["waitspy.recording/2", "waitspy.recording/1.1", "waitspy.recording/"]
)
def test_a_newer_schema_is_refused_by_name(whole: Path, schema: str) -> None:
    change(whole, schema=schema)
    error = refused(whole)
    assert schema in str(error)
    assert SCHEMA in str(error)
    assert "newer" in error.hint


@pytest.mark.parametrize("key", ["clock", "host", "target", "rate_hz", "tick_s", "min_stall_s"])
def test_a_meta_without_what_it_must_have_is_damaged(whole: Path, key: str) -> None:
    drop(whole, key)
    assert "damaged" in str(refused(whole))


# --- cut short --------------------------------------------------------------------------------------

STREAMS = (
    "oracles/threads/7.jsonl", "oracles/epoll/7.jsonl", "stacks/7-0.trace.json",
    "stacks/7.dumps.jsonl", "sources.json",
)  # fmt: skip


def prefixes(whole: Path, name: str, step: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """The file cut at every byte, put in place; what is left and what was cut off."""
    data = (whole / name).read_bytes()
    for length in range(0, len(data), step):
        (whole / name).write_bytes(data[:length])
        yield data[:length], data[length:]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_at_any_byte_loads_and_says_what_is_missing(whole: Path, name: str) -> None:
    complete = load(whole)
    for kept, lost in prefixes(whole, name):
        recording = load(whole)
        at_a_line = not kept or kept.endswith(b"\n")
        if lost == b"\n" or (name.endswith("dumps.jsonl") and at_a_line):
            continue  # nothing is missing, or nothing that the file could tell of
        assert recording.losses, f"{len(kept)} bytes of {name}: nothing is said to be missing"
        assert all(loss.what and loss.why for loss in recording.losses)
        assert recording.info == complete.info


def test_a_whole_trace_is_not_called_cut_whatever_its_names_are(whole: Path) -> None:
    own = Trace(7).show(1_000, 1, "thread (7): },{", (*POLL, frame("f},{@/app/},{.py:3")))
    (whole / "stacks/7-0.trace.json").write_text(own.end(999_000), "utf-8")
    assert load(whole).losses == ()


@pytest.mark.parametrize("name", STREAMS)
def test_what_was_recorded_before_the_cut_is_still_there(whole: Path, name: str) -> None:
    (complete,) = load(whole).workers
    for _ in prefixes(whole, name, step=7):
        (record,) = load(whole).workers
        for tid, states in record.states.items():
            assert states == complete.states[tid][: len(states)]
        assert record.epolls == complete.epolls[: len(record.epolls)]
        assert record.dumps == complete.dumps[: len(record.dumps)]
        for segment in record.segments:
            assert segment.end_ns <= complete.segments[0].end_ns


@pytest.mark.parametrize("name", STREAMS[:2])
def test_each_whole_row_before_the_cut_counts(whole: Path, name: str) -> None:
    for kept, _ in prefixes(whole, name):
        (record,) = load(whole).workers
        found = sum(map(len, record.states.values())) if "threads" in name else len(record.epolls)
        rows = [line for line in kept.split(b"\n") if line.startswith(b"[")]
        assert len(rows) - 1 <= found <= len(rows)


def test_a_cut_meta_is_refused(whole: Path) -> None:
    for _ in prefixes(whole, "meta.json"):
        refused(whole)


def test_a_cut_recording_can_be_judged(whole: Path) -> None:
    for name in STREAMS:
        data = (whole / name).read_bytes()
        for _ in prefixes(whole, name, step=53):
            analysis.analyse(load(whole))
        (whole / name).write_bytes(data)


def test_a_capture_that_was_killed_says_so(whole: Path) -> None:
    drop(whole, "end", "end_ns", "cost")
    recording = load(whole)
    # The last thing that it knows of: the end of the stacks.
    assert whats(recording) == {"everything after 0.999 s"}
    assert recording.info.end_ns == START_NS + 999_000_000


def test_a_killed_capture_lasts_as_long_as_its_last_row(whole: Path) -> None:
    drop(whole, "end", "end_ns", "cost")
    for name, last_ns in (
        ("stacks/7-0.trace.json", at(950)),
        ("oracles/epoll/7.jsonl", at(900)),
        ("oracles/threads/7.jsonl", at(310)),
        ("stacks/7.dumps.jsonl", START_NS),
    ):
        (whole / name).unlink()
        assert load(whole).info.end_ns == last_ns


def test_a_killed_capture_without_any_data_still_loads(tmp_path: Path) -> None:
    Writer(str(tmp_path / "rec"), META)
    recording = load(tmp_path / "rec")
    assert (recording.workers, recording.info.duration_s) == ((), 0.0)
    assert whats(recording) == {"everything after 0 s"}


@pytest.mark.parametrize(
    "name", ["stacks/7-0.trace.json", "oracles/threads/7.jsonl", "oracles/epoll/7.jsonl"]
)
def test_a_missing_file_is_told(whole: Path, name: str) -> None:
    (whole / name).unlink()
    assert load(whole).losses


def test_a_stream_that_an_oracle_never_opened_is_no_loss(tmp_path: Path) -> None:
    path = write(tmp_path / "rec", {"oracles": {"threads": "ok", "epoll": "no permission"}})
    (path / "oracles/epoll/7.jsonl").unlink()
    assert load(path).losses == ()


def test_a_segment_whose_loss_the_capture_has_told_is_not_told_again(tmp_path: Path) -> None:
    path = write(tmp_path / "rec")
    meta = json.loads((path / "meta.json").read_text("utf-8"))
    meta["segments"][0]["why"] = "py-spy was killed by SIGKILL"
    (path / "meta.json").write_text(json.dumps(meta), "utf-8")
    (path / "stacks/7-0.trace.json").unlink()
    assert load(path).losses == ()


def test_zeros_at_the_end_of_a_file_after_a_crash_are_a_cut(whole: Path) -> None:
    stream = whole / "oracles/threads/7.jsonl"
    kept = stream.read_bytes().splitlines(keepends=True)[:3]
    stream.write_bytes(b"".join(kept) + bytes(4096))
    recording = load(whole)
    assert len(recording.workers[0].states[7]) == 2
    assert "end of oracle threads of pid 7" in whats(recording)


def test_rows_after_an_end_belong_to_the_next_process_of_that_pid(whole: Path) -> None:
    stream = whole / "oracles/threads/7.jsonl"
    with stream.open("a", encoding="utf-8") as f:
        f.write(json.dumps([at(960), 7, "R", None, None, 400, 5, 4]) + "\n")
    recording = load(whole)
    assert len(recording.workers[0].states[7]) == 4
    assert "end of oracle threads of pid 7" in whats(recording)  # it lacks the second end


def test_odd_rows_are_counted_not_guessed(whole: Path) -> None:
    stream = whole / "oracles/epoll/7.jsonl"
    rows = stream.read_text("utf-8").splitlines()
    rows[1:1] = ['[1, 5, "new thing", 3]', "[1]", '[1, 5, "open", "x"]']
    stream.write_text("\n".join(rows) + "\n", "utf-8")
    recording = load(whole)
    assert len(recording.workers[0].epolls) == len(EPOLL)
    assert whats(recording) == {"3 of the epoll rows of pid 7"}


# --- hostile ----------------------------------------------------------------------------------------

HOSTILE = "\ud800<script>\x1b[31m\u202e\n\"'],},{\\ud8\udfff" + "x" * 200


def test_hostile_text_is_valid_unicode_after_loading(tmp_path: Path) -> None:
    recording = load(hostile(tmp_path / "rec"))
    (record,) = recording.workers
    frames = [f for s in record.segments for t in s.threads for i in t.intervals for f in i.stack]
    frames += [f for dump in record.dumps for stack in dump.stacks.values() for f in stack]
    texts = [t.name for s in record.segments for t in s.threads]
    texts += [f.function for f in frames] + [f.file for f in frames]
    texts += [record.worker.command, str(record.exit), *record.oracles.values()]
    texts += [s.peer for e in record.epolls for s in e.unread or ()]
    texts += [recording.info.target, recording.info.host]
    texts += list(recording.sources)
    texts += [line for lines in recording.sources.values() for line in lines.values()]
    texts += [loss.what for loss in recording.losses]
    assert len(texts) > 20
    for text in texts:
        text.encode("utf-8")


def hostile(path: Path) -> Path:
    """A recording in which every text that comes from a target is hostile."""
    write(
        path,
        {"command": HOSTILE, "exit": HOSTILE, "oracles": {"epoll": HOSTILE, "threads": "ok"}},
        target=HOSTILE,
        losses=[{"what": HOSTILE, "why": HOSTILE, "remedy": HOSTILE, "pid": 7}],
        host={"name": HOSTILE, "arch": "x86_64"},
    )
    own = Trace(7)
    stack = tuple(type(f)(f.function, f.file, f.line) for f in HANDLER)
    odd = (*stack, type(stack[0])(HOSTILE, HOSTILE, 3))
    own.show(1_000, 1, f"thread (7): {HOSTILE}", POLL)
    (path / "stacks/7-0.trace.json").write_text(
        own.show(200_000, 1, f"thread (7): {HOSTILE}", odd).end(999_000), "utf-8"
    )
    row = dict(DUMP, stacks={"7": [[HOSTILE, HOSTILE, 3]]})
    (path / "stacks/7.dumps.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    rows = [[at(400), 5, "unread", [[6, 66, "tcp", 120, HOSTILE, HOSTILE, True]]]]
    with (path / "oracles/epoll/7.jsonl").open("r+", encoding="utf-8") as f:
        text = f.read().replace(json.dumps(EPOLL[2], separators=(",", ":")), json.dumps(rows[0]))
        f.seek(0)
        f.write(text)
    save_sources(str(path), {HOSTILE: {3: HOSTILE}})
    return path


def test_every_format_survives_hostile_text(tmp_path: Path) -> None:
    recording = load(hostile(tmp_path / "rec"))
    judged = analysis.analyse(recording)
    assert judged.report.findings
    for name, make in REPORTS.items():
        stream = StringIO()
        make().render(judged.report, stream)
        assert stream.getvalue().encode("utf-8"), name
    profile = merge(judged.threads, title=HOSTILE, start_ns=START_NS, end_ns=END_NS)
    for name, make_graph in FLAMEGRAPHS.items():
        for weight in WEIGHTS:
            graph = make_graph(weight)
            if graph.binary:
                continue
            stream = StringIO()
            graph.render(profile, stream)
            assert stream.getvalue().encode("utf-8"), name


# --- properties -------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
SHARED = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def judge_or_refuse(path: Path) -> None:
    """A damaged recording is refused with a hint, or judged like any other."""
    try:
        recording = load(path)
    except RecordingError as error:
        if not error.hint:
            raise
    else:
        analysis.analyse(recording)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a JSON value, itself included."""
    yield path
    rows = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in rows:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("shared") / "rec")


@SHARED
@given(st.data(), ANY_JSON)
def test_a_meta_with_any_value_in_any_place_loads_or_is_refused(
    shared: Path, data: st.DataObject, value: Any
) -> None:
    name = shared / "meta.json"
    text = name.read_text("utf-8")
    meta = json.loads(text)
    where = data.draw(st.sampled_from(list(places(meta))))
    try:
        name.write_text(json.dumps(replaced(meta, where, value)), "utf-8")
        judge_or_refuse(shared)
    finally:
        name.write_text(text, "utf-8")


@SHARED
@given(st.data(), st.sampled_from(STREAMS), ANY_JSON)
def test_a_stream_with_any_value_in_any_place_loads_or_is_refused(
    shared: Path, data: st.DataObject, stream: str, value: Any
) -> None:
    name = shared / stream
    text = name.read_text("utf-8")
    lines = text.splitlines() if stream.endswith("jsonl") else [text]
    n = data.draw(st.integers(0, len(lines) - 1))
    row = json.loads(lines[n])
    where = data.draw(st.sampled_from(list(places(row))))
    lines[n] = json.dumps(replaced(row, where, value))
    try:
        name.write_text("\n".join(lines) + "\n", "utf-8")
        judge_or_refuse(shared)
    finally:
        name.write_text(text, "utf-8")


@SHARED
@given(st.sampled_from((*STREAMS, "meta.json")), st.integers(0, 10**6), st.binary(max_size=8))
@example("oracles/threads/7.jsonl", 0, b"")
def test_a_damaged_file_loads_or_is_refused(
    shared: Path, stream: str, offset: int, garbage: bytes
) -> None:
    name = shared / stream
    data = name.read_bytes()
    cut = offset % (len(data) + 1)
    try:
        name.write_bytes(data[:cut] + garbage)
        judge_or_refuse(shared)
        name.write_bytes(data[:cut] + garbage + data[cut + len(garbage) :])
        judge_or_refuse(shared)
    finally:
        name.write_bytes(data)


@SHARED
@given(st.sets(st.sampled_from((*STREAMS, "stacks", "oracles"))))
def test_a_recording_without_some_of_its_files_loads(shared: Path, gone: set[str]) -> None:
    copy = shared.parent / "copy"
    shutil.copytree(shared, copy)
    try:
        for name in sorted(gone):
            if (copy / name).is_dir():
                shutil.rmtree(copy / name)
            elif (copy / name).exists():
                (copy / name).unlink()
        recording = load(copy)
        analysis.analyse(recording)
    finally:
        shutil.rmtree(copy)
