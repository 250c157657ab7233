"""Reads source lines inside the target's own root, for the frames that a recording shows.

The target's root is held open from the attach on, so that the sources of a worker that has ended
can still be read. Paths are resolved inside that root (openat2(2) with RESOLVE_IN_ROOT) and with
the rights of the target's own user: what a hostile target names is read only where that user may
read it. A file that is not the one which the process has loaded shows no lines.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from waitspy.kernel import calls, file_rights, procfs
from waitspy.kernel.file_rights import FileRights
from waitspy.model.code_origin import base_name
from waitspy.model.processes import Worker
from waitspy.model.recorded import Loss, Recording, SourceLines, WorkerRecord
from waitspy.model.stacks import Frame

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_LARGEST = 4 << 20
_LONGEST_LINE = 500
_AROUND = 5
_MOST_LINES = 40_000
_CLOCK_S = 1.0  # by which the time of a file and the start of a process may seem to differ
_NO_RIGHTS = "they are read with the rights of the server's user only, which this user may not take"
_GIVE_RIGHTS = "run as root or as that user, or with CAP_SETUID and CAP_SETGID"
_NO_THREAD = "a thread of their own reads them, and none can be started: there are too many"
_GIVE_THREADS = "raise the limit of processes (ulimit -u, pids.max of its cgroup)"
_LINE_ENDS = re.compile(r"\r\n|\r|\n")  # as Python splits its source: at no other character
_MADE = "__annotate__"  # by the compiler, without a definition: CPython 3.14, Python/codegen.c
_DEFINES = re.compile(r"[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)")


@dataclass(frozen=True, slots=True)
class _Root:
    """Where files are read, and with whose rights; the same for many workers."""

    fd: int
    cwd: str
    rights: FileRights


@dataclass(slots=True)
class _Wanted:
    """Lines of one file, each with the function that shows it, and since when it is loaded."""

    named: set[tuple[int, str]]
    since_s: float


class Roots:
    """The roots and working directories of the workers, kept open."""

    def __init__(self) -> None:
        self._roots: dict[tuple[int, int, str, FileRights], _Root] = {}
        self._workers: dict[tuple[int, int], tuple[_Root, float]] = {}

    def open(self, worker: Worker) -> Loss | None:
        """Holds a worker's root; workers with the same root, folder and user share it.

        Gives what is lost where its files cannot be read as its user reads them.
        """
        pid = worker.pid
        try:
            rights = file_rights.of(pid)
        except OSError:
            return None
        if rights not in {root.rights for root in self._roots.values()}:
            try:
                file_rights.reading(rights, lambda: None)
            except BlockingIOError:
                return Loss("source lines", _NO_THREAD, _GIVE_THREADS, pid)
            except OSError:
                return Loss("source lines", _NO_RIGHTS, _GIVE_RIGHTS, pid)
        try:
            fd = procfs.open_root(pid)
        except OSError:
            return None
        cwd = "/"
        with suppress(OSError):
            cwd = procfs.link(pid, "cwd")
        info = os.fstat(fd)
        root = self._roots.setdefault(
            (info.st_dev, info.st_ino, cwd, rights), _Root(fd, cwd, rights)
        )
        if root.fd != fd:
            os.close(fd)
        self._workers[pid, worker.start_ticks] = (
            root,
            time.time() - procfs.age_s(worker.start_ticks),
        )
        return None

    def close(self) -> None:
        """Lets go of everything."""
        for root in self._roots.values():
            os.close(root.fd)
        self._roots.clear()
        self._workers.clear()

    def read(self, recording: Recording) -> SourceLines:
        """The lines that the frames of a recording name, and a few around them.

        There are none of files that are no longer what the processes have loaded.
        """
        found: dict[str, Mapping[int, str]] = {}
        for root, wanted in self._wanted(recording):
            left = {file: one for file, one in wanted.items() if not found.get(file)}
            most = _MOST_LINES - sum(map(len, found.values()))
            with suppress(OSError):  # its user's rights cannot be taken, or it takes too long
                found |= file_rights.reading(root.rights, partial(_of_root, root, left, most))
        return found

    def _wanted(self, recording: Recording) -> list[tuple[_Root, dict[str, _Wanted]]]:
        """What to read where: what each worker shows, and since when it can have loaded it."""
        by_root: dict[int, tuple[_Root, dict[str, _Wanted]]] = {}
        for worker in recording.workers:
            key = worker.worker.pid, worker.worker.start_ticks
            if key not in self._workers:
                continue
            root, started_s = self._workers[key]
            _, wanted = by_root.setdefault(root.fd, (root, {}))
            for frame in _shown(worker, recording):
                if frame.line is not None and frame.file.endswith(".py"):
                    one = wanted.setdefault(frame.file, _Wanted(set(), started_s))
                    one.named.add((frame.line, base_name(frame.function)))
                    one.since_s = min(one.since_s, started_s)
        return list(by_root.values())


def _shown(worker: WorkerRecord, recording: Recording) -> Iterator[Frame]:
    """Every frame of a worker's threads and of its waiting tasks, and where locks were taken."""
    numbers = {number for dump in worker.dumps for number in dump.stacks.values()}
    for segment in worker.segments:
        for thread in segment.threads:
            numbers.update(np.unique(thread.intervals.stack).tolist())
    yield from recording.stacks.frames_in(numbers)
    for look in worker.places:
        for group in look.groups or ():
            yield from group.stack
    for told in worker.task_waits:
        for wait in told.waits:
            yield from wait.stack
            for holders in wait.holders:
                yield from (*holders.stack, holders.at)
    for event in worker.children:
        for child in event.standing:
            for who in child.waits:
                yield from who.stack
    for seen in worker.wait_for:
        for waiting in seen.waiting:
            yield from (one.at for one in waiting.holders if one.at is not None)
        for task in seen.tasks:
            yield from task.stack


