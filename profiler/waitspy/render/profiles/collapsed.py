"""Folded stacks, one a line (``a;b;c N``): what flamegraph.pl, inferno and many others read."""

from __future__ import annotations

from typing import IO, ClassVar

from waitspy.model.judged import Profile, Weight
from waitspy.render import escape
from waitspy.render.profiles.flame import frame_name

_MICROSECONDS = 1_000_000


class CollapsedRenderer:
    """Brendan Gregg's folded format; N is the chosen weight in whole microseconds.

    For ``victims`` these are victim-microseconds. Frames are ``function (file)``, with
    ``(file:line)`` where the profile was merged by line, and a wait frame is ``[kind] call``.
    Semicolons, which separate frames, become colons; controls and line breaks are written out.
    Stacks of less than half a microsecond are left out.
    """

    name: ClassVar[str] = "collapsed"
    extension: ClassVar[str] = "folded"
    binary: ClassVar[bool] = False
    weighed: ClassVar[bool] = True

    def __init__(self, weight: Weight = "wall") -> None:
        self._weight: Weight = weight

    def render(self, profile: Profile, stream: IO[str]) -> None:
        """Write the whole profile; nothing if no stack has any of the weight."""
        # Stacks that differ only in what had to be replaced share a line.
        folded: dict[str, float] = {}
        for weighted in profile.merged:
            line = ";".join(
                escape.plain(frame_name(frame)).replace(";", ":") for frame in weighted.stack
            )
            folded[line] = folded.get(line, 0.0) + weighted.weight(self._weight)
        for line, seconds in sorted(folded.items()):
            count = round(seconds * _MICROSECONDS)
            if count > 0:
                stream.write(f"{line} {count}\n")
