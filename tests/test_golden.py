"""Small recordings of real servers, replayed: the same recording gives the same bytes, and these.

``tests/golden/record.py`` made them and accepts a changed report.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import jsonschema
import pytest

from tests.golden import record
from waitspy.errors import RecordingError
from waitspy.judge import analysis
from waitspy.model.judged import WEIGHTS
from waitspy.recording import loading
from waitspy.render import FLAMEGRAPHS, REPORTS
from waitspy.render.reports.json_report import schema

NAMES = ("blocked", "blocked-delta", "healthy", "parked", "piped")
MOST_BYTES = 150_000


def outputs(name: str) -> Iterator[tuple[str, bytes]]:
    """Every format of a golden recording, loaded and judged anew."""
    loaded = loading.load(str(record.folder(name)))
    judged = analysis.analyse(loaded)
    for format_, make in REPORTS.items():
        stream = TextIOWrapper(BytesIO(), "utf-8", newline="")
        make().render(judged, stream)
        yield format_, written(stream)
    for lines in (False, True):
        profile = analysis.profile(judged, lines=lines)
        for format_, make_graph in FLAMEGRAPHS.items():
            for weight in WEIGHTS:
                graph = make_graph(weight)
                stream = TextIOWrapper(BytesIO(), "utf-8", newline="")
                graph.render(profile, stream.buffer if graph.binary else stream)
                yield f"{format_} {weight} {lines}", written(stream)


def written(stream: TextIOWrapper) -> bytes:
    stream.flush()
    assert isinstance(stream.buffer, BytesIO)
    return stream.buffer.getvalue()


def test_all_golden_recordings_are_replayed() -> None:
    assert record.names() == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_the_expected_one(name: str) -> None:
    expected = record.expected(name)
    actual = expected.with_suffix(".actual.json")
    text = record.report(name)
    wanted = expected.read_text("utf-8")
    if text == wanted:
        actual.unlink(missing_ok=True)
        return
    actual.write_text(text, "utf-8")
    rows = difflib.unified_diff(
        wanted.splitlines(), text.splitlines(), expected.name, actual.name, lineterm=""
    )
    pytest.fail("\n".join([*rows, "accept with: python -m tests.golden.record --accept"]))


@pytest.mark.parametrize("name", NAMES)
def test_the_expected_report_satisfies_the_schema(name: str) -> None:
    jsonschema.Draft202012Validator(schema()).validate(
        json.loads(record.expected(name).read_text("utf-8"))
    )


@pytest.mark.parametrize(
    ("name", "kind", "function", "wait", "victim"),
    [
        ("blocked", "blocked-loop", "backoff", "sleep", "requests on port"),
        ("parked", "parked-loop", "Worker.next_message", "queue", "unread data from"),
    ],
)
def test_what_the_target_does_is_what_is_found(
    name: str, kind: str, function: str, wait: str, victim: str
) -> None:
    """Guards against accepting a report that is wrong: the targets' own source is the truth."""
    found = json.loads(record.expected(name).read_text("utf-8"))["findings"]
    (finding,) = [f for f in found if f["verdict"] == "starving"]
    assert (finding["kind"], finding["wait"]["kind"]) == (kind, wait)
    blame = finding["blame"]
    assert (blame["function"], blame["share"]) == (function, 1.0)
    target = Path(blame["file"]).name
    source = (record.TARGETS / target).read_text("utf-8").splitlines()
    assert source[blame["line"] - 1].strip() == blame["source"]
    assert [v["name"].startswith(victim) for v in finding["victims"]] == [True]
    assert finding["occurrences"] >= 2


def test_it_does_not_matter_which_sampler_it_was() -> None:
    reports = (json.loads(record.expected(n).read_text("utf-8")) for n in NAMES[:2])
    one, other = ([f for f in r["findings"] if f["verdict"] == "starving"] for r in reports)
    for key in ("kind", "blame", "wait"):
        assert [finding[key] for finding in one] == [finding[key] for finding in other]


