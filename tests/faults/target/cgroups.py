"""Cgroups of a test's own, below the one that it runs in: of either version, for one controller."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

_LINGERS_S = 10.0  # what is killed leaves its cgroup a moment later


class Controller(NamedTuple):
    """What is mounted for it, and its hierarchy in /proc/PID/cgroup."""

    type_: str
    option: str
    named: str


FREEZER_V1 = Controller("cgroup", "freezer", "freezer")
MEMORY_V1 = Controller("cgroup", "memory", "memory")
UNIFIED = Controller("cgroup2", "rw", "")


def own(files: Mapping[Controller, str]) -> tuple[Path, str]:
    """Our own cgroup of the first controller that has a file of that name, and the name; else the
    test is skipped.
    """
    for controller, file in files.items():
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, where, type_, options, *_ = line.split()
            if type_ != controller.type_ or controller.option not in options.split(","):
                continue
            for row in Path("/proc/self/cgroup").read_text().splitlines():
                _, named, path = row.split(":", 2)
                if named == controller.named and Path(where + path, file).exists():
                    return Path(where + path), file
    pytest.skip(f"no cgroup with {' or '.join(files.values())} is mounted")


@contextlib.contextmanager
def grouped(ours: Path, pid: int) -> Iterator[Path]:
    """Moves the process into a cgroup of its own below ours: its folder."""
    group = ours / f"waitspy-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"may not make a cgroup: {error.strerror}")
    try:
        (group / "cgroup.procs").write_text(str(pid))
        yield group
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            (ours / "cgroup.procs").write_text(str(pid))
        _remove(group)


def _remove(group: Path) -> None:
    until_s = time.monotonic() + _LINGERS_S
    while True:
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.01)
        else:
            return
