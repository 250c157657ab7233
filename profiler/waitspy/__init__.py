"""waitspy: names the blocking waits that starve a running Python server, from outside.

``load`` opens a recording in a program; ``docs/library.md`` tells the rest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from waitspy.errors import RecordingError, WaitspyError

if TYPE_CHECKING:
    from waitspy.library import JudgedRecording

__version__ = "0.1.0"
__all__ = ["RecordingError", "WaitspyError", "__version__", "load"]


def load(
    path: str | os.PathLike[str], *, min_stall_s: float | None = None, redact: bool = False
) -> JudgedRecording:
    """The recording in that folder, judged; shorter waits than ``min_stall_s`` are no findings.

    By default that is what it was recorded with. ``redact`` leaves out what is private.

    Raises:
        RecordingError: not a recording, a damaged one, or one of a schema that is not read.
    """
    from waitspy import library  # noqa: PLC0415  (the judge takes long to import, and numpy)

    return library.load(path, min_stall_s=min_stall_s, redact=redact)
