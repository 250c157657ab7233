"""The interpreters of a process, and what reads asyncio in those that have imported it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from waitspy.remote.anchors import InterpreterState
from waitspy.remote.asyncio_readers import AsyncioReaders
from waitspy.remote.frames import Frames
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.runtime import Runtime

TRIES = 3
"""Attempts at what changes while it is read."""

_T = TypeVar("_T")


class Interpreters:
    """Those that were there when it last looked.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, runtime: Runtime, frames: Frames) -> None:
        self.runtime = runtime
        self.frames = frames
        self.now: dict[tuple[int, int], InterpreterState] = {}
        self._asyncio: dict[int, AsyncioReaders] = {}

    def __iter__(self) -> Iterator[InterpreterState]:
        """Each of them."""
        return iter(self.now.values())

    def look(self) -> Interpreters:
        """Notes interpreters that began or ended; these are they."""
        now = self.runtime.interpreters()
        for key in self.now.keys() - set(now):
            del self.now[key]
            self._asyncio.pop(key[1], None)
        for address, number in now:
            if (address, number) not in self.now:
                self.now[address, number] = InterpreterState(
                    self.runtime, self.frames.objects, address, number
                )
        return self

    def numbered(self, number: int) -> InterpreterState:
        """The interpreter with that number; Torn when it has ended."""
        for interp in self:
            if interp.number == number:
                return interp
        raise Torn("its interpreter has ended")

    def parts(self) -> list[AsyncioReaders]:
        """What reads asyncio where it is imported; Unavailable where it cannot be read."""
        found = []
        for interp in self:
            if interp.number not in self._asyncio:
                anchors = interp.asyncio()
                if anchors is None:
                    continue
                self._asyncio[interp.number] = AsyncioReaders(interp, anchors, self.frames)
            found.append(self._asyncio[interp.number])
        return found

    def part_of(self, task: int) -> AsyncioReaders | None:
        """What reads asyncio in the interpreter of a task; None: there is no task."""
        for part in self.parts():
            with contextlib.suppress(Unreadable):
                if part.awaited.is_task(task):
                    return part
        return None

    def part(self, number: int) -> AsyncioReaders | None:
        """The same of one interpreter, as far as ``parts`` has found it."""
        return self._asyncio.get(number)


def again(look: Callable[[], tuple[_T, ...]]) -> tuple[_T, ...]:
    """What a look tells, which is tried again where something changed meanwhile."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(Unreadable):
            return look()
    return look()
