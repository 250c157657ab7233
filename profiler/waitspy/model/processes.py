"""The processes of a target's tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Role = Literal["master", "worker", "helper"]


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of the target's tree; ``python`` is None when it is not a CPython process.

    ``start_ticks`` is field 22 of /proc/PID/stat (clock ticks after boot): with the pid it names
    the process for good. ``why_not`` says why it cannot be attached; None means that it can.
    """

    pid: int
    ppid: int
    role: Role
    command: str
    start_ticks: int
    python: str | None = None
    framework: str | None = None
    threads: int | None = None
    why_not: str | None = None
    remedy: str | None = None


class ThreadKey(NamedTuple):
    """A thread of a recording; ``process`` tells programs with one pid apart, in their order.

    A process that calls exec becomes another one with the same pid, and pids are used again.
    """

    pid: int
    tid: int
    process: int = 0
