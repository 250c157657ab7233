"""Process pools of concurrent.futures: which processes each has, and what was handed in.

Its manager thread keeps every item that is not done, the oldest first. The processes take them in
that order, so that as many of the first ones are under way as there are processes.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from waitspy.remote.anchors import InterpreterState
from waitspy.remote.callables import Callables, of_work_item
from waitspy.remote.memory import Unreadable
from waitspy.remote.values import Callback, ProcessPoolFacts

_MOST_POOLS = 1_000
_MOST_PROCESSES = 1_000
_MOST_ITEMS = 100_000
_NAMED = 8


class ProcessPools:
    """Reads the process pools of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, callables: Callables) -> None:
        self._interp = interp
        self._callables = callables
        self._objects = interp.objects

    def read(self) -> tuple[ProcessPoolFacts, ...]:
        """Every pool that has started its processes."""
        mapping = self._interp.attribute_of("concurrent.futures.process", "_threads_wakeups")
        data = self._objects.attributes(mapping, {"data"}).get("data") if mapping else None
        found = []
        for ref, _ in self._objects.dict_items(data, _MOST_POOLS) if data else ():
            with contextlib.suppress(Unreadable, KeyError):  # one that is about to start, or to end
                manager = self._objects.memory.word(ref + self._objects.layout.weakref_object)
                if manager not in {0, self._interp.none}:
                    found.append(self._facts(manager))
        return tuple(pool for pool in found if pool.size)

    def queued(self, pool: ProcessPoolFacts) -> tuple[int, ...]:
        """The addresses of the items that no process has taken yet, the oldest first."""
        items = self._objects.dict_items(pool.pending, _MOST_ITEMS)
        return tuple(item for _, item in items[pool.size :])

    def look(self, pool: ProcessPoolFacts) -> ProcessPoolFacts:
        """The same with what is known of the first items that wait."""
        items = self.queued(pool)[:_NAMED]
        called = [of_work_item(self._callables, item) for item in items]
        first = tuple(Callback(one.name, one.where) for one in called)
        return replace(pool, items=items, first=first)

    def _facts(self, manager: int) -> ProcessPoolFacts:
        pending, processes = self._kept(manager)
        pids = [
            self._interp.runtime.outer_pid(self._objects.integer(pid))
            for pid, _ in self._objects.dict_items(processes, _MOST_PROCESSES)
        ]
        return ProcessPoolFacts(
            interpreter=self._interp.number,
            pending=pending,
            size=len(pids),
            pids=tuple(sorted(filter(None, pids))),
        )

    def _kept(self, manager: int) -> tuple[int, int]:
        """Where its manager keeps the items that are not done, and its processes."""
        if self._objects.layout.pair >= (3, 9):
            held = self._objects.attributes(manager, {"pending_work_items", "processes"})
            return held["pending_work_items"], held["processes"]
        # a plain thread, and what its function was called with
        args = self._objects.attributes(manager, {"_args"})["_args"]
        _, processes, pending, *_ = self._objects.sequence(args, 64)
        return pending, processes
