"""Folded stacks: one line a stack, whole microseconds, nothing in a name that breaks the line."""

from __future__ import annotations

import io

import pytest

from tests.examples import profile_examples as examples
from waitspy.model.judged import WEIGHTS, Profile, Weight, WeightedStack
from waitspy.model.stacks import Frame
from waitspy.render.profiles.collapsed import CollapsedRenderer
from waitspy.render.profiles.flame import FlamegraphRenderer


def folded(profile: Profile, weight: Weight = "wall") -> str:
    stream = io.StringIO()
    renderer: FlamegraphRenderer = CollapsedRenderer(weight)
    renderer.render(profile, stream)
    return stream.getvalue()


def of(*stacks: WeightedStack) -> Profile:
    return Profile("t", 0, 1, stacks, ())


def test_a_line_is_frames_and_microseconds() -> None:
    profile = of(
        WeightedStack(
            (Frame("a", "/x.py"), Frame("b", "/y.py", 7), Frame("[lock]", "")), 1.5, 0.25, 2
        )
    )
    assert folded(profile) == "a (/x.py);b (/y.py:7);[lock] 1500000\n"
    assert folded(profile, "starved") == "a (/x.py);b (/y.py:7);[lock] 250000\n"
    assert folded(profile, "victims") == "a (/x.py);b (/y.py:7);[lock] 2000000\n"


def test_stacks_without_weight_are_left_out() -> None:
    assert folded(examples.idle(), "starved") == ""
    assert folded(examples.empty()) == ""
    assert folded(of(WeightedStack((Frame("a", ""),), 4e-7))) == ""
    assert folded(of(WeightedStack((Frame("a", ""),), 6e-7))) == "a 1\n"


def test_names_cannot_add_frames_lines_or_counts() -> None:
    profile = of(WeightedStack((Frame("a;b\nc 99\r\u2028", "/x;y.py"), Frame("d", "")), 1.0))
    assert folded(profile) == "a:b\\nc 99\\r\\u2028 (/x:y.py);d 1000000\n"


def test_stacks_that_become_equal_share_a_line() -> None:
    profile = of(WeightedStack((Frame("a:b", ""),), 1.0), WeightedStack((Frame("a;b", ""),), 2.0))
    assert folded(profile) == "a:b 3000000\n"


def test_hostile_names_leave_well_formed_lines() -> None:
    profile = examples.hostile()
    text = folded(profile)
    assert text.encode()
    lines = text.splitlines()
    assert len(lines) == len(profile.merged)
    depths = sorted(len(one.stack) for one in profile.merged)
    assert sorted(line.rpartition(" ")[0].count(";") + 1 for line in lines) == depths
    assert all(line.rpartition(" ")[2].isdigit() for line in lines)
    assert "x" * 10_000 in text


@pytest.mark.parametrize("weight", WEIGHTS)
def test_all_weight_is_there(weight: Weight) -> None:
    profile = examples.server()
    lines = folded(profile, weight).splitlines()
    assert lines == sorted(set(lines))
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == pytest.approx(
        1e6 * sum(one.weight(weight) for one in profile.merged), abs=len(lines)
    )
