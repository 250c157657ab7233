"""Streams that were cut short, lost or damaged: what is there counts, what is missing is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.examples.build import POLL, START_NS, Trace, at, frame
from tests.examples.recording_examples import EPOLL, META, STREAMS, change, drop, load, whats, write
from waitspy.errors import RecordingError
from waitspy.judge import analysis
from waitspy.model.recorded import Recording
from waitspy.model.stacks import Stack
from waitspy.recording.folder import Writer


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write(tmp_path / "rec")


# --- cut short --------------------------------------------------------------------------------------


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
        assert not [loss for loss in recording.losses if loss.pid and "pid" in loss.what]
        assert recording.info == complete.info


def test_a_whole_trace_is_not_called_cut_whatever_its_names_are(whole: Path) -> None:
    own = Trace(7).show(1_000, 1, "thread (7): },{", (*POLL, frame("f},{@/app/},{.py:3")))
    (whole / "stacks/7-0.trace.json").write_text(own.end(999_000), "utf-8")
    assert load(whole).losses == ()


def shown(recording: Recording) -> list[tuple[int, dict[int, Stack]]]:
    """The dumps of the only worker, with their stacks."""
    dumps = recording.workers[0].dumps
    return [(d.at_ns, {tid: recording.stacks[n] for tid, n in d.stacks.items()}) for d in dumps]


@pytest.mark.parametrize("name", STREAMS)
def test_what_was_recorded_before_the_cut_is_still_there(whole: Path, name: str) -> None:
    everything = load(whole)
    (complete,) = everything.workers
    for _ in prefixes(whole, name, step=7):
        recording = load(whole)
        (record,) = recording.workers
        for tid, states in record.states.items():
            assert states == complete.states[tid][: len(states)]
        assert record.epolls == complete.epolls[: len(record.epolls)]
        assert shown(recording) == shown(everything)[: len(record.dumps)]
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
        with pytest.raises(RecordingError):
            load(whole)


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


def test_a_killed_capture_knows_nothing_after_its_last_flush(whole: Path) -> None:
    """A full buffer may have brought rows of one stream to the disk, and none of another."""
    drop(whole, "end", "end_ns", "cost")
    change(whole, flushed_ns=at(400))
    recording = load(whole)
    assert whats(recording) == {"everything after 0.4 s"}
    (record,) = recording.workers
    assert {tid: states[-1].at_ns for tid, states in record.states.items()} == {
        7: at(200),
        8: at(0),
    }
    assert record.epolls[-1].at_ns == at(400)
    assert analysis.analyse(recording).report.recording.duration_s == pytest.approx(0.4)


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


def test_of_two_torn_streams_the_earlier_end_counts(whole: Path) -> None:
    """After it nothing is known of the worker, although the capture went on."""
    ends = {}
    for oracle, kept in (("threads", 3), ("epoll", 5)):
        stream = whole / f"oracles/{oracle}/7.jsonl"
        rows = stream.read_bytes().splitlines(keepends=True)[:kept]
        stream.write_bytes(b"".join(rows))
        ends[oracle] = next(n for n in json.loads(rows[-1]) if isinstance(n, int))
    assert ends == {"threads": at(200), "epoll": at(800)}
    (record,) = load(whole).workers
    assert record.gone_ns == at(200)
    assert record.exit is None


def test_zeros_at_the_end_of_a_file_after_a_crash_are_a_cut(whole: Path) -> None:
    stream = whole / "oracles/threads/7.jsonl"
    kept = stream.read_bytes().splitlines(keepends=True)[:3]
    stream.write_bytes(b"".join(kept) + bytes(4096))
    recording = load(whole)
    assert len(recording.workers[0].states[7]) == 2
    assert "end of oracle threads" in whats(recording)


def test_rows_after_an_end_belong_to_the_next_process_of_that_pid(whole: Path) -> None:
    stream = whole / "oracles/threads/7.jsonl"
    with stream.open("a", encoding="utf-8") as f:
        f.write(json.dumps([at(960), 7, "R", None, None, 400, 5]) + "\n")
    recording = load(whole)
    assert len(recording.workers[0].states[7]) == 4
    assert "end of oracle threads" in whats(recording)  # it lacks the second end


def test_odd_rows_are_counted_not_guessed(whole: Path) -> None:
    stream = whole / "oracles/epoll/7.jsonl"
    rows = stream.read_text("utf-8").splitlines()
    rows[1:1] = ['["new thing", 1, 5, 3]', "[1]", '["open", 1, 5, "x"]', '["ready", 1, 5, tru]']
    stream.write_text("\n".join(rows) + "\n", "utf-8")
    recording = load(whole)
    assert len(recording.workers[0].epolls) == len(EPOLL)
    assert whats(recording) == {"4 of the epoll rows"}


def test_a_dump_that_cannot_be_read_costs_itself_only(whole: Path) -> None:
    name = whole / "stacks/7.dumps.jsonl"
    whole_line = name.read_bytes()
    name.write_bytes(b"[1]\n" + whole_line + whole_line[:20])
    recording = load(whole)
    assert len(recording.workers[0].dumps) == 1
    assert whats(recording) == {"2 of the dumps"}


def test_a_process_that_calls_exec_has_two_starts_in_one_stream(whole: Path) -> None:
    stream = whole / "oracles/epoll/7.jsonl"
    stream.write_bytes(stream.read_bytes() * 2)
    recording = load(whole)
    assert len(recording.workers[0].epolls) == 2 * len(EPOLL)
    assert recording.losses == ()


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


@pytest.mark.parametrize("rate_hz", [1e-130, 0.0, -5.0, 1e300])
def test_a_rate_that_no_sampler_has_is_a_loss(whole: Path, rate_hz: float) -> None:
    name = whole / "meta.json"
    meta = json.loads(name.read_text("utf-8"))
    meta["segments"][0]["rate_hz"] = rate_hz
    name.write_text(json.dumps(meta), "utf-8")
    recording = load(whole)
    assert any("cannot be read" in loss.why for loss in recording.losses)
    analysis.analyse(recording)
