"""Reads source lines inside the target's own root, for the frames that a recording shows.

The target's root is held open from the attach on, so that the sources of a worker that has ended
can still be read. Paths are resolved inside that root (openat2(2) with RESOLVE_IN_ROOT): a link
in a hostile target cannot lead to files of this machine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from waitspy.kernel import calls
from waitspy.model.recorded import Recording
from waitspy.model.stacks import Frame

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_LARGEST = 4 << 20
_LONGEST_LINE = 500
_AROUND = 5
_MOST_LINES = 40_000


class Roots:
    """The roots and working directories of the workers, kept open."""

    def __init__(self) -> None:
        self._roots: dict[int, tuple[int, str]] = {}
        self._seen: set[tuple[int, int, str]] = set()

    def open(self, pid: int) -> None:
        """Holds a worker's root; workers that share root and folder share one descriptor."""
        try:
            fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return
        cwd = "/"
        with suppress(OSError):
            cwd = os.readlink(f"/proc/{pid}/cwd")
        info = os.fstat(fd)
        key = info.st_dev, info.st_ino, cwd
        if key in self._seen:
            os.close(fd)
        else:
            self._seen.add(key)
            self._roots[pid] = fd, cwd

    def close(self) -> None:
        """Lets go of everything."""
        for fd, _ in self._roots.values():
            os.close(fd)
        self._roots.clear()

    def read(self, recording: Recording) -> dict[str, dict[int, str]]:
        """The lines that the frames of a recording name, and a few around them."""
        wanted: dict[str, set[int]] = {}
        for frame in chain(recording.stacks.frames, _of_tasks(recording)):
            if frame.line is not None and frame.file.endswith(".py"):
                wanted.setdefault(frame.file, set()).add(frame.line)
        found: dict[str, dict[int, str]] = {}
        left = _MOST_LINES
        for file, lines in sorted(wanted.items()):
            text = self._text(file) if left > 0 else None
            if text is not None:
                found[file] = _pick(text, lines)
                left -= len(found[file])
        return found

    def _text(self, file: str) -> list[str] | None:
        for root, cwd in self._roots.values():
            path = os.path.normpath(os.path.join(cwd, file))
            try:
                fd = calls.openat2_in_root(root, path, _READ)
            except OSError:
                continue
            with open(fd, "rb") as f:
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    raw = f.read(_LARGEST)
                    return raw.decode("utf-8", "replace").splitlines()
        return None


def _of_tasks(recording: Recording) -> Iterator[Frame]:
    for worker in recording.workers:
        for look in worker.places:
            for group in look.groups or ():
                yield from group.stack


def _pick(text: list[str], lines: set[int]) -> dict[int, str]:
    near = {n for line in lines for n in range(line - _AROUND, line + _AROUND + 1)}
    return {n: text[n - 1][:_LONGEST_LINE] for n in sorted(near) if 0 < n <= len(text)}
