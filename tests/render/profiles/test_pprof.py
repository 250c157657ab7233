"""pprof's profile: by the schema of profile.proto, and as ``go tool pprof`` reads it."""

from __future__ import annotations

import gzip
import io
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from msgspec import structs

from tests.examples import profile_examples as examples
from tests.examples.build import activities
from tests.golden import record
from tests.readers import wire
from waitspy import __version__
from waitspy.judge import analysis
from waitspy.model.activities import Activity
from waitspy.model.clock import NS
from waitspy.model.judged import WEIGHTS, Profile, RootTime, Weight
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_frames import merged_stack
from waitspy.model.waits import Wait, WaitKind
from waitspy.recording import loading
from waitspy.render import escape
from waitspy.render.profiles import tracks
from waitspy.render.profiles.pprof import PprofRenderer

PROFILES = {
    "server": examples.server,
    "watched": examples.watched,
    "idle": examples.idle,
    "empty": examples.empty,
    "hostile": examples.hostile,
}
# proto/profile.proto of https://github.com/google/pprof: name, then number, type and name of each
# field; * marks a repeated one.
SCHEMA = {
    "Profile": "1 *ValueType sample_type, 2 *Sample sample, 3 *Mapping mapping, "
    "4 *Location location, 5 *Function function, 6 *string string_table, 7 int64 drop_frames, "
    "8 int64 keep_frames, 9 int64 time_nanos, 10 int64 duration_nanos, 11 ValueType period_type, "
    "12 int64 period, 13 *int64 comment, 14 int64 default_sample_type, 15 int64 doc_url",
    "ValueType": "1 int64 type, 2 int64 unit",
    "Sample": "1 *uint64 location_id, 2 *int64 value, 3 *Label label",
    "Label": "1 int64 key, 2 int64 str, 3 int64 num, 4 int64 num_unit",
    "Mapping": "1 uint64 id, 2 uint64 memory_start, 3 uint64 memory_limit, 4 uint64 file_offset, "
    "5 int64 filename, 6 int64 build_id, 7 bool has_functions, 8 bool has_filenames, "
    "9 bool has_line_numbers, 10 bool has_inline_frames",
    "Location": "1 uint64 id, 2 uint64 mapping_id, 3 uint64 address, 4 *Line line, 5 bool is_folded",
    "Line": "1 uint64 function_id, 2 int64 line, 3 int64 column",
    "Function": "1 uint64 id, 2 int64 name, 3 int64 system_name, 4 int64 filename, "
    "5 int64 start_line",
}


