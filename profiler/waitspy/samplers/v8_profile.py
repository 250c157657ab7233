"""A CPU profile as V8's inspector gives it, read into stacks and times; pure.

https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile: a tree of nodes, and
for each sample the number of a node and the microseconds since the sample before. Times are those
of CLOCK_MONOTONIC, as V8's clock on Linux is. All of it comes from the target: types are checked,
sizes bounded, and what contradicts itself is refused.

Of a node, it also tells how often it was sampled in which line. That is no line of a sample: only
where all samples of a node are in one line, each of them is. In native code, it is the line of the
function that called it. Who is further below is known by where its function begins, as V8 keeps
their lines apart for nobody but itself (``kCallerLineNumbers``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Annotated, NamedTuple
from urllib.parse import unquote

import msgspec

from waitspy.model.stacks import Frame, Stack

NATIVE = "node:native"
"""The file of what has none: functions in C++, and V8's own work."""

_NOBODY = frozenset({"(root)", "(idle)"})
_MOST_NODES = 200_000
_MOST_SAMPLES = 200_000
_DEEPEST = 400
_LONGEST_NAME, _LONGEST_FILE = 300, 1000
_US = 1000

_Micros = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Delta = Annotated[int, msgspec.Meta(ge=-(1 << 40), lt=1 << 40)]
_Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
_LineNumber = Annotated[int, msgspec.Meta(ge=-1, lt=1 << 31)]


class _CallFrame(msgspec.Struct, rename="camel"):
    function_name: str
    url: str
    line_number: _LineNumber


class _Ticks(msgspec.Struct):
    line: _LineNumber
    ticks: _Number


class _ProfileNode(msgspec.Struct, rename="camel"):
    id: _Number
    call_frame: _CallFrame
    children: list[_Number] = msgspec.field(default_factory=list)
    position_ticks: list[_Ticks] = msgspec.field(default_factory=list)


class CpuProfile(msgspec.Struct, rename="camel"):
    """What ``Profiler.stop`` answers."""

    nodes: list[_ProfileNode]
    start_time: _Micros
    end_time: _Micros
    samples: list[_Number]
    time_deltas: list[_Delta]


class Shown(NamedTuple):
    """A thread shows a stack from that time on; the empty one when it has nothing to do."""

    at_ns: int
    stack: Stack


def read(profile: CpuProfile, ahead_ns: int = 0) -> Iterator[Shown]:
    """What the thread showed, in order of time, where that changed.

    ``ahead_ns`` is by how much the target's CLOCK_MONOTONIC is ahead of ours.

    Raises:
        ValueError: the profile contradicts itself, or is too large.
    """
    if len(profile.nodes) > _MOST_NODES or len(profile.samples) > _MOST_SAMPLES:
        raise ValueError("a profile that is too large")
    if len(profile.samples) != len(profile.time_deltas):
        raise ValueError("samples without a time")
    nodes = {node.id: node for node in profile.nodes}
    above = {child: node.id for node in profile.nodes for child in node.children}
    lines = _lines(profile)
    stacks: dict[int, Stack] = {}
    shown: Stack | None = None
    latest_us = 0
    times = accumulate(profile.time_deltas, initial=profile.start_time)
    next(times)
    for number, at_us in zip(profile.samples, times, strict=True):
        stack = stacks.get(number)
        if stack is None:
            stack = stacks[number] = tuple(_stack(number, nodes, above, lines.get(number)))
        latest_us = max(latest_us, at_us)  # V8 sorts them, but for the first few
        if not profile.start_time <= latest_us <= profile.end_time + _US:
            raise ValueError("a sample outside of its profile")
        if stack != shown:
            shown = stack
            yield Shown(latest_us * _US - ahead_ns, stack)


def _lines(profile: CpuProfile) -> dict[int, int]:
    """Of the nodes that were sampled in one line only, this one.

    The first sample may be taken as the profile starts, and has no line then: it goes with others.
    """
    every, timed = Counter(profile.samples), Counter(profile.samples[1:])
    return {
        node.id: ticks.line
        for node in profile.nodes
        for ticks in node.position_ticks[:1]
        if len(node.position_ticks) == 1 and timed[node.id] <= ticks.ticks <= every[node.id]
    }


def _stack(
    number: int, nodes: dict[int, _ProfileNode], above: dict[int, int], line: int | None
) -> list[Frame]:
    """The frames of a node, root first; the root itself is none.

    ``line`` is that of the innermost one with a file, if there is nothing but native code above it.
    """
    found: list[Frame] = []
    at: int | None = number
    while at is not None and len(found) < _DEEPEST:
        node = nodes.get(at)
        if node is None:
            raise ValueError("a sample of no node")
        if node.call_frame.function_name not in _NOBODY or node.call_frame.url:
            found.append(_frame(node, line))
            if node.call_frame.url or node.call_frame.function_name.startswith("("):
                line = None
        at = above.get(at)
    found.reverse()
    return found


def _frame(node: _ProfileNode, line: int | None) -> Frame:
    """A function by the line that it is in, or else by the one where it begins."""
    told = node.call_frame
    begins = told.line_number + 1
    name = told.function_name[:_LONGEST_NAME] or "(anonymous)"
    if not told.url or begins <= 0:
        return Frame(name, _file(told.url))
    return Frame(name, _file(told.url), max(line or begins, begins), begins)


def _file(url: str) -> str:
    """The path of a module's file; other addresses stay as they are."""
    if not url:
        return NATIVE
    path = unquote(url.removeprefix("file://")) if url.startswith("file:///") else url
    return path[:_LONGEST_FILE]