def _of_root(root: _Root, wanted: Mapping[str, _Wanted], most: int) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for file, one in sorted(wanted.items()):
        if most <= 0:
            break
        text = _text(root, os.path.normpath(os.path.join(root.cwd, file)))
        if text is None:
            continue
        fitting = _fitting(text.lines, one.named)
        # A few that do not fit may be frames that were torn when they were read.
        same = text.changed_s <= one.since_s + _CLOCK_S and len(fitting) * 2 > len(one.named)
        found[file] = _pick(text.lines, {line for line, _ in fitting}) if same else {}
        most -= len(found[file])
    return found


@dataclass(frozen=True, slots=True)
class _Text:
    lines: list[str]
    changed_s: float


def _text(root: _Root, path: str) -> _Text | None:
    """The lines of a regular file; None where there is none that its user may read."""
    with suppress(OSError):
        fd = calls.openat2_in_root(root.fd, path, _READ)
        with open(fd, "rb") as f:
            info = os.fstat(fd)
            if stat.S_ISREG(info.st_mode):
                # Files that the kernel makes up say that they are empty.
                raw = f.read(min(info.st_size, _LARGEST))
                return _Text(_LINE_ENDS.split(raw.decode("utf-8", "replace")), info.st_ctime)
    return None


def _fitting(text: list[str], named: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those of the lines that may lie in the function that is said to be there."""
    first: dict[str, int] = {}
    decorated: int | None = None  # a function begins with its decorators
    for number, line in enumerate(text, 1):
        if found := _DEFINES.match(line):
            first.setdefault(found[1], decorated or number)
            decorated = None
        elif decorated is None and line.lstrip().startswith("@"):
            decorated = number
    return [
        (line, name)
        for line, name in named
        if line <= len(text)
        and (not name.isidentifier() or name == _MADE or first.get(name, line + 1) <= line)
    ]


def _pick(text: list[str], lines: set[int]) -> dict[int, str]:
    near = {n for line in lines for n in range(line - _AROUND, line + _AROUND + 1)}
    return {n: text[n - 1][:_LONGEST_LINE] for n in sorted(near) if 0 < n <= len(text)}