def test_both_that_wait_for_a_program_of_the_piped_target_are_found() -> None:
    report = json.loads(record.expected("piped").read_text("utf-8"))
    source = (record.TARGETS / "piped.py").read_text("utf-8").splitlines()
    for finding, function in zip(report["findings"], ("convert", "search"), strict=True):
        blame = finding["blame"]
        assert (finding["kind"], blame["function"]) == ("deadlock", function)
        assert source[blame["line"] - 1].strip() == blame["source"]


def test_the_blocked_target_is_held_as_long_as_it_sleeps() -> None:
    report = json.loads(record.expected("blocked").read_text("utf-8"))
    lengths = [e["end_s"] - e["start_s"] for f in report["findings"] for e in f["episodes"]]
    # It sleeps 0.35 s; ticks are 10 ms apart, and the recording may have begun or ended within.
    assert max(lengths) == pytest.approx(0.35, abs=0.025)


def test_nothing_is_found_in_the_healthy_target() -> None:
    report = json.loads(record.expected("healthy").read_text("utf-8"))
    assert report["findings"] == []
    assert {w["oracles"]["epoll"] for w in report["workers"]} == {"ok"}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_recording_gives_the_same_bytes(name: str) -> None:
    first, second = dict(outputs(name)), dict(outputs(name))
    assert first == second
    assert all(first[report] for report in REPORTS)


DIGESTS = """
import hashlib
from tests import test_golden
for name in test_golden.NAMES:
    for what, text in test_golden.outputs(name):
        print(name, what, hashlib.sha256(text).hexdigest())
"""


def test_the_bytes_do_not_depend_on_the_hash_seed() -> None:
    here = {
        f"{name} {what} {hashlib.sha256(text).hexdigest()}"
        for name in NAMES
        for what, text in outputs(name)
    }
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS],
            cwd=record.ROOT,
            env=env,
            capture_output=True,
            check=True,
        )
        assert set(done.stdout.decode().splitlines()) == here


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_recording_is_whole_small_and_free_of_its_machine(name: str) -> None:
    files = [path for path in record.folder(name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert loading.load(str(record.folder(name))).losses == ()
    for path in files:
        text = path.read_text("utf-8")
        for trace in ("/root", "/home", "/work", ".pyenv", "/tmp"):
            assert trace not in text, path
    sources = json.loads((record.folder(name) / "sources.json").read_text("utf-8"))
    assert all(file.startswith("/app/tests/golden/targets/") for file in sources)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_recording_cut_anywhere_is_still_judged(name: str, tmp_path: Path) -> None:
    copy = tmp_path / name
    shutil.copytree(record.folder(name), copy)
    for path in sorted(p for p in copy.rglob("*") if p.is_file()):
        data = path.read_bytes()
        for part in range(12):
            path.write_bytes(data[: len(data) * part // 12])
            try:
                recording = loading.load(str(copy))
            except RecordingError:
                assert path.name == "meta.json"
                continue
            assert path.name != "meta.json"
            assert recording.losses
            assert analysis.analyse(recording).report.losses == recording.losses
        path.write_bytes(data)


@pytest.mark.parametrize("stream", ["threads", "epoll"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_claimed_after_the_end_of_a_torn_stream(
    name: str, stream: str, tmp_path: Path
) -> None:
    """A row holds until the next one; whether there was a next one is not known of the last."""
    copy = tmp_path / name
    shutil.copytree(record.folder(name), copy)
    (path,) = (copy / "oracles" / stream).iterdir()
    rows = path.read_bytes().splitlines(keepends=True)
    for kept in range(2, len(rows) - 1):
        path.write_bytes(b"".join(rows[:kept]))
        last_s = next(n for n in json.loads(rows[kept - 1]) if isinstance(n, int)) / 1e9
        for finding in analysis.analyse(loading.load(str(copy))).report.findings:
            for episode in finding.episodes:
                assert episode.end_s <= last_s + 0.001, (kept, finding.kind.name, episode)
