"""The tree of merged stacks: sums, order, places; and the names of frames."""

from __future__ import annotations

import pytest

from tests.examples import profile_examples as examples
from waitspy.model.judged import WEIGHTS, WeightedStack
from waitspy.model.stacks import Frame
from waitspy.render.profiles.flame import ROOT, Node, Weights, frame_name, placed, tree

A, B, C = Frame("a", "/x.py"), Frame("b", "/x.py"), Frame("c", "/x.py")
STACKS = (
    WeightedStack((A,), 1.0, 0.5, 0.5),
    WeightedStack((A, B), 2.0),
    WeightedStack((A, B, C), 4.0, 1.0, 3.0),
    WeightedStack((A, C), 8.0),
    WeightedStack((B, C), 16.0, 2.0, 2.0),
)


def every(node: Node) -> list[Node]:
    return [node, *(below for child in node.children for below in every(child))]


def test_stacks_with_a_common_root_share_nodes() -> None:
    root = tree(STACKS)
    assert root.frame is ROOT
    assert [child.frame for child in root.children] == [A, B]
    first = root.children[0]
    assert [child.frame for child in first.children] == [B, C]
    assert first.total == Weights(15.0, 1.5, 3.5)
    assert first.own == Weights(1.0, 0.5, 0.5)
    assert first.children[0].total == Weights(6.0, 1.0, 3.0)
    assert first.children[0].own == Weights(2.0)
    assert root.total == Weights(31.0, 3.5, 5.5)


def test_the_order_of_the_stacks_does_not_matter() -> None:
    assert [(node.frame, node.total) for node in every(tree(STACKS[::-1]))] == [
        (node.frame, node.total) for node in every(tree(STACKS))
    ]


def test_no_stacks_are_a_root_without_weight() -> None:
    root = tree(())
    assert root.total == Weights()
    assert root.children == ()
    assert list(placed(root, "wall")) == []


@pytest.mark.parametrize("weight", WEIGHTS)
def test_total_is_own_and_children(weight: str) -> None:
    for node in every(tree(examples.server().merged)):
        parts = [node.own, *(child.total for child in node.children)]
        for name in WEIGHTS:
            assert node.total.weight(name) == pytest.approx(
                sum(part.weight(name) for part in parts)
            )
        names = [(child.frame.function, child.frame.file) for child in node.children]
        assert names == sorted(set(names))


@pytest.mark.parametrize("weight", WEIGHTS)
def test_boxes_lie_in_their_callers_side_by_side(weight: str) -> None:
    name = next(one for one in WEIGHTS if one == weight)
    path: list[tuple[float, float]] = []
    last: dict[int, float] = {}
    for one in placed(tree(examples.server().merged), name):
        assert one.width == one.node.total.weight(name) > 0
        del path[one.depth :]
        if path:
            left, right = path[-1]
            assert left - 1e-9 <= one.left
            assert one.left + one.width <= right + 1e-9
        assert one.left >= last.get(one.depth, 0.0) - 1e-9
        last[one.depth] = one.left + one.width
        path.append((one.left, one.left + one.width))


def test_stacks_can_be_deeper_than_pythons_own() -> None:
    deep = tuple(Frame("again", "/x.py") for _ in range(20_000))
    root = tree([WeightedStack(deep, 1.0)])
    assert max(one.depth for one in placed(root, "wall")) == 20_000
    assert "again" not in repr(root)


def test_frames_are_named_as_far_as_known() -> None:
    assert frame_name(Frame("f", "/x.py", 3)) == "f (/x.py:3)"
    assert frame_name(Frame("f", "/x.py")) == "f (/x.py)"
    assert frame_name(Frame("f", "")) == "f"
    assert frame_name(Frame("[sleep] time.sleep", "")) == "[sleep] time.sleep"
