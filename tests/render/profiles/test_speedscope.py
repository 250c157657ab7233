"""speedscope's file: valid by its own schema, and the time of every thread where it was."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

import jsonschema
import pytest

from tests.examples import profile_examples as examples
from tests.examples.build import activities
from tests.readers import npm
from waitspy import __version__
from waitspy.judge.merge import merge
from waitspy.model.activities import Activity, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import WEIGHTS, Profile, Weight
from waitspy.model.stacks import Frame
from waitspy.model.wait_frames import merged_stack
from waitspy.model.waits import Wait, WaitKind
from waitspy.render.profiles.flame import FlamegraphRenderer
from waitspy.render.profiles.speedscope import SpeedscopeRenderer

PACKAGE = "speedscope@1.25.0"
SCHEMA = "dist/release/file-format-schema.json"
PROFILES = {
    "server": examples.server,
    "idle": examples.idle,
    "empty": examples.empty,
    "hostile": examples.hostile,
}


@cache
def schema() -> dict[str, Any]:
    """The schema that speedscope ships."""
    loaded: dict[str, Any] = json.loads((npm.folder(PACKAGE) / SCHEMA).read_text())
    return loaded


def written(profile: Profile, weight: Weight = "wall") -> dict[str, Any]:
    stream = io.StringIO()
    renderer: FlamegraphRenderer = SpeedscopeRenderer(weight)
    renderer.render(profile, stream)
    # A strict reader: UTF-8 without surrogates, JSON without raw controls or NaN.
    text = stream.getvalue().encode().decode()
    document: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return document


def spans(
    document: dict[str, Any], profile: dict[str, Any]
) -> list[tuple[float, float, list[str]]]:
    """What an evented profile shows: from, until, names of the open frames; checks every event."""
    names = [frame["name"] for frame in document["shared"]["frames"]]
    shown: list[tuple[float, float, list[str]]] = []
    stack: list[int] = []
    at = profile["startValue"]
    for event in profile["events"]:
        assert event["at"] >= at
        if stack and event["at"] > at:
            shown.append((at, event["at"], [names[index] for index in stack]))
        at = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert stack.pop() == event["frame"]
    assert stack == []
    assert at <= profile["endValue"]
    return shown


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("name", PROFILES)
def test_is_valid_by_speedscopes_schema(name: str, weight: Weight) -> None:
    validator = jsonschema.Draft7Validator(schema())
    document = written(PROFILES[name](), weight)
    validator.validate(document)
    assert not validator.is_valid({**document, "profiles": [{"type": "evented"}]})


@pytest.mark.parametrize("name", PROFILES)
def test_events_are_balanced_and_in_order(name: str) -> None:
    document = written(PROFILES[name]())
    count = len(document["shared"]["frames"])
    for profile in document["profiles"][1:]:
        spans(document, profile)
        assert all(0 <= event["frame"] < count for event in profile["events"])


def test_says_what_it_is() -> None:
    document = written(examples.server(), "starved")
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert document["exporter"] == f"waitspy {__version__}"
    assert document["name"] == examples.server().title
    assert document["activeProfileIndex"] == 0
    names = [profile["name"] for profile in document["profiles"]]
    assert names[:2] == ["all workers merged (starved)", "pid 4101 · MainThread (4101)"]
    assert len(names) == 1 + len(examples.server().threads)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_merged_profile_has_the_chosen_weight(weight: Weight) -> None:
    profile = examples.server()
    document = written(profile, weight)
    merged = document["profiles"][0]
    names = [frame["name"] for frame in document["shared"]["frames"]]
    assert merged["type"] == "sampled"
    shown = {
        tuple(names[index] for index in sample): seconds
        for sample, seconds in zip(merged["samples"], merged["weights"], strict=True)
    }
    expected = {
        tuple(frame.function for frame in one.stack): one.weight(weight)
        for one in profile.merged
        if one.weight(weight)
    }
    assert shown == expected
    assert merged["endValue"] == pytest.approx(sum(expected.values()))


def test_threads_are_wall_time_whatever_the_weight() -> None:
    wall, victims = written(examples.server()), written(examples.server(), "victims")
    for one, other in zip(wall["profiles"][1:], victims["profiles"][1:], strict=True):
        assert spans(wall, one) == spans(victims, other)


def test_threads_show_every_activity_at_its_time() -> None:
    profile = examples.server()
    document = written(profile)
    for thread, shown in zip(profile.threads, document["profiles"][1:], strict=True):
        expected: list[tuple[float, float, list[str]]] = []
        for one in thread.activities:
            start_s, end_s = (
                (at_ns - profile.start_ns) / NS for at_ns in (one.start_ns, one.end_ns)
            )
            names = [frame.function for frame in merged_stack(one.stack, one.wait, lines=True)]
            # The same stack may starve something in one part of its time and not in the next.
            if expected and expected[-1][1:] == (start_s, names):
                start_s = expected.pop()[0]
            if end_s > start_s:
                expected.append((start_s, end_s, names))
        assert spans(document, shown) == expected
        assert (shown["startValue"], shown["endValue"]) == (0.0, 10.0)


def test_common_frames_stay_open_but_not_across_a_gap() -> None:
    main, work = Frame("main", "/x.py", 1), Frame("work", "/x.py", 2)
    cpu = Wait(WaitKind.ON_CPU)
    thread = ThreadActivity(
        1,
        1,
        "t",
        activities(
            Activity(NS, 2 * NS, (main,), cpu),
            Activity(2 * NS, 3 * NS, (main, work), cpu),
            Activity(5 * NS, 6 * NS, (main, work), cpu),
        ),
    )
    document = written(merge([thread], title="t", start_ns=0, end_ns=6 * NS))
    events = [
        (event["type"], document["shared"]["frames"][event["frame"]]["name"], event["at"])
        for event in document["profiles"][1]["events"]
    ]
    assert events == [
        ("O", "main", 1.0),
        ("O", "work", 2.0),
        ("C", "work", 3.0),
        ("C", "main", 3.0),
        ("O", "main", 5.0),
        ("O", "work", 5.0),
        ("C", "work", 6.0),
        ("C", "main", 6.0),
    ]


def test_all_threads_have_one_clock_even_beyond_the_profiles_bounds() -> None:
    cpu = Wait(WaitKind.ON_CPU)
    stack = (Frame("main", "/x.py", 1),)
    threads = [
        ThreadActivity(1, 1, "early", activities(Activity(0, 2 * NS, stack, cpu))),
        ThreadActivity(1, 2, "late", activities(Activity(2 * NS, 9 * NS, stack, cpu))),
    ]
    document = written(merge(threads, title="t", start_ns=NS, end_ns=5 * NS))
    for profile in document["profiles"][1:]:
        assert (profile["startValue"], profile["endValue"]) == (-1.0, 8.0)
        spans(document, profile)


def test_nothing_starved_is_said() -> None:
    merged = written(examples.idle(), "starved")["profiles"][0]
    assert merged["name"] == "worker 4101 merged (starved: nothing was starved)"
    assert merged["samples"] == merged["weights"] == []
    assert "nothing was recorded" in written(examples.empty())["profiles"][0]["name"]


def test_frames_are_shared_and_say_file_and_line_as_far_as_known() -> None:
    rows = written(examples.server())["shared"]["frames"]
    assert len({json.dumps(row) for row in rows}) == len(rows)
    assert {"name": "[sleep] time.sleep"} in rows
    assert {"name": "retry", "file": "/srv/app/http/retry.py"} in rows
    assert {"name": "retry", "file": "/srv/app/http/retry.py", "line": 31} in rows


def test_hostile_text_is_whole_and_harmless() -> None:
    document = written(examples.hostile())
    text = json.dumps(document, ensure_ascii=False)
    assert not any(ord(character) < 0x20 for character in text)
    names = [frame["name"] for frame in document["shared"]["frames"]]
    assert "\\x1b[31mred\\x1b[0m\\x00\\x07" in names
    assert "x" * 10_000 in names
