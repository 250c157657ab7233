"""What a task waits for by way of asyncio's helpers: ``gather``, ``shield``, ``wait``, ``wait_for``
(up to 3.11 a task of its own) and groups of tasks.

Each has a future made that is done when what it waits for is. Which tasks that are is in the future
itself (``_GatheringFuture``), in the closure of the function that it calls when it is done
(``shield``), or in the first local of the coroutine that awaits it (Lib/asyncio/tasks.py and
taskgroups.py, 3.8 to 3.15). One that is done already is not waited for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from waitspy.model.code_origin import base_name
from waitspy.remote.callables import Callables
from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.tasks import FINISHED, PENDING, Tasks
from waitspy.remote.type_facts import TypeFacts
from waitspy.remote.values import StandingTask

_TASKS = "/asyncio/tasks.py"
_GROUPS = "/asyncio/taskgroups.py", "/anyio/_backends/_asyncio.py"
_ENDS = frozenset({"__aexit__", "_aexit"})
_FUTURES, _NOT_BEGUN = "/asyncio/futures.py", "PENDING"
_SHIELDS = "_outer_done_callback"
_CALLBACK, _CALLBACKS = 8, 24
"""After the loop of a future (Modules/_asynciomodule.c, FutureObj_HEAD): the first function that it
calls when it is done, and the list of the others."""
_EXCEPTION = 32  # the same

_MOST = 4096


class AwaitedTasks:
    """Reads it of the tasks of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, tasks: Tasks, callables: Callables) -> None:
        self._frames = tasks.frames
        self._objects = tasks.objects
        self._memory = tasks.memory
        self._layout = tasks.anchors.layout
        self._task_type = tasks.anchors.task_type
        self._callables = callables

    def is_task(self, address: int) -> bool:
        """Whether there is a task at that address, and no other future."""
        return self._objects.type_of(address).is_a(self._task_type)

    def is_pending(self, address: int) -> bool:
        """Whether there is a task at that address that is not done."""
        return self.is_task(address) and self._state(address) == PENDING

    def error(self, address: int) -> int:
        """The exception that has ended a task; zero: it is no task, or has ended well, or not."""
        with contextlib.suppress(Unreadable):
            if self.is_task(address) and self._state(address) == FINISHED:
                return self._memory.word(address + self._layout.task_loop + _EXCEPTION)
        return 0

    def _state(self, future: int) -> int:
        return word_at(self._memory.read(future + self._layout.task_state, 4), 0, "I")

    def callbacks(self, future: int) -> list[str]:
        """The names of the functions that are called when a future is done."""
        found = []
        for function in self.calls(future):
            with contextlib.suppress(Unreadable):
                found.append(self._callables.describe(function).name)
        return found

    def is_queued(self, future: int) -> bool:
        """Whether a future of a loop is done when one of a thread is (``_chain_future``) whose work
        nobody has begun.
        """
        for function in self.calls(future):
            with contextlib.suppress(Unreadable):
                code, cells = self._callables.closure(function) or (None, [])
                if code is None or not code.rooted.endswith(_FUTURES):
                    continue
                for cell in cells:
                    held = self._objects.attributes(cell, {"_state"}) if cell else {}
                    if "_state" in held and self._objects.text(held["_state"]) == _NOT_BEGUN:
                        return True
        return False

    def of(self, task: StandingTask) -> list[int]:
        """The tasks and other futures that a task waits for and that are not done: the one that it
        awaits, or those behind that.
        """
        found: list[int] = []
        left, seen = list(self._first(task)), set[int]()
        while left:
            one = left.pop()
            if one in seen:
                continue
            seen.add(one)
            kind = self._objects.type_of(one)
            if not self._is_future(kind):
                raise Torn("no future")
            if len(seen) > _MOST:
                raise Torn("more than can be asked")
            if self._state(one) != PENDING:
                continue
            behind = [] if kind.is_a(self._task_type) else self._behind(one, kind)
            if behind:
                left += behind
            else:
                found.append(one)
        return sorted(found)

    def _first(self, task: StandingTask) -> Sequence[int]:
        """What the innermost coroutine of a task awaits: the future, or all that it is about."""
        if task.steps:
            coroutine, code, _ = task.steps[-1]
            frame = self._frames.code(code)
            name = base_name(frame.function)
            if frame.rooted.endswith(_TASKS) and name in {"wait_for", "_wait"}:
                first = self._frames.first_local(coroutine)
                return [first] if name == "wait_for" else self._in_set(first)
            if frame.rooted.endswith(_GROUPS) and name in _ENDS:
                group = self._frames.first_local(coroutine)
                tasks = self._objects.attributes(group, {"_tasks"}).get("_tasks", 0)
                return self._in_set(tasks) if tasks else ()
        return [task.waiter]

    def _in_set(self, address: int) -> list[int]:
        if self._objects.type_of(address).name != "set":
            raise Torn("no set")
        return self._objects.set_items(address, _MOST)

    def _is_future(self, kind: TypeFacts) -> bool:
        names = (self._objects.type_at(base).name for base in kind.mro)
        return any(name.rpartition(".")[2] == "Future" for name in names)

    def _behind(self, future: int, kind: TypeFacts) -> list[int]:
        """What has to be done before a future is that stands for others; nothing for any other."""
        if kind.name == "_GatheringFuture":
            children = self._objects.attributes(future, {"_children"}).get("_children", 0)
            return self._objects.sequence(children, _MOST) if children else []
        first = self._memory.word(future + self._layout.task_loop + _CALLBACK)
        found = self._callables.closure(first) if first else None
        if found is None:
            return []
        code, cells = found
        if not code.rooted.endswith(_TASKS) or base_name(code.function) != _SHIELDS:
            return []
        # the one of them that calls another one of them when it is done
        return [one for one in cells if one and not set(cells).isdisjoint(self.calls(one))]

    def calls(self, future: int) -> Iterator[int]:
        """The functions that are called when a future of a loop is done."""
        with contextlib.suppress(Unreadable):
            if not self._is_future(self._objects.type_of(future)):
                return
            raw = self._memory.read(future + self._layout.task_loop, _CALLBACKS + 8)
            yield word_at(raw, _CALLBACK)
            for pair in self._objects.sequence(word_at(raw, _CALLBACKS), _MOST):
                yield self._objects.sequence(pair, 2)[0]
