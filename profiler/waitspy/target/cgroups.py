"""Finds the processes of a systemd unit or of a container, by the names of their cgroups."""

from __future__ import annotations

import os
import re

from waitspy.errors import TargetError
from waitspy.kernel import procfs
from waitspy.target import runtimes
from waitspy.target.kinship import topmost


def by_unit(unit: str) -> tuple[int, ...]:
    """The topmost Python processes of a systemd unit, else its topmost ones of any kind."""
    found = _members(re.compile(rf"/{re.escape(unit)}(?:/|$)"))
    if not found:
        raise TargetError(
            f"no process that can be seen here runs in the unit {procfs.shown(unit)}",
            f"see systemctl status {procfs.shown(unit)}, or give :PORT or a PID",
        )
    return _roots(found)


def by_container(id_: str) -> tuple[int, ...]:
    """The topmost Python processes of the container whose id begins so, else its topmost ones
    of any kind; () where none can be seen.
    """
    containers: dict[str, set[int]] = {}
    for pid, path in _paths():
        for whole in re.findall(rf"(?<![0-9a-f]){id_}[0-9a-f]*", path):
            containers.setdefault(whole, set()).add(pid)
    if len(containers) > 1:
        raise TargetError(
            f"{len(containers)} containers have an id that begins with {id_}", "give more of it"
        )
    return _roots(containers.popitem()[1]) if containers else ()


def _members(name: re.Pattern[str]) -> set[int]:
    return {pid for pid, path in _paths() if name.search(path)}


def _paths() -> list[tuple[int, str]]:
    """The cgroups of every process; one has several where cgroups are of version 1."""
    found = []
    for pid in procfs.pids() - {os.getpid()}:
        try:
            rows = procfs.text(procfs.read(pid, "cgroup")).splitlines()
        except (ProcessLookupError, PermissionError):
            continue
        found += [(pid, row.split(":", 2)[-1]) for row in rows]
    return found


def _roots(members: set[int]) -> tuple[int, ...]:
    parents = {pid: stat.ppid for pid, stat in procfs.stats().items()}
    python = {pid for pid in members if runtimes.is_known(pid)}
    return topmost(python or members, parents)
