"""The Firefox Profiler's file: whole in itself, and as the viewer's own code understands it."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.examples import profile_examples as examples
from tests.examples.build import activities
from tests.golden import record
from tests.readers import firefox_profiler
from waitspy import __version__
from waitspy.judge import analysis
from waitspy.judge.merge import merge
from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import WEIGHTS, Profile, Weight
from waitspy.model.stacks import Frame
from waitspy.model.waits import Wait, WaitKind
from waitspy.recording import loading
from waitspy.render import escape
from waitspy.render.profiles import tracks
from waitspy.render.profiles.firefox import FirefoxRenderer

PROFILES = {
    "server": examples.server,
    "watched": examples.watched,
    "idle": examples.idle,
    "empty": examples.empty,
    "hostile": examples.hostile,
}
MS = 1_000_000
# What the columns of profile.shared refer to, in the format's version 70.
REFERENCES = {
    ("stackTable", "frame"): "frameTable",
    ("frameTable", "func"): "funcTable",
    ("frameTable", "category"): "categories",
    ("funcTable", "name"): "stringArray",
    ("funcTable", "source"): "sources",
    ("sources", "filename"): "stringArray",
}


def packed(profile: Profile, weight: Weight = "wall") -> bytes:
    stream = io.BytesIO()
    FirefoxRenderer(weight).render(profile, stream)
    return stream.getvalue()


def written(profile: Profile, weight: Weight = "wall") -> dict[str, Any]:
    text = gzip.decompress(packed(profile, weight)).decode()
    document: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return document


def columns(table: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: column for name, column in table.items() if isinstance(column, list)}


def stack_frames(document: dict[str, Any], stack: int | None) -> list[Frame]:
    """The frames of a stack, root first."""
    shared = document["shared"]
    strings, frames, functions = (
        shared[name] for name in ("stringArray", "frameTable", "funcTable")
    )
    found: list[Frame] = []
    while stack is not None:
        frame = shared["stackTable"]["frame"][stack]
        function = frames["func"][frame]
        source = functions["source"][function]
        file = "" if source is None else strings[shared["sources"]["filename"][source]]
        found.insert(0, Frame(strings[functions["name"][function]], file, frames["line"][frame]))
        offset = shared["stackTable"]["prefixOffset"][stack]
        stack = stack - offset if offset else None
    return found


def shown(document: dict[str, Any], number: int) -> Iterator[tuple[float, list[Frame], float]]:
    """Time (ms), frames and weight (ms) of every sample of a thread."""
    samples = document["threads"][number]["samples"]
    for at, stack, weight in zip(*(samples[k] for k in ("time", "stack", "weight")), strict=True):
        yield at, stack_frames(document, stack), weight


# --- the file by itself -------------------------------------------------------------------------


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("name", PROFILES)
def test_tables_are_whole_and_refer_to_what_is_there(name: str, weight: Weight) -> None:
    document = written(PROFILES[name](), weight)
    shared = document["shared"]
    sizes = {"categories": len(document["meta"]["categories"])}
    sizes["stringArray"] = len(shared["stringArray"])
    for table, rows in shared.items():
        if table != "stringArray":
            sizes[table] = rows["length"]
            assert {len(column) for column in columns(rows).values()} <= {rows["length"]}
    for (table, column), target in REFERENCES.items():
        known = [value for value in shared[table][column] if value is not None]
        assert all(0 <= value < sizes[target] for value in known), (table, column)
    assert all(0 <= n <= i for i, n in enumerate(shared["stackTable"]["prefixOffset"]))
    assert len(set(shared["stringArray"])) == len(shared["stringArray"])
    for thread in document["threads"]:
        samples, markers = thread["samples"], thread["markers"]
        for table in (samples, markers):
            assert {len(column) for column in columns(table).values()} <= {table["length"]}
        assert all(s is None or 0 <= s < sizes["stackTable"] for s in samples["stack"])
        assert all(0 <= n < sizes["stringArray"] for n in markers["name"])
        assert samples["time"] == sorted(samples["time"])
        assert min(samples["time"], default=0) >= 0


@pytest.mark.parametrize("weight", WEIGHTS)
def test_every_thread_has_its_stacks_at_their_times(weight: Weight) -> None:
    profile = examples.server()
    document = written(profile, weight)
    for number, thread in enumerate(profile.threads):
        expected: Counter[Any] = Counter()
        for step in tracks.steps(thread):
            one = step.activity
            length_ns = step.end_ns - step.start_ns
            weights = (length_ns, one.starved_ns, one.victim_ns, one.root_ns)
            leaf = step.stack[-1]
            if one.starved_ns and not leaf.file:
                leaf = structs.replace(leaf, function=f"{leaf.function} (starving)")
            expected[*step.stack[:-1], leaf] += weights[WEIGHTS.index(weight)]
        found: Counter[Any] = Counter()
        for _, frames, length in shown(document, number):
            found[tuple(frames)] += round(length * MS)
        found.pop((), None)  # the end
        assert found == expected


def test_samples_are_short_so_that_a_selection_counts_what_lies_in_it() -> None:
    document = written(examples.server())
    for thread in document["threads"]:
        times = thread["samples"]["time"]
        assert max(b - a for a, b in pairwise(times)) <= 20
        assert thread["samples"]["weightType"] == "tracing-ms"
        assert times[-1] == 10_000
        assert thread["samples"]["stack"][-1] is None


def test_nothing_is_claimed_in_a_gap() -> None:
    cpu, main = Wait(WaitKind.ON_CPU), (Frame("main", "/x.py", 1),)
    spans = ((0, 3), (9, 10), (10, 12))
    shown_ = activities(*(Activity(a * MS, b * MS, main, cpu) for a, b in spans))
    thread = ThreadActivity(1, 1, "t", shown_)
    document = written(merge([thread], title="t", start_ns=0, end_ns=20 * MS))
    assert [(at, len(frames), weight) for at, frames, weight in shown(document, 0)] == [
        (0, 1, 3), (3, 0, 0), (9, 1, 1), (10, 1, 2), (12, 0, 0),
    ]  # fmt: skip


def test_the_leaf_has_the_colour_of_what_the_thread_did() -> None:
    expected = [
        (Wait(WaitKind.ON_CPU), 0, "Running"),
        (Wait(WaitKind.ON_CPU), 1, "Starving"),
        (Wait(WaitKind.GIL), 0, "Wants the GIL"),
        (Wait(WaitKind.LOOP_POLL), 0, "Idle"),
        (Wait(WaitKind.POOL_IDLE), 0, "Idle"),
        (Wait(WaitKind.LOCK), 0, "Waiting"),
        (Wait(WaitKind.LOCK), 1, "Starving"),
        (Wait(WaitKind.UNKNOWN), 0, "Other"),
    ]
    stack = (Frame("main", "/x.py", 1),)
    thread = ThreadActivity(
        1, 1, "t",
        activities(*(Activity(n, n + 1, stack, wait, starved) for n, (wait, starved, _) in enumerate(expected))),
    )  # fmt: skip
    document = written(merge([thread], title="t", start_ns=0, end_ns=9))
    frame_of = document["shared"]["stackTable"]["frame"]
    category_of = document["shared"]["frameTable"]["category"]
    names = [one["name"] for one in document["meta"]["categories"]]
    stacks = document["threads"][0]["samples"]["stack"][:-1]
    found = [names[category_of[frame_of[stack]]] for stack in stacks]
    assert found == [name for _, _, name in expected]


def test_what_came_before_the_start_still_has_its_place() -> None:
    thread = examples.server_threads()[0]
    profile = merge([thread], title="t", start_ns=examples.at_ms(30), end_ns=examples.at_ms(90))
    meta = written(replace(profile, started_at="1970-01-01T00:00:10+00:00"))["meta"]
    assert meta["startTime"] == 9_970
    assert (meta["profilingStartTime"], meta["profilingEndTime"]) == (30, 90)


def test_the_same_profile_gives_the_same_bytes() -> None:
    assert packed(examples.watched()) == packed(examples.watched())
    assert packed(examples.watched())[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def test_hostile_text_is_whole_and_harmless() -> None:
    text = gzip.decompress(packed(examples.hostile())).decode()
    assert not any(ord(character) < 0x20 for character in text.removesuffix("\n"))
    strings = json.loads(text)["shared"]["stringArray"]
    assert {escape.plain(name) for name in examples.HOSTILE} <= set(strings)


# --- the viewer's own code ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["server", "idle", "empty", "hostile"])
def test_the_viewer_loads_it(name: str, tmp_path: Path) -> None:
    profile = PROFILES[name]()
    with firefox_profiler.loaded(packed(profile), tmp_path) as viewer:
        info = viewer.ask("profile", "info", "--all")
    assert info["name"] == escape.plain(profile.title)
    assert info["threadCount"] == max(1, len(profile.threads))


def test_the_viewer_understands_all_of_it(tmp_path: Path) -> None:
    profile = examples.watched()
    with firefox_profiler.loaded(packed(profile), tmp_path) as viewer:
        info = viewer.ask("profile", "info", "--all")
        meta = viewer.ask("profile", "meta")
        samples = viewer.ask("thread", "samples", "--include-idle", "--thread", "t-0")
        markers = viewer.ask("thread", "markers", "--list", "--thread", "t-0")
        stack = viewer.ask("marker", "info", markers["flatMarkers"][0]["handle"])["stack"]
    processes = {one["pid"]: one for one in info["processes"]}
    assert processes.keys() == {"4100", *map(str, examples.PIDS)}
    assert processes["4100"]["name"].startswith("master 4100: /srv/app/.venv/bin/python")
    names = [thread["name"] for thread in processes["4101"]["threads"]]
    assert names == [
        "worker 4101 MainThread", "ThreadPoolExecutor-0_0", "ThreadPoolExecutor-0_1", "inbox",
        "metrics",
    ]  # fmt: skip
    assert f"waitspy {__version__}" in json.dumps(meta)

    assert samples["weightType"] == "tracing-ms"
    categories = samples["categoryBreakdown"]["categories"]
    by_category = {one["name"]: one["samples"] for one in categories}
    main = profile.threads[0]
    starving_ns = sum(s.end_ns - s.start_ns for s in main.activities if s.starved_ns)
    assert by_category["Starving"] == pytest.approx(starving_ns / MS)
    assert sum(by_category.values()) == pytest.approx(10_000)

    episodes = [
        (one["name"], one["start"], one["duration"], one["category"], one["label"])
        for one in markers["flatMarkers"]
    ]
    retry = "retry, /srv/app/http/retry.py:31"
    get = "Condition.wait, /usr/lib/python3.12/threading.py:355"
    assert episodes == [
        ("blocked-loop", 500, 500, "Starving", retry),
        ("parked-loop", 750, 1500, "Starving", get),
        ("blocked-loop", 2000, 500, "Starving", retry),
    ]
    fields = {one["label"]: one["formattedValue"] for one in markers["flatMarkers"][0]["fields"]}
    assert fields == {
        "Kind": "blocked-loop", "Verdict": "starving", "What starved": "a loop", "Blame": retry,
        "Wait": "waits in time.sleep (clock_nanosleep)", "Evidence": "asyncio, epoll",
        "Remedy": "await it", "Most items waiting at once": "7", "Items served meanwhile": "0",
    }  # fmt: skip
    assert [frame["name"] for frame in stack["frames"]][:2] == [
        "[sleep] time.sleep (starving)",
        "retry",
    ]


def test_the_viewer_knows_the_time_of_day(tmp_path: Path) -> None:
    with firefox_profiler.loaded(packed(examples.watched()), tmp_path) as viewer:
        assert "Started: 2026-01-02T03:04:05.250Z" in viewer.run("profile", "meta")
    started = datetime.fromisoformat(examples.STARTED_AT)
    document = written(examples.watched())
    assert document["meta"]["startTime"] == started.timestamp() * 1000


@pytest.mark.parametrize("name", ["blocked", "parked"])
def test_a_real_recording_has_its_episodes(name: str, tmp_path: Path) -> None:
    judged = analysis.analyse(loading.load(str(record.folder(name))))
    profile = analysis.profile(judged)
    document = written(profile)
    selected = document["meta"]["initialSelectedThreads"][0]
    with firefox_profiler.loaded(packed(profile), tmp_path) as viewer:
        found = viewer.ask("thread", "markers", "--list", "--thread", f"t-{selected}")
    expected = [
        (f.kind.name, (e.start_s - profile.start_ns / NS) * 1000, e.length_s * 1000)
        for f in judged.report.findings
        for e in f.episodes
    ]
    expected.sort(key=lambda row: row[1])
    assert expected
    for one, (kind, start, length) in zip(found["flatMarkers"], expected, strict=True):
        assert one["name"] == kind
        assert (one["start"], one["duration"]) == (
            pytest.approx(start, abs=0.01),
            pytest.approx(length, abs=0.01),
        )