@cache
def schema() -> Any:
    """The class of message Profile."""
    file = descriptor_pb2.FileDescriptorProto(
        name="profile.proto", package="perftools.profiles", syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for number, type_, field in (text.split() for text in fields.split(", ")):
            simple = type_.lstrip("*")
            known = f"TYPE_{simple.upper()}" in kinds.Type.keys()  # noqa: SIM118
            message.field.add(
                name=field,
                number=int(number),
                label=kinds.LABEL_REPEATED if type_[0] == "*" else kinds.LABEL_OPTIONAL,
                type=kinds.Type.Value(f"TYPE_{simple.upper()}") if known else kinds.TYPE_MESSAGE,
                type_name=None if known else f".perftools.profiles.{simple}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("perftools.profiles.Profile"))


def written(profile: Profile, weight: Weight = "wall") -> bytes:
    stream = io.BytesIO()
    PprofRenderer(weight).render(profile, stream)
    return stream.getvalue()


def read(profile: Profile, weight: Weight = "wall") -> Any:
    return schema().FromString(gzip.decompress(written(profile, weight)))


def stacks(parsed: Any) -> list[tuple[Stack, list[int], dict[str, str | int]]]:
    """Every sample: its stack, root first, its values and its labels."""
    strings = parsed.string_table
    functions = {one.id: one for one in parsed.function}
    places = {}
    for location in parsed.location:
        (line,) = location.line
        function = functions[line.function_id]
        name, file = strings[function.name], strings[function.filename]
        places[location.id] = Frame(name, file, line.line or None)
    return [
        (
            tuple(places[number] for number in reversed(sample.location_id)),
            list(sample.value),
            {strings[label.key]: label.num or strings[label.str] for label in sample.label},
        )
        for sample in parsed.sample
    ]


def plain(stack: Stack) -> Stack:
    return tuple(
        structs.replace(one, function=escape.plain(one.function), file=escape.plain(one.file))
        for one in stack
    )


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("name", PROFILES)
def test_is_valid_by_the_schema(name: str, weight: Weight) -> None:
    parsed = read(PROFILES[name](), weight)
    assert wire.unknown(parsed) == []
    strings = parsed.string_table
    assert strings[0] == ""
    assert len(set(strings)) == len(strings)
    types = [(strings[one.type], strings[one.unit]) for one in parsed.sample_type]
    assert types == [(weight_, "nanoseconds") for weight_ in WEIGHTS]
    assert strings[parsed.default_sample_type] == weight
    assert [one.id for one in parsed.location] == list(range(1, len(parsed.location) + 1))
    assert [one.id for one in parsed.function] == list(range(1, len(parsed.function) + 1))
    assert {one.mapping_id for one in parsed.location} <= {one.id for one in parsed.mapping}
    assert [strings[number] for number in parsed.comment] == [f"waitspy {__version__}"]


@pytest.mark.parametrize("name", PROFILES)
def test_every_thread_has_its_stacks_with_all_weights(name: str) -> None:
    profile = PROFILES[name]()
    expected: Counter[Any] = Counter()
    for thread in profile.threads:
        whose = thread.pid, thread.tid, escape.plain(thread.name)
        for step in tracks.steps(thread):
            key = (*whose, step.activity.wait.kind.value, plain(step.stack))
            expected[key, "wall"] += step.end_ns - step.start_ns
            expected[key, "starved"] += step.activity.starved_ns
            expected[key, "victims"] += step.activity.victim_ns
            expected[key, "root"] += step.activity.root_ns
    shown: Counter[Any] = Counter()
    for stack, values, labels in stacks(read(profile)):
        whom = tuple(labels[key] for key in ("pid", "tid", "thread", "wait"))
        shown.update(
            {((*whom, stack), weight): value for weight, value in zip(WEIGHTS, values, strict=True)}
        )
    assert shown == expected


def test_what_is_at_roots_is_a_sample_of_its_own() -> None:
    awaits = (Frame("refresh", "/app/cache.py", 41),)
    root = RootTime(4101, 4102, "loop", awaits, Wait(WaitKind.SLEEP, "sleep"), 600)
    *_, (stack, values, labels) = stacks(read(replace(examples.watched(), roots=(root,))))
    assert stack == plain(merged_stack(awaits, root.wait, lines=True))
    assert dict(zip(WEIGHTS, values, strict=True)) == {
        "wall": 0, "starved": 0, "victims": 0, "root": 600,
    }  # fmt: skip
    assert (labels["pid"], labels["tid"], labels["thread"]) == (4101, 4102, "loop")


def test_a_sample_says_whose_it_is_as_far_as_known() -> None:
    known = stacks(read(examples.watched()))[0][2]
    assert known == {
        "pid": 4101,
        "tid": 4101,
        "thread": "MainThread",
        "role": "worker",
        "command": "/srv/app/.venv/bin/python -m uvicorn app:app --workers 4",
        "wait": "loop-poll",
    }
    assert stacks(read(examples.server()))[0][2].keys() == {"pid", "tid", "thread", "wait"}


def test_the_time_of_day_is_told_where_it_is_known() -> None:
    known = read(examples.watched())
    started_us = datetime.fromisoformat(examples.STARTED_AT).timestamp() * 1_000_000
    assert known.time_nanos == round(started_us) * 1000
    assert known.duration_nanos == examples.LENGTH_NS
    assert read(examples.server()).time_nanos == 0
    assert read(replace(examples.server(), started_at="yesterday")).time_nanos == 0
    # A time without an offset is one of the machine that wrote it, and that is not known.
    naive = replace(examples.server(), started_at="2026-01-02T03:04:05")
    assert read(naive).time_nanos == 0


def test_samples_of_one_stack_are_one() -> None:
    parsed = read(examples.server())
    keys = [
        (tuple(one.location_id), tuple((label.key, label.str, label.num) for label in one.label))
        for one in parsed.sample
    ]
    assert len(set(keys)) == len(keys)
    assert len(keys) < sum(len(thread.activities) for thread in examples.server().threads) / 4


def test_the_same_profile_gives_the_same_bytes() -> None:
    first = written(examples.watched())
    assert first == written(examples.watched())
    assert first[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no time, no name


def test_lines_are_kept_whatever_the_merged_stacks_have() -> None:
    assert written(examples.server()) == written(examples.server(lines=True))


def test_a_frame_whose_line_is_not_known_has_none() -> None:
    thread = examples.server_threads()[0]
    shown = Activity(0, NS, (Frame("f", "/x.py"),), thread.activities[1].wait)
    profile = Profile("t", 0, NS, (), (replace(thread, activities=activities(shown)),))
    assert stacks(read(profile))[0][0] == (Frame("f", "/x.py"),)


# --- go tool pprof ------------------------------------------------------------------------------


@pytest.fixture
def go() -> str:
    found = shutil.which("go")
    if found is None:
        pytest.skip("go is not installed")
    return found


def pprof(go: str, file: Path, *options: str) -> str:
    done = subprocess.run(
        [go, "tool", "pprof", *options, str(file)], capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(file.parent), "TZ": "UTC"}, timeout=60,
    )  # fmt: skip
    return done.stdout


@pytest.mark.may_skip
def test_go_tool_pprof_reads_it(go: str, tmp_path: Path) -> None:
    file = tmp_path / "server.pb.gz"
    file.write_bytes(written(examples.watched(), "victims"))
    top = pprof(go, file, "-top", "-lines")
    assert "Type: victims" in top
    assert re.search(r"[\d.]+s .*\[sleep\] time\.sleep", top)
    assert re.search(r" <module> /srv/app/\S+/bin/uvicorn:8$", top, re.MULTILINE)
    all_nodes = ("-nodefraction=0", "-nodecount=0")
    one = pprof(
        go, file, "-top", "-sample_index=wall", "-tagfocus=pid=4102", "-unit=ns", *all_nodes
    )
    wall_ns = sum(
        step.end_ns - step.start_ns
        for thread in examples.watched().threads
        if thread.pid == 4102
        for step in tracks.steps(thread)
    )
    assert sum(int(own) for own in re.findall(r"^ *(\d+)(?:ns)? ", one, re.MULTILINE)) == wall_ns


@pytest.mark.may_skip
def test_go_tool_pprof_survives_hostile_names(go: str, tmp_path: Path) -> None:
    file = tmp_path / "hostile.pb.gz"
    file.write_bytes(written(examples.hostile()))
    assert "\x1b" not in pprof(go, file, "-traces")


def test_a_real_recording_has_its_weights() -> None:
    judged = analysis.analyse(loading.load(str(record.folder("blocked"))))
    profile = analysis.profile(judged)
    values = [sum(column) for column in zip(*(v for _, v, _ in stacks(read(profile))), strict=True)]
    for weight, value in zip(WEIGHTS, values, strict=True):
        expected = sum(one.weight(weight) for one in profile.merged)
        assert value / NS == pytest.approx(expected)
        assert value > 0
