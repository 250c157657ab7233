"""The processes of a target's tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Role = Literal["master", "worker", "helper"]
RuntimeName = Literal["Python", "Node.js"]


class RuntimeVersion(NamedTuple):
    """What runs the program of a process, and the version of that."""

    name: RuntimeName
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def short(self) -> str:
        """For where room is scarce: of Python, which most are, the version alone."""
        return self.version if self.name == "Python" else str(self)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of the target's tree; ``python`` is the version of its CPython, ``node`` that of
    its Node.js: None where it is no such process.

    ``start_ticks`` is field 22 of /proc/PID/stat (clock ticks after boot): with the pid it names
    the process for good. ``why_not`` says why it cannot be attached; None means that it can.
    """

    pid: int
    ppid: int
    role: Role
    command: str
    start_ticks: int
    python: str | None = None
    node: str | None = None
    framework: str | None = None
    threads: int | None = None
    why_not: str | None = None
    remedy: str | None = None

    @property
    def runtime(self) -> RuntimeVersion | None:
        """What runs its program; None where that is nothing that can be looked into."""
        if self.python is not None:
            return RuntimeVersion("Python", self.python)
        return None if self.node is None else RuntimeVersion("Node.js", self.node)


class ThreadKey(NamedTuple):
    """A thread of a recording; ``process`` tells programs with one pid apart, in their order.

    A process that calls exec becomes another one with the same pid, and pids are used again.
    """

    pid: int
    tid: int
    process: int = 0
