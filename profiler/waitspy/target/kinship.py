"""Who descends from whom, in a table of parents by pid. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet


def lineage(pid: int, parents: Mapping[int, int]) -> set[int]:
    """The ancestors of a process."""
    found: set[int] = set()
    while (pid := parents.get(pid, 0)) and pid not in found:
        found.add(pid)
    return found


def topmost(pids: AbstractSet[int], parents: Mapping[int, int]) -> tuple[int, ...]:
    """Those without an ancestor among them, in ascending order."""
    return tuple(sorted(pid for pid in pids if not lineage(pid, parents) & pids - {pid}))


def at_or_below(top: int, parents: Mapping[int, int]) -> list[int]:
    """A process and all that descend from it, parents first."""
    children: dict[int, list[int]] = {}
    for pid, ppid in parents.items():
        children.setdefault(ppid, []).append(pid)
    found, seen = [top], {top}
    for pid in found:
        below = [child for child in children.get(pid, ()) if child not in seen]
        seen.update(below)
        found += below
    return found
