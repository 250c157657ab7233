"""Which tasks await what the threads of a pool are doing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from waitspy.model.stacks import Frame
from waitspy.remote.callables import Callables
from waitspy.remote.memory import Unreadable
from waitspy.remote.objects import Objects
from waitspy.remote.runtime import Thread
from waitspy.remote.tasks import Task

_MOST_CALLBACKS = 64
_FUTURES = "/asyncio/futures.py"


class Awaiting:
    """Goes from the frames of threads to the futures that end their work.

    AnyIO's threads hold the loop's own future. Those of an executor hold a work item: what
    ``asyncio.wrap_future`` has added to its future, a function, holds the loop's one in a cell of
    its closure (Lib/asyncio/futures.py, ``_chain_future``, the same from 3.8 to 3.15).

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, callables: Callables, work_item: int | None) -> None:
        self.callables = callables
        self.frames = callables.frames
        self.objects = callables.objects
        self._work_item = work_item

    def tasks(self, threads: Iterable[Thread], pending: Iterable[Task]) -> list[Task]:
        """Those of the pending tasks that wait for what is under way in one of these threads.

        What a frame holds may be left over from a call that has returned; but no task waits for a
        future that is done.
        """
        by_future = {task.waiter: task for task in pending if task.waiter}
        found: dict[int, Task] = {}
        for thread in threads if by_future else ():
            held = self.frames.held(thread.address)
            items = self.objects.of_type(held, self._work_item) if self._work_item else ()
            for word in (*held, *self._behind(items)):
                if word in by_future:
                    found[word] = by_future[word]
        return list(found.values())

    def _behind(self, items: Iterable[int]) -> Iterator[int]:
        """What lies in the cells of the functions that are called when a work item is done."""
        for item in items:
            with contextlib.suppress(Unreadable, KeyError):
                future = self.objects.attributes(item, {"future"})["future"]
                for _, cells in chained(self.callables, future):
                    yield from cells


def linked(callables: Callables, future: int, function: str) -> Iterator[list[int]]:
    """What lies in the cells of the function of asyncio of that name that is called when a future
    of a thread is done.

    Raises:
        Unreadable: the future is gone.
        OSError: no permission, or the process is gone.
    """
    for code, cells in chained(callables, future):
        if code.is_one_of(_FUTURES, function):
            yield [word for word in cells if word]


def calls_of_threads_future(objects: Objects, future: int) -> list[int] | None:
    """The functions that are called when a future of a thread is done; None: it is no such future.

    Raises:
        Unreadable: it is gone.
        OSError: no permission, or the process is gone.
    """
    added = objects.attributes(future, {"_done_callbacks"}).get("_done_callbacks")
    return None if added is None else objects.sequence(added, _MOST_CALLBACKS)


def chained(callables: Callables, future: int) -> Iterator[tuple[Frame, list[int]]]:
    """The functions that are called when a future of a thread is done, with what lies in the cells
    of their closures.

    Raises:
        Unreadable: the future is gone.
        OSError: no permission, or the process is gone.
    """
    for function in calls_of_threads_future(callables.objects, future) or ():
        with contextlib.suppress(Unreadable):
            found = callables.closure(function)
            if found is not None:
                yield found
