"""AnyIO's default thread limiter of a loop: how many tokens are out, which tasks wait for one.

``anyio.to_thread.run_sync`` (Starlette's and FastAPI's synchronous handlers) runs in threads of
AnyIO's own, at most as many as the limiter has tokens. It is stored per loop in
``anyio.lowlevel._run_vars``, a WeakKeyDictionary from the loop to a dict, under the RunVar
``_default_thread_limiter`` itself (AnyIO 4.16) or under its name (4.5 and older).
"""

from __future__ import annotations

from collections.abc import Iterable

from waitspy.remote.anchors import InterpreterState
from waitspy.remote.loops import LoopInMemory
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.tasks import Tasks
from waitspy.remote.values import LimiterFacts, TaskFacts

_NAME = "_default_thread_limiter"
_MOST_WAITERS = 100_000
_NAMED = 8


class Limiters:
    """Reads AnyIO's limiters of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, tasks: Tasks) -> None:
        self.interp = interp
        self.tasks = tasks
        self.objects = interp.objects
        self.memory = interp.objects.memory

    def read(self, loops: Iterable[LoopInMemory]) -> tuple[LimiterFacts, ...]:
        """The default limiter of each of these loops that has one."""
        if self.interp.module("anyio._backends._asyncio") is None:
            return ()
        wanted = {loop.address for loop in loops}
        variable = self.interp.attribute_of("anyio._backends._asyncio", _NAME)
        stores = self.interp.attribute_of("anyio.lowlevel", "_run_vars")
        if stores is None:
            return ()
        data = self.objects.attributes(stores, {"data"}).get("data")
        found = []
        for ref, values in self.objects.dict_items(data) if data else ():
            loop = self.memory.word(ref + self.objects.layout.weakref_object)
            if loop in wanted:
                items = self.objects.dict_items(values, 1 << 12)
                limiter = dict(items).get(variable or 0) or self.objects.named(items).get(_NAME)
                if limiter:
                    found.append(self._facts(loop, limiter))
        return tuple(found)

    def _facts(self, loop: int, address: int) -> LimiterFacts:
        names = {"_total_tokens", "_borrowers", "_wait_queue"}
        held = self.objects.attributes(address, names)
        if held.keys() != names:
            raise Torn("a limiter of unknown shape")
        waiting = self.objects.dict_items(held["_wait_queue"], _MOST_WAITERS)
        lay = self.objects.layout
        return LimiterFacts(
            interpreter=self.interp.number,
            loop=loop,
            address=address,
            queue=held["_wait_queue"],
            total=self._total(held["_total_tokens"]),
            borrowed=self.memory.word(held["_borrowers"] + lay.set_used),
            waiting=len(waiting),
            head=waiting[0][0] if waiting else None,
            first=tuple(self._waiter(key) for key, _ in waiting[:_NAMED]),
        )

    def waiting(self, limiter: LimiterFacts) -> tuple[int, ...]:
        """The waiters, the first one first: they come to the end and are taken from the front."""
        items = self.objects.dict_items(limiter.queue, _MOST_WAITERS)
        return tuple(key for key, _ in items)

    def _total(self, address: int) -> int | None:
        try:
            return self.objects.integer(address)
        except Unreadable:
            return None  # math.inf

    def _waiter(self, borrower: int) -> TaskFacts:
        """What waits: the task, or the object in whose name it waits."""
        task = self.tasks.at(borrower)
        if task is not None:
            return self.tasks.facts(task)
        return TaskFacts(borrower, None, None)
