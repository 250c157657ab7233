"""Where a page for people is put, and how it is opened: in a browser, where there is a screen."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from pathlib import Path


def place_for(name: str, recording: str) -> str:
    """A file of that name in the recording, or, where that cannot be written, a temporary one."""
    if os.access(recording, os.W_OK):
        return os.path.join(recording, name)
    stem, _, end = name.rpartition(".")
    handle, path = tempfile.mkstemp(prefix=f"waitspy-{stem}-", suffix=f".{end}")
    os.close(handle)
    return path


def has_screen() -> bool:
    """Whether a browser window can appear; on a server reached over ssh mostly not."""
    wanted = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return any(os.environ.get(name) for name in wanted)


def show(path: str) -> bool:
    """Opens the file in the user's browser; False where there is none."""
    return has_screen() and webbrowser.open(Path(path).resolve().as_uri())
