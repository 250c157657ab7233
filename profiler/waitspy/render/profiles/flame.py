"""What the flamegraph formats have in common: their Protocol, the tree, the names of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, Protocol

from waitspy.model.judged import Profile, Weight, WeightedStack
from waitspy.model.stacks import Frame, Stack
from waitspy.model.wait_frames import stack_key, wait_kind
from waitspy.render.profiles import flame_layers
from waitspy.render.profiles.flame_layers import Folded


class FlamegraphRenderer(Protocol):
    """Writes one Profile in one format; options of a format are arguments of its constructor.

    ``name`` is what the command line calls the format, ``extension`` the usual end of such a
    file's name, without its dot. ``binary`` says what the stream takes: bytes, or else text that
    can be encoded as UTF-8; ``weighed`` whether the weight changes what is written.
    """

    name: ClassVar[str]
    extension: ClassVar[str]
    binary: ClassVar[bool]
    weighed: ClassVar[bool]

    def render(self, profile: Profile, stream: IO[Any]) -> None:
        """Write the whole profile; the stream stays open."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The four weights of a frame: seconds, starved seconds, victim-seconds, those at roots."""

    wall_s: float = 0.0
    starved_s: float = 0.0
    victim_s: float = 0.0
    root_s: float = 0.0

    def __add__(self, other: Weights) -> Weights:
        return Weights(
            self.wall_s + other.wall_s,
            self.starved_s + other.starved_s,
            self.victim_s + other.victim_s,
            self.root_s + other.root_s,
        )

    def weight(self, name: Weight) -> float:
        """The weight of that name."""
        return WeightedStack((), self.wall_s, self.starved_s, self.victim_s, self.root_s).weight(
            name
        )


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A frame below its callers; ``total`` includes what is below it, ``own`` is its alone.

    ``children`` are sorted by function, file and line. ``folded`` says what ``LAYERS`` stands for.
    """

    frame: Frame
    total: Weights
    own: Weights
    # Not in repr, which would recurse as deep as the stack is.
    children: tuple[Node, ...] = field(repr=False)
    folded: Folded | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A node of the drawn tree: the root has ``depth`` 0; ``left`` and ``width`` are weights."""

    node: Node
    depth: int
    left: float
    width: float


ROOT = Frame("all", "")


@dataclass(slots=True)
class _Open:
    frame: Frame
    own: Weights = field(default_factory=Weights)
    children: list[Node] = field(default_factory=list)
    folded: Folded | None = None

    def closed(self) -> Node:
        total = self.own
        for child in self.children:
            total += child.total
        return Node(self.frame, total, self.own, tuple(self.children), self.folded)


def tree(merged: Sequence[WeightedStack], *, fold: bool = False) -> Node:
    """The stacks joined by their common roots, below the frame ``ROOT``; any depth.

    ``fold`` joins library frames that follow each other (see ``flame_layers``).
    """
    path = [_Open(ROOT)]
    # Sorted before, too: stacks that fold to the same one name their layers in one order.
    every = sorted(merged, key=lambda one: stack_key(one.stack))
    drawn = [_drawn(weighted, fold=fold) for weighted in every]
    for stack, runs, own in sorted(drawn, key=lambda one: stack_key(one[0])):
        shared = 0
        while shared < min(len(stack), len(path) - 1) and path[shared + 1].frame == stack[shared]:
            shared += 1
        _close(path, shared + 1)
        path.extend(_Open(frame) for frame in stack[shared:])
        for index, run in runs:
            folded = path[index + 1].folded = path[index + 1].folded or Folded()
            folded.add(run)
        path[-1].own += own
    _close(path, 1)
    return path[0].closed()


def _drawn(
    weighted: WeightedStack, *, fold: bool
) -> tuple[Stack, Sequence[tuple[int, Stack]], Weights]:
    """The frames to draw, the runs behind them by index, and what the whole stack weighs."""
    own = Weights(weighted.wall_s, weighted.starved_s, weighted.victim_s, weighted.root_s)
    if not fold:
        return weighted.stack, (), own
    steps = list(flame_layers.steps(weighted.stack))
    runs = [(index, run) for index, (_, run) in enumerate(steps) if run]
    return tuple(frame for frame, _ in steps), runs, own


def _close(path: list[_Open], length: int) -> None:
    while len(path) > length:
        node = path.pop().closed()
        path[-1].children.append(node)


def placed(root: Node, weight: Weight) -> Iterator[Placed]:
    """Every node of more than no weight, callers before callees, from left to right."""
    pending = [Placed(root, 0, 0.0, root.total.weight(weight))]
    while pending:
        one = pending.pop()
        if one.width <= 0:
            continue
        yield one
        below: list[Placed] = []
        left = one.left
        for child in one.node.children:
            width = child.total.weight(weight)
            below.append(Placed(child, one.depth + 1, left, width))
            left += width
        pending.extend(reversed(below))


def frame_name(frame: Frame) -> str:
    """``function (file:line)`` as far as known, for formats with one name a frame; not escaped."""
    if wait_kind(frame) is not None or not frame.file:
        return frame.function
    where = frame.file if frame.line is None else f"{frame.file}:{frame.line}"
    return f"{frame.function} ({where})"
