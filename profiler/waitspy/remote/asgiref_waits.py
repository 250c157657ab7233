"""What threads and tasks wait for by way of asgiref, with which Django crosses between both.

A thread in ``async_to_sync`` serves an executor of its own until a future is done. It has made the
coroutine that completes it, ``main_wrap``: whichever task awaits that coroutine is the one. A task
in ``sync_to_async`` has the executor in a variable that is to make its call. Most often that has
one thread: the one that serves it, or the single one of a pool (asgiref/sync.py and
current_thread_executor.py, 3.8 to 3.13).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from waitspy.model.code_origin import base_name
from waitspy.remote.frames import is_coroutine
from waitspy.remote.memory import Unreadable
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.type_facts import TypeFacts

EXECUTOR, _SYNC = "/asgiref/current_thread_executor.py", "/asgiref/sync.py"
_SERVES, _CALL, _WRAPS = "run_until_future", "__call__", "main_wrap"
_WAITING = ("/threading.py", "/queue.py")
_OWN, _POOL = "CurrentThreadExecutor", "ThreadPoolExecutor"
_EXECUTORS = frozenset({"_work_thread", "_broken", "_threads", "_max_workers"})
_POOL_FILE, _IDLE = "/concurrent/futures/thread.py", "_worker"
_MOST_THREADS = 4  # of a pool that are read: more than one tells enough


class Served(NamedTuple):
    """The executor that a thread serves, the future until whose end it does so, and the coroutine
    that completes it (zero: not known).
    """

    executor: int
    future: int
    coroutine: int


class AsgirefWaits:
    """Reads them of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, stacks: ThreadStacks) -> None:
        self._stacks = stacks
        self._frames = stacks.code
        self._objects = stacks.code.objects

    def served(self, frames: Sequence[ThreadFrame]) -> Served | None:
        """What a thread with these frames, innermost first, serves while it waits; None: nothing of
        asgiref's.
        """
        for n, frame in enumerate(frames):
            if self._is(frame, EXECUTOR, _SERVES):
                variables = self._variables(frame.address, frame.code)
                executors, futures = (self._called(variables, name) for name in (_OWN, "Future"))
                if len(executors) != 1 or len(futures) != 1:
                    return None
                return Served(executors[0], futures[0], self._wrapped(frames[n + 1 : n + 2]))
            if not self._frames.code(frame.code).rooted.endswith(_WAITING):
                break
        return None

    def only_thread(self, coroutine: int, threads: Mapping[int, Thread]) -> int | None:
        """The thread that has to make the call for which a coroutine waits that is
        ``SyncToAsync.__call__``, and is at something else; None: there is no such, or it is not
        known.
        """
        frame = self._frames.inside_of(coroutine)
        if not frame:
            return None
        code, _ = self._frames.stands(frame)
        variables = self._variables(frame, code)
        executors = [one for name in (_OWN, _POOL) for one in self._called(variables, name)]
        if len(executors) != 1:
            return None
        ident = self._ident_of(executors[0])
        mine = next((tid for tid, one in threads.items() if ident and one.ident == ident), None)
        elsewhere = mine is not None and self._is_elsewhere(threads[mine], executors[0])
        return mine if elsewhere else None

    def is_call(self, code: int) -> bool:
        """Whether that is the code of ``SyncToAsync.__call__``, among coroutines."""
        frame = self._frames.code(code)
        return frame.rooted.endswith(_SYNC) and base_name(frame.function) == _CALL

    # --- in between -----------------------------------------------------------------------

    def _is(self, frame: ThreadFrame, file: str, name: str) -> bool:
        code = self._frames.code(frame.code)
        return code.rooted.endswith(file) and base_name(code.function) == name

    def _wrapped(self, caller: Iterable[ThreadFrame]) -> int:
        """The coroutine that ``AsyncToSync.__call__`` has had made; zero: it cannot be told."""
        found: list[int] = []
        for frame in caller:
            if not self._is(frame, _SYNC, _CALL):
                continue
            for word, kind in self._variables(frame.address, frame.code).items():
                with contextlib.suppress(Unreadable):
                    inside = self._frames.inside_of(word) if is_coroutine(kind) else 0
                    code = self._frames.code(self._frames.stands(inside)[0]) if inside else None
                    if code is not None and code.rooted.endswith(_SYNC):
                        found += [word] * (base_name(code.function) == _WRAPS)
        return found[0] if len(found) == 1 else 0

    def _ident_of(self, executor: int) -> int:
        """The pthread id of the one thread that serves an executor; zero: there are several, or
        none, or it takes no work any more: then another one has got it.
        """
        held = self._objects.attributes(executor, _EXECUTORS)
        thread = held.get("_work_thread", 0)
        if "_broken" in held and self._objects.integer(held["_broken"]):
            return 0
        if not thread and held.keys() >= {"_threads", "_max_workers"}:
            threads = self._objects.set_items(held["_threads"], _MOST_THREADS)
            if len(threads) == self._objects.integer(held["_max_workers"]) == 1:
                thread = threads[0]
        ident = self._objects.attributes(thread, {"_ident"}).get("_ident") if thread else None
        return self._objects.integer(ident) if ident else 0

    def _is_elsewhere(self, thread: Thread, executor: int) -> bool:
        """Whether it does not wait for work of that executor: else it is about to take it."""
        frames = self._stacks.frames(thread.address)
        served = self.served(frames)
        if served is not None:
            return served.executor != executor
        return bool(frames) and not self._is(frames[0], _POOL_FILE, _IDLE)

    def _variables(self, frame: int, code: int) -> dict[int, TypeFacts]:
        return self._frames.variables([(frame, code)])[0]

    def _called(self, variables: Mapping[int, TypeFacts], name: str) -> list[int]:
        """Those of a class of that name, or of one that derives from it."""
        return [
            word
            for word, kind in variables.items()
            if any(self._objects.type_at(base).name == name for base in kind.mro)
        ]
