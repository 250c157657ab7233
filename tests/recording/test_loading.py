"""Recordings are loaded whole, or refused with what to do; their texts become valid Unicode."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest

from tests.examples.build import HANDLER, POLL, START_NS, Trace, at
from tests.examples.recording_examples import (
    END_NS,
    HOSTILE,
    SOURCES,
    WORKER,
    change,
    drop,
    hostile,
    load,
    trace,
    whats,
    write,
)
from waitspy.errors import RecordingError
from waitspy.judge import analysis
from waitspy.judge.merge import merge
from waitspy.model.clock import NS
from waitspy.model.epolls import EpollEvent, UnreadSocket
from waitspy.model.judged import WEIGHTS
from waitspy.model.recorded import Cost, Loss
from waitspy.model.threads import Dump, KernelState
from waitspy.recording.folder import SCHEMA
from waitspy.render import FLAMEGRAPHS, REPORTS


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write(tmp_path / "rec")


# --- whole ------------------------------------------------------------------------------------------


def test_a_whole_recording_has_no_losses(whole: Path) -> None:
    recording = load(whole)
    assert recording.losses == ()
    assert recording.cost == Cost(0.3, 0.03, 34.2)
    assert recording.sources == SOURCES
    assert recording.info.duration_s == 1.0
    assert (recording.info.end_ns, recording.info.arch) == (END_NS, "x86_64")


def test_a_workers_streams_become_values(whole: Path) -> None:
    recording = load(whole)
    (record,) = recording.workers
    assert record.worker.framework == "uvicorn"
    assert record.runtime_span == (4096, 8192)
    assert record.states == {
        7: (
            KernelState(at(0), "S", 232, 5, 100, 0),
            KernelState(at(200), "S", 230, 0, 200, 5),
            KernelState(at(800), "S", 232, 5, 300, 5),
        ),
        8: (KernelState(at(0), "S", 202, 4100, 100, 0), KernelState(at(900), "X")),
    }
    socket = UnreadSocket(66, "tcp", 120, "127.0.0.1:8000", "127.0.0.1:50000", inbound=True)
    assert record.epolls == (
        EpollEvent(at(0), 5, share=1),
        EpollEvent(at(300), 5, ready=True),
        EpollEvent(at(400), 5, unread=(socket,)),
        EpollEvent(at(800), 5, ready=False),
        EpollEvent(at(950), 5, closed=True),
    )
    (dump,) = record.dumps
    assert isinstance(dump, Dump)
    assert (dump.at_ns, dump.gil_tid) == (at(310), 8)
    assert recording.stacks[dump.stacks[7]] == HANDLER
    (segment,) = record.segments
    assert [(t.tid, t.name) for t in segment.threads] == [(7, "MainThread"), (8, "pool[1]")]


def test_the_achieved_rate_is_per_thread(whole: Path) -> None:
    (record,) = load(whole).workers
    # 180 looks at two threads, of which one lived for 900 ms only: 95 of the 100 a second that were
    # asked for.
    assert record.samples == 180
    assert record.rate_hz == pytest.approx(95, rel=0.02)
    assert record.missed_samples == pytest.approx(5, abs=2)


def test_the_achieved_rate_counts_the_pauses_between_two_samplers(
    whole: Path,
) -> None:
    def rate_hz(later_ns: int, samples: int) -> float | None:
        meta = json.loads((whole / "meta.json").read_text("utf-8"))
        (first,) = meta["segments"][:1]
        later = {**first, "n": 1, "zero_ns": first["zero_ns"] + later_ns, "samples": samples}
        later.pop("end_ns", None)
        first.pop("end_ns", None)
        meta["segments"] = [first, later]
        meta["end_ns"] = later["zero_ns"] + 2 * NS
        (whole / "meta.json").write_text(json.dumps(meta), "utf-8")
        return load(whole).workers[0].rate_hz

    # One of the two threads has ended by then.
    assert rate_hz(3 * NS, 95) == pytest.approx(95 * 2 / 4, rel=0.02)
    # While one relieves the other, both sample: that is no faster rate.
    assert rate_hz(NS // 2, 133) == pytest.approx(95, rel=0.02)


def test_when_we_held_up_threads_of_a_worker_stands_with_it(whole: Path) -> None:
    meta = json.loads((whole / "meta.json").read_text("utf-8"))
    pid = meta["workers"][0]["pid"]
    loss = {"what": "0.5 s", "why": "it stood", "remedy": "nothing", "held_up": [[7, 10, 20]]}
    meta["losses"] = [{**loss, "pid": pid}, {**loss, "pid": pid + 1}, {**loss, "held_up": []}]
    (whole / "meta.json").write_text(json.dumps(meta), "utf-8")
    record = load(whole).workers[0]
    assert record.held_up == ((7, 10, 20),)


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
    assert (nine.segments, nine.states, len(nine.epolls), nine.dumps) == ((), {}, 0, ())


def test_what_the_look_at_an_exec_has_seen_is_the_new_programs(tmp_path: Path) -> None:
    path = write(tmp_path / "rec")
    before, after = WORKER | {"gone_ns": at(800)}, WORKER | {"attached_ns": at(800)}
    change(path, workers=[before, after])
    one, two = load(path).workers
    assert (one.process, two.process) == (0, 1)
    assert [row.at_ns for row in one.states[7]] == [at(0), at(200)]
    assert [row.at_ns for row in two.states[7]] == [at(800)]
    assert [event.at_ns for event in one.epolls] == [at(0), at(300), at(400)]
    assert [event.at_ns for event in two.epolls] == [at(800), at(950)]


def test_pthread_ids_of_old_pythons_become_thread_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "rec", {"native_ids": [[START_NS, 0x7F00, 7], [at(100), 0x7F08, 8]]})
    own = Trace(7).show(1_000, 0x7F00, "thread (0x7F00): MainThread", POLL)
    own.show(120_000, 0x7F08, "thread (0x7F08): pool", HANDLER[-1:])
    (path / "stacks/7-0.trace.json").write_text(own.end(999_000), "utf-8")
    (segment,) = load(path).workers[0].segments
    assert [(t.tid, t.name) for t in segment.threads] == [(7, "MainThread"), (8, "pool")]


def test_stacks_of_a_thread_that_is_nobodys_are_told_as_a_loss(tmp_path: Path) -> None:
    path = write(tmp_path / "rec", {"oracles": WORKER["oracles"] | {"threads": "ok"}})
    own = Trace(7).show(0, 1, "thread (4242): MainThread", POLL)
    (path / "stacks/7-0.trace.json").write_text(own.end(1_500_000), "utf-8")
    (loss,) = load(path).losses
    assert "stacks of pid 7" in loss.what
    assert "4242" in loss.why
    own = Trace(7).show(0, 1, "thread (4242): MainThread", POLL)
    (path / "stacks/7-0.trace.json").write_text(own.end(500_000), "utf-8")
    assert load(path).losses == ()


def test_a_segment_file_is_looked_for_in_the_recording_only(tmp_path: Path) -> None:
    path = write(tmp_path / "rec")
    meta = json.loads((path / "meta.json").read_text("utf-8"))
    (tmp_path / "outside.json").write_text(trace(), "utf-8")
    meta["segments"][0]["file"] = "../../outside.json"
    (path / "meta.json").write_text(json.dumps(meta), "utf-8")
    recording = load(path)
    assert recording.workers[0].segments == ()
    assert whats(recording) == {"stacks, segment 0"}


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
    "schema", ["waitspy.recording/1", "waitspy.recording/3", "waitspy.recording/"]
)
def test_another_schema_is_refused_by_name(whole: Path, schema: str) -> None:
    change(whole, schema=schema)
    error = refused(whole)
    assert schema in str(error)
    assert SCHEMA in str(error)
    assert "newer" in error.hint


@pytest.mark.parametrize("key", ["clock", "host", "target", "rate_hz", "tick_s", "min_stall_s"])
def test_a_meta_without_what_it_must_have_is_damaged(whole: Path, key: str) -> None:
    drop(whole, key)
    assert "damaged" in str(refused(whole))


# --- hostile ----------------------------------------------------------------------------------------


def test_hostile_text_is_valid_unicode_after_loading(tmp_path: Path) -> None:
    recording = load(hostile(tmp_path / "rec"))
    (record,) = recording.workers
    frames = [f for s in record.segments for t in s.threads for i in t.intervals for f in i.stack]
    stacks = [recording.stacks[n] for dump in record.dumps for n in dump.stacks.values()]
    frames += [f for stack in stacks for f in stack]
    assert set(frames) == set(recording.stacks.frames)
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


@pytest.mark.parametrize("escape", [r"\ud800", r"\uD800"])
def test_a_lone_surrogate_is_replaced_however_it_is_spelt(whole: Path, escape: str) -> None:
    name = whole / "meta.json"
    name.write_text(name.read_text("utf-8").replace(":8000", f"a{escape}b", 1), "utf-8")
    assert load(whole).info.target == "a?b"


def test_every_format_survives_hostile_text(tmp_path: Path) -> None:
    recording = load(hostile(tmp_path / "rec"))
    judged = analysis.analyse(recording)
    assert judged.report.findings
    for name, make in REPORTS.items():
        stream = StringIO()
        make().render(judged, stream)
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
