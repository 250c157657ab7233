"""Named waits: what a thread was doing, and a number for each distinct one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WaitKind(StrEnum):
    """What a thread was doing, one word; design of the catalogue in waits.py."""

    ON_CPU = "on-cpu"
    GIL = "gil"
    LOOP_POLL = "loop-poll"
    SLEEP = "sleep"
    LOCK = "lock"
    QUEUE = "queue"
    FUTURE = "future"
    JOIN = "join"
    SOCKET = "socket"
    DNS = "dns"
    FILE = "file"
    SUBPROCESS = "subprocess"
    POOL_IDLE = "pool-idle"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Wait:
    """A named wait: its kind, the call on the source line and the system call, where known."""

    kind: WaitKind
    call: str | None = None
    syscall: str | None = None


class WaitTable:
    """Names every distinct wait by a number."""

    __slots__ = ("_numbers", "_waits")

    def __init__(self) -> None:
        self._waits: list[Wait] = []
        self._numbers: dict[Wait, int] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def __getitem__(self, number: int) -> Wait:
        return self._waits[number]

    def number(self, wait: Wait) -> int:
        """The number of a wait."""
        found = self._numbers.get(wait)
        if found is None:
            found = self._numbers[wait] = len(self._waits)
            self._waits.append(wait)
        return found
