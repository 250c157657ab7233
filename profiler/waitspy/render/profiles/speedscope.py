"""speedscope's own JSON: the merged profile first, then every thread on the common clock.

The format is described by https://www.speedscope.app/file-format-schema.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar

from waitspy import __version__
from waitspy.model.activities import ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import Profile, Weight
from waitspy.model.stacks import Frame, Stack
from waitspy.render import escape
from waitspy.render.profiles import tracks

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


@dataclass(slots=True)
class _Frames:
    """The file's shared table of frames; ``number`` adds those not yet in it."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    known: dict[Frame, int] = field(default_factory=dict)

    def number(self, frame: Frame) -> int:
        found = self.known.get(frame)
        if found is None:
            found = self.known[frame] = len(self.rows)
            row: dict[str, Any] = {"name": escape.plain(frame.function)}
            if frame.file:
                row["file"] = escape.plain(frame.file)
            if frame.line is not None:
                row["line"] = frame.line
            self.rows.append(row)
        return found


class SpeedscopeRenderer:
    """Profile 0 is all workers merged, by the chosen weight; an evented profile a thread follows.

    All values are seconds, or victim-seconds in a merged profile by ``victims``. Thread profiles
    are wall time whatever the weight, keep line numbers, and count from the profile's start, so
    that an instant has the same place in all of them; where nothing is known of a thread there is
    a gap. Text is valid Unicode without controls.
    """

    name: ClassVar[str] = "speedscope"
    extension: ClassVar[str] = "speedscope.json"
    binary: ClassVar[bool] = False
    weighed: ClassVar[bool] = True

    def __init__(self, weight: Weight = "wall") -> None:
        self._weight: Weight = weight

    def render(self, profile: Profile, stream: IO[str]) -> None:
        """Write the whole profile as one line of JSON."""
        frames = _Frames()
        profiles = [self._merged(profile, frames), *_threads(profile, frames)]
        document = {
            "$schema": _SCHEMA,
            "exporter": f"waitspy {__version__}",
            "name": escape.plain(profile.title),
            "activeProfileIndex": 0,
            "shared": {"frames": frames.rows},
            "profiles": profiles,
        }
        json.dump(document, stream, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        stream.write("\n")

    def _merged(self, profile: Profile, frames: _Frames) -> dict[str, Any]:
        weighted = [
            (one.stack, one.weight(self._weight))
            for one in profile.merged
            if one.weight(self._weight) > 0
        ]
        pids = {thread.pid for thread in profile.threads}
        whose = f"worker {min(pids)}" if len(pids) == 1 else "all workers"
        nothing = "nothing was recorded" if self._weight == "wall" else "nothing was starved"
        what = self._weight if weighted else f"{self._weight}: {nothing}"
        return {
            "type": "sampled",
            "name": f"{whose} merged ({what})",
            "unit": "seconds",
            "startValue": 0,
            "endValue": sum(seconds for _, seconds in weighted),
            "samples": [[frames.number(frame) for frame in stack] for stack, _ in weighted],
            "weights": [seconds for _, seconds in weighted],
        }


def _threads(profile: Profile, frames: _Frames) -> list[dict[str, Any]]:
    threads = [thread for thread in profile.threads if thread.activities]
    activities = [activity for thread in threads for activity in thread.activities]
    start_ns = min([profile.start_ns, *(activity.start_ns for activity in activities)])
    end_ns = max([profile.end_ns, *(activity.end_ns for activity in activities)])
    return [
        {
            "type": "evented",
            "name": escape.plain(f"pid {thread.pid} · {thread.name} ({thread.tid})"),
            "unit": "seconds",
            "startValue": (start_ns - profile.start_ns) / NS,
            "endValue": (end_ns - profile.start_ns) / NS,
            "events": _events(thread, profile.start_ns, frames),
        }
        for thread in threads
    ]


def _events(thread: ThreadActivity, zero_ns: int, frames: _Frames) -> list[dict[str, Any]]:
    """Balanced open and close events; frames that go on from one activity to the next stay open."""
    events: list[dict[str, Any]] = []
    stack: Stack = ()
    until_ns = zero_ns
    for step in tracks.steps(thread):
        kept = tracks.shared(stack, step.stack) if step.start_ns == until_ns else 0
        _close(events, stack, kept, (until_ns - zero_ns) / NS, frames)
        at_s = (step.start_ns - zero_ns) / NS
        events.extend(
            {"type": "O", "frame": frames.number(frame), "at": at_s} for frame in step.stack[kept:]
        )
        stack, until_ns = step.stack, step.end_ns
    _close(events, stack, 0, (until_ns - zero_ns) / NS, frames)
    return events


def _close(
    events: list[dict[str, Any]], stack: Stack, keep: int, at_s: float, frames: _Frames
) -> None:
    events.extend(
        {"type": "C", "frame": frames.number(frame), "at": at_s} for frame in reversed(stack[keep:])
    )
