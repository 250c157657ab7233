"""Library layers: runs of frames that are not the program's own, drawn as one box.

Between a server's first frame and the program's own code lie thirty frames of frameworks and of the
standard library, the same in every stack. Two or more of them in a row say nothing but the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from waitspy.model.code_origin import Origin
from waitspy.model.stacks import Frame, Stack

LAYERS = Frame("⋯", "")
"""Stands for a run, whatever is in it, so that all runs below one frame are one box."""

_FEWEST = 2  # one frame needs no more room than what would stand for it
_NAMED = 3


def layer(frame: Frame) -> str:
    """What a library's frames are folded under: a package's name, or a library module's."""
    home = frame.home
    if home.package is not None:
        return home.package
    if home.short.startswith("<frozen "):  # of the standard library, in the interpreter itself
        return home.short[len("<frozen ") :].rstrip(">").split(".")[0]
    return home.short.split("/")[0].removesuffix(".py")


def steps(stack: Stack) -> Iterator[tuple[Frame, Stack]]:
    """The frames to draw, root first; beside ``LAYERS``, the run that it stands for."""
    run: list[Frame] = []
    for frame in stack:
        if frame.origin is not Origin.USER:
            run.append(frame)
            continue
        yield from _drawn(run)
        run = []
        yield frame, ()
    yield from _drawn(run)


def _drawn(run: list[Frame]) -> Iterator[tuple[Frame, Stack]]:
    if len(run) >= _FEWEST:
        yield LAYERS, tuple(run)
    else:
        yield from ((frame, ()) for frame in run)


@dataclass(slots=True)
class Folded:
    """All runs that one box stands for: their layers in order, and the longest run's frames."""

    layers: dict[str, None] = field(default_factory=dict)
    deepest: int = 0

    def add(self, run: Stack) -> None:
        """Count one more run."""
        self.layers.update(dict.fromkeys(layer(frame) for frame in run))
        self.deepest = max(self.deepest, len(run))

    def name(self) -> str:
        """As in "⋯ uvicorn · asyncio · fastapi …"; not escaped."""
        names = list(self.layers)
        more = " …" if len(names) > _NAMED else ""
        return f"{LAYERS.function} {' · '.join(names[:_NAMED])}{more}"

    def where(self) -> str:
        """What is folded, every layer named; not escaped."""
        return f"up to {self.deepest} library frames, folded: {', '.join(self.layers)}"
