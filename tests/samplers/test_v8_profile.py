"""CPU profiles of V8's: whose stack at which time, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from waitspy.model.stacks import Frame
from waitspy.samplers import v8_profile
from waitspy.samplers.v8_profile import NATIVE, CpuProfile


def node(number: int, name: str, url: str = "", line: int = -1, **more: Any) -> dict[str, Any]:
    told = {
        "functionName": name,
        "scriptId": "7",
        "url": url,
        "lineNumber": line,
        "columnNumber": 1,
    }
    return {"id": number, "callFrame": told, "hitCount": 1, **more}


NODES = [
    node(1, "(root)", children=[2, 3, 5]),
    node(2, "(idle)"),
    node(3, "serve", "file:///app/a%20b.mjs", 9, children=[4]),
    node(4, "", "/app/c.js", 19),
    node(5, "(garbage collector)"),
]


def profile(**more: Any) -> CpuProfile:
    told: dict[str, Any] = {
        "nodes": NODES,
        "startTime": 1_000,
        "endTime": 9_000,
        "samples": [2, 4, 4, 5, 2],
        "timeDeltas": [100, 1_000, 1_000, 1_000, 1_000],
        **more,
    }
    return msgspec.json.decode(msgspec.json.encode(told), type=CpuProfile)


def test_each_stack_is_told_from_its_first_sample_on() -> None:
    working = (Frame("serve", "/app/a b.mjs", 10, 10), Frame("(anonymous)", "/app/c.js", 20, 20))
    assert list(v8_profile.read(profile())) == [
        (1_100_000, ()),
        (2_100_000, working),
        (4_100_000, (Frame("(garbage collector)", NATIVE),)),
        (5_100_000, ()),
    ]


def test_a_clock_that_is_ahead_is_set_back() -> None:
    first, *_ = v8_profile.read(profile(), 600_000)
    assert first.at_ns == 500_000


def in_lines(*ticks: tuple[int, int]) -> list[dict[str, int]]:
    return [{"line": line, "ticks": many} for line, many in ticks]


@pytest.mark.parametrize(
    ("ticks", "lines"),
    [
        ([(24, 2)], (24, 20)),
        ([], (20, 20)),
        ([(24, 1), (25, 1)], (20, 20)),
        ([(24, 1)], (20, 20)),
        ([(24, 3)], (20, 20)),
        ([(20, 2)], (20, 20)),
        ([(7, 2)], (20, 20)),
    ],
    ids=["one", "none", "two", "not each", "too many", "where it begins", "before it begins"],
)
def test_a_line_is_told_where_each_sample_of_the_innermost_function_was_in_it(
    ticks: list[tuple[int, int]], lines: tuple[int, int]
) -> None:
    last = node(4, "f", "/app/c.js", 19, positionTicks=in_lines(*ticks))
    stack = list(v8_profile.read(profile(nodes=[*NODES[:3], last, NODES[4]])))[1].stack
    assert stack == (Frame("serve", "/app/a b.mjs", 10, 10), Frame("f", "/app/c.js", *lines))


@pytest.mark.parametrize("many", [2, 3])
def test_the_first_sample_may_have_no_line(many: int) -> None:
    nodes = [*NODES[:3], node(4, "f", "/app/c.js", 19, positionTicks=in_lines((24, many)))]
    (shown,) = v8_profile.read(profile(nodes=nodes, samples=[4] * 3, timeDeltas=[1] * 3))
    assert shown.stack[-1] == Frame("f", "/app/c.js", 24, 20)


@pytest.mark.parametrize(
    ("name", "lines"), [("hashSync", (12, 10)), ("(garbage collector)", (10, 10))]
)
def test_native_code_tells_the_line_that_called_it_and_v8s_own_work_none(
    name: str, lines: tuple[int, int]
) -> None:
    nodes = [*NODES[:3], node(4, name, positionTicks=in_lines((12, 2))), NODES[4]]
    stack = list(v8_profile.read(profile(nodes=nodes)))[1].stack
    assert stack == (Frame("serve", "/app/a b.mjs", *lines), Frame(name, NATIVE))


@pytest.mark.parametrize(
    "more",
    [
        {"samples": [2, 4]},
        {"samples": [9, 4, 4, 5, 2]},
        {"timeDeltas": [100, 1_000, 1_000, 1_000, 90_000]},
        {"timeDeltas": [-100, 0, 0, 0, 0]},
    ],
    ids=["no times", "no node", "after its end", "before its start"],
)
def test_what_contradicts_itself_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sample"):
        list(v8_profile.read(profile(**more)))


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v8_profile, "_MOST_NODES", 4)
    with pytest.raises(ValueError, match="too large"):
        list(v8_profile.read(profile()))


def test_a_ring_of_nodes_ends() -> None:
    ring = [node(1, "f", "/a.js", 1, children=[2]), node(2, "g", "/a.js", 2, children=[1])]
    (shown,) = v8_profile.read(profile(nodes=ring, samples=[2], timeDeltas=[1]))
    assert len(shown.stack) == v8_profile._DEEPEST


@pytest.mark.parametrize(
    "more", [{"startTime": "now"}, {"samples": ["2"]}, {"nodes": [{"id": 1}]}, {"endTime": 1 << 60}]
)
def test_other_types_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        profile(**more)


@pytest.mark.parametrize(
    ("name", "url", "function", "file"),
    [
        ("n" * 100_000, "/" + "d/" * 50_000 + "a.js", "n" * 300, ("/" + "d/" * 500)[:1000]),
        ("a\nb\x1b[31m", "file:///x%0Ay%1B%5B2J.js", "a\nb\x1b[31m", "/x\ny\x1b[2J.js"),
        ("<script>", "file:///%3Cscript%3E.mjs", "<script>", "/<script>.mjs"),
        ("f", "data:text/javascript,1", "f", "data:text/javascript,1"),
        ("f", "file:///%zz%ff", "f", "/%zz\ufffd"),
    ],
    ids=["long", "escapes", "markup", "no file", "no text"],
)
def test_hostile_names_are_bounded_and_stay_what_they_are(
    name: str, url: str, function: str, file: str
) -> None:
    nodes = [node(1, "(root)", children=[2]), node(2, name, url, 3)]
    told = profile(nodes=nodes, samples=[2], timeDeltas=[1])
    ((_, (frame,)),) = v8_profile.read(told)
    assert (frame.function, frame.file, frame.line) == (function, file, 4)
