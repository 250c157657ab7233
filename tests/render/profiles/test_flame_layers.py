"""Folding: which frames are one box, what it is called, and that no time is lost by it."""

from __future__ import annotations

import pytest

from tests.examples import profile_examples as examples
from waitspy.model.judged import WEIGHTS, WeightedStack
from waitspy.model.stacks import Frame
from waitspy.model.wait_frames import wait_kind
from waitspy.render.profiles.flame import Node, tree
from waitspy.render.profiles.flame_layers import LAYERS, layer, steps

OWN = Frame("handle", "/srv/app.py")
LIB = Frame("run", "/usr/lib/python3.12/asyncio/events.py")
WEB = Frame("app", "/srv/venv/lib/python3.12/site-packages/starlette/routing.py")
WAIT = Frame("[sleep] time.sleep", "")


def leaves(node: Node) -> list[Node]:
    return [node, *(leaf for child in node.children for leaf in leaves(child))]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/srv/venv/lib/python3.12/site-packages/starlette/routing.py", "starlette"),
        ("/srv/venv/lib/python3.12/site-packages/six.py", "six.py"),
        ("/usr/lib/python3.12/asyncio/events.py", "asyncio"),
        ("/usr/lib/python3.12/threading.py", "threading"),
        ("<frozen runpy>", "runpy"),
        ("<frozen importlib._bootstrap_external>", "importlib"),
    ],
)
def test_a_layer_is_a_package_or_a_module(file: str, name: str) -> None:
    assert layer(Frame("f", file)) == name


def test_two_library_frames_in_a_row_are_folded_and_one_is_not() -> None:
    assert list(steps((LIB, WEB, LIB, OWN, LIB, OWN, WEB, WEB))) == [
        (LAYERS, (LIB, WEB, LIB)),
        (OWN, ()),
        (LIB, ()),
        (OWN, ()),
        (LAYERS, (WEB, WEB)),
    ]
    assert list(steps((OWN, LIB, WAIT))) == [(OWN, ()), (LIB, ()), (WAIT, ())]
    assert list(steps(())) == []


def test_runs_below_one_caller_are_one_box_that_names_them_all() -> None:
    root = tree(
        (
            WeightedStack((OWN, LIB, WEB), 1.0),
            WeightedStack((OWN, LIB, LIB, LIB, OWN), 2.0),
            WeightedStack((OWN, WEB), 4.0),
        ),
        fold=True,
    )
    (own,) = root.children
    single, folded = own.children
    assert (single.frame, single.total.wall_s, single.folded) == (WEB, 4.0, None)
    assert folded.total.wall_s == 3.0
    assert folded.own.wall_s == 1.0
    assert folded.folded is not None
    assert folded.folded.name() == "⋯ asyncio · starlette"
    assert folded.folded.where() == "up to 3 library frames, folded: asyncio, starlette"


def test_the_order_of_the_stacks_does_not_change_a_name() -> None:
    stacks = [WeightedStack((LIB, WEB), 1.0), WeightedStack((WEB, LIB), 1.0)]
    names = set()
    for order in (stacks, stacks[::-1]):
        (folded,) = tree(order, fold=True).children
        assert folded.folded is not None
        names.add(folded.folded.name())
    assert len(names) == 1


def test_no_time_and_no_frame_of_the_program_is_lost() -> None:
    merged = examples.server().merged
    whole, folded = leaves(tree(merged)), leaves(tree(merged, fold=True))
    assert len(folded) < len(whole) * 0.6
    for weight in WEIGHTS:
        total = sum(node.own.weight(weight) for node in folded)
        assert total == pytest.approx(sum(node.own.weight(weight) for node in whole))
    own = {
        node.frame
        for node in whole
        if node.frame.file.startswith("/srv/app/") and "venv" not in node.frame.file
    }
    assert own == {node.frame for node in folded if node.frame in own} != set()
    waits = {node.frame for node in whole if wait_kind(node.frame) is not None}
    assert waits == {node.frame for node in folded if wait_kind(node.frame) is not None}
