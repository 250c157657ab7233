"""Which futures of a loop are done once something else is: what tasks wait for that somebody else
has to hand in.

A task hardly ever awaits what it has handed to a thread itself. ``asyncio.wrap_future``,
``shield``, ``gather``, ``wait`` and, up to 3.11, ``wait_for`` await a future of their own: it lies
in a cell, or among the arguments, of a function that is called when the one behind it is done
(Lib/asyncio/tasks.py and futures.py, 3.8 to 3.15). A queue of asyncio keeps the futures of those
who wait for an item of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from waitspy.remote.awaited_tasks import AwaitedTasks
from waitspy.remote.awaiting import calls_of_threads_future
from waitspy.remote.callables import Callables
from waitspy.remote.memory import Unreadable
from waitspy.remote.queues import Queues

_STEPS = 4
"""From a future of a thread to the loop's one, to that of ``shield``, to that of ``wait_for``."""

_LINE = "_getters"
_MOST = 256
_MOST_WAITERS = 64


class Completions:
    """Reads it in one interpreter.

    Raises:
        OSError: no permission, or the process is gone.
    """

    def __init__(self, awaited: AwaitedTasks, callables: Callables) -> None:
        self._awaited = awaited
        self._callables = callables
        self._objects = callables.objects
        self._queues = Queues(callables.objects)

    def of(self, promises: Iterable[int]) -> set[int]:
        """The addresses of these futures, and of what is done once they are, or once something is
        in these queues; beside them are other objects that the functions in between have.
        """
        left = list(dict.fromkeys(promises))[:_MOST]
        found = {*left, *self._getting(left)}
        for _ in range(_STEPS):
            following: dict[int, None] = {}
            for one in left:
                with contextlib.suppress(Unreadable):
                    following.update(dict.fromkeys(self._after(one)))
            left = [word for word in following if word and word not in found][:_MOST]
            found.update(left)
        return found

    def _after(self, promise: int) -> Iterator[int]:
        """What is told when one of them is done."""
        calls = calls_of_threads_future(self._objects, promise)
        for function in self._awaited.calls(promise) if calls is None else calls:
            with contextlib.suppress(Unreadable):
                yield from self._callables.held(function)

    def _getting(self, queues: Iterable[int]) -> Iterator[int]:
        """What those wait for who stand in the line of one of these queues."""
        for queue in queues:
            with contextlib.suppress(Unreadable):
                line = self._objects.attributes(queue, {_LINE}).get(_LINE, 0)
                yield from (self._queues.items(line) or ())[:_MOST_WAITERS] if line else ()
