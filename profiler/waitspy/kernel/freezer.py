"""Whether its cgroup is frozen, which no state letter says: a frozen thread looks asleep.

Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst and cgroup-v2.rst of Linux 6.12. Each
cgroup says whether it is frozen, itself or below one that is.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from waitspy.kernel import procfs
from waitspy.model.clock import NS

_MOVES_NS = 5 * NS  # a process seldom changes its cgroup
_ASKED_EVERY_NS = NS // 20  # of idle workers this is all that a look costs: it adds up
_SAYS = {b"cgroup": ("freezer.state", b"FR"), b"cgroup2": ("cgroup.events", b"frozen 1")}
"""What a file of a cgroup says while it is frozen, or about to be, by the type of its mount."""

FreezerFile = tuple[str, bytes]
"""A file, and what it says if what it is about is frozen."""


class Said(NamedTuple):
    """Whether such a file said so, and when it was asked."""

    frozen: bool
    at_ns: int


class Freezer:
    """The freezers of one process; where no cgroup is mounted, nothing is known to be frozen.

    ``said`` is what they said last, shared by processes of the same cgroups.
    """

    def __init__(self, pid: int, said: dict[FreezerFile, Said]) -> None:
        self._pid = pid
        self._said = said
        self._files: tuple[FreezerFile, ...] = ()
        self._next_ns = self._ask_ns = 0
        self._held = False

    @property
    def next_ns(self) -> int:
        """Until when what it has told holds."""
        return min(self._next_ns, self._ask_ns) if self._files else self._next_ns

    def holds(self, now_ns: int) -> bool:
        """Whether the process is kept from running by one of them, as of a moment ago."""
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + _MOVES_NS
            self._files = self._found()
        if now_ns >= self._ask_ns:
            said = [self._asked(file, now_ns) for file in self._files]
            self._held = any(one.frozen for one in said)
            self._ask_ns = min((one.at_ns for one in said), default=now_ns) + _ASKED_EVERY_NS
        return self._held

    def _asked(self, file: FreezerFile, now_ns: int) -> Said:
        said = self._said.get(file)
        if said is None or now_ns >= said.at_ns + _ASKED_EVERY_NS:
            said = self._said[file] = Said(_says(*file), now_ns)
        return said

    def _found(self) -> tuple[FreezerFile, ...]:
        try:
            cgroups = procfs.read(self._pid, "cgroup")
            mounts = procfs.read(os.getpid(), "mountinfo")
        except OSError:
            return ()
        return tuple(file for file in files(cgroups, mounts) if os.path.exists(file[0]))


def files(cgroups: bytes, mounts: bytes) -> tuple[FreezerFile, ...]:
    """The files that tell, and what they say if frozen, by /proc/PID/cgroup and our mountinfo."""
    paths: dict[bytes, bytes] = {}
    for row in cgroups.splitlines():
        _, controllers, path = row.split(b":", 2)
        if not controllers or b"freezer" in controllers.split(b","):
            paths[b"cgroup" if controllers else b"cgroup2"] = path
    found = []
    for row in mounts.splitlines():
        place, _, source = row.partition(b" - ")
        root, where = place.split()[3:5]
        type_, _, options = source.split()[:3]
        path = paths.get(type_, b"")
        if not path or (type_ == b"cgroup" and b"freezer" not in options.split(b",")):
            continue
        inside = os.path.relpath(path, root)
        if inside.split(b"/")[0] != b"..":  # else that mount does not show it
            name, says = _SAYS[type_]
            found.append((os.fsdecode(os.path.join(where, inside, os.fsencode(name))), says))
    return tuple(found)


def _says(path: str, what: bytes) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            return what in (file.read(256) or b"")
    except OSError:
        return False
