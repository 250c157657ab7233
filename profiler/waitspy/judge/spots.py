"""Lines of code as a report names them: with their text, where that was read."""

from __future__ import annotations

from waitspy.judge.classify import source_line
from waitspy.model.judged import Spot
from waitspy.model.recorded import SourceLines
from waitspy.model.stacks import Frame


def spot_of(frame: Frame | None, sources: SourceLines) -> Spot | None:
    """A frame's line; None where there is no frame."""
    if frame is None:
        return None
    line = source_line(frame, sources)
    source = None if line is None else line.strip()
    return Spot(frame.function, frame.file or None, frame.line, source)
