"""Names what a loop or a pool would call, and finds the task behind it."""

from __future__ import annotations

from typing import NamedTuple

from waitspy.model.stacks import Frame
from waitspy.remote.frames import Frames, is_coroutine
from waitspy.remote.memory import Unreadable
from waitspy.remote.objects import Objects
from waitspy.remote.type_facts import TypeFacts

_DEEPEST = 8
"""Wrappers around a function that are looked into."""

_MOST_CELLS = 64

_CACHED, _WRAPPED = "functools._lru_cache_wrapper", "__wrapped__"
_CHUNK = "/concurrent/futures/process.py", "_process_chunk"

_STEPS = frozenset({"TaskStepMethWrapper", "TaskWakeupMethWrapper"})
"""Modules/_asynciomodule.c; from 3.12 on with the module before the name."""

_WAKEUP = "task_wakeup"
"""The method of a task that 3.10 and newer wake it with."""


class Called(NamedTuple):
    """A callable: its name, ``file:line``, and the object it is bound to (zero: none).

    ``task`` is the address of the task when calling it means to step or wake that task.
    """

    name: str
    where: str | None = None
    bound: int = 0
    task: int = 0


class Callables:
    """Describes callables.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, objects: Objects, frames: Frames) -> None:
        self.objects = objects
        self.frames = frames

    def describe(self, address: int, args: int = 0) -> Called:
        """What is called, looking through partial objects and ``Context.run``.

        ``args`` is the tuple of arguments that it will be called with (zero: not known).
        """
        return self._named(*self._inner(address, args))

    def closure(self, address: int, args: int = 0) -> tuple[Frame, list[int]] | None:
        """The Python function that is called in the end, and what lies in the cells of its closure;
        None for anything else.
        """
        lay, memory = self.objects.layout, self.objects.memory
        address, kind = self._inner(address, args)
        if kind.name != "function" or kind.heap:
            return None
        code = self.frames.code(memory.word(address + lay.function_code))
        cells = memory.word(address + lay.function_closure)
        found = self.objects.sequence(cells, _MOST_CELLS) if cells else []
        return code, [memory.word(cell + lay.cell_content) for cell in found]

    def held(self, address: int) -> list[int]:
        """What a callable has with it: arguments of partial objects, and what lies in the cells of
        the function's closure.
        """
        lay, memory = self.objects.layout, self.objects.memory
        found: list[int] = []
        for _ in range(_DEEPEST):
            if self.objects.type_of(address).name != "functools.partial":
                break
            args = memory.word(address + lay.partial_args)
            found += self.objects.sequence(args, _MOST_CELLS) if args else []
            address = memory.word(address + lay.partial_function)
        closure = self.closure(address)
        return found if closure is None else found + closure[1]

    def _inner(self, address: int, args: int) -> tuple[int, TypeFacts]:
        """What is called behind partial objects, ``Context.run``, ``map`` of processes, and
        ``functools.cache``.
        """
        lay, memory = self.objects.layout, self.objects.memory
        kind = self.objects.type_of(address)
        for _ in range(_DEEPEST):
            if kind.name == "functools.partial":
                args = memory.word(address + lay.partial_args)
                address = memory.word(address + lay.partial_function)
            elif self._runs_in_context(address, kind) or (args and self._runs_chunk(address, kind)):
                inner = self._first(args)
                if not inner:
                    break
                address, args = inner, 0
            elif kind.name == _CACHED:
                held = self.objects.attributes(address, {_WRAPPED})
                if not held:
                    break
                address, args = held[_WRAPPED], 0
            else:
                break
            kind = self.objects.type_of(address)
        return address, kind

    def _runs_in_context(self, address: int, kind: TypeFacts) -> bool:
        """Whether it is ``Context.run``, through which asyncio.to_thread calls its function."""
        if kind.name != "builtin_function_or_method" or kind.heap:
            return False
        lay, memory = self.objects.layout, self.objects.memory
        bound = memory.word(address + lay.builtin_self)
        if not bound or self._builtin_name(address) != "run":
            return False
        return self.objects.type_of(bound).name in {"Context", "_contextvars.Context"}

    def _runs_chunk(self, address: int, kind: TypeFacts) -> bool:
        """Whether it is the function by which ``ProcessPoolExecutor.map`` calls another one."""
        if kind.name != "function" or kind.heap:
            return False
        code = self.objects.memory.word(address + self.objects.layout.function_code)
        return self.frames.code(code).is_one_of(*_CHUNK)

    def _first(self, args: int) -> int:
        items = self.objects.sequence(args, 1 << 10) if args else []
        return items[0] if items else 0

    def _named(self, address: int, kind: TypeFacts) -> Called:
        lay, memory = self.objects.layout, self.objects.memory
        if kind.name == "function" and not kind.heap:
            return self._function(address)
        if kind.name == "method" and not kind.heap:
            bound = memory.word(address + lay.method_self)
            inner = memory.word(address + lay.method_function)
            inner_kind = self.objects.type_of(inner)
            if inner_kind.name == "function" and not inner_kind.heap:
                return self._function(inner)._replace(bound=bound)
            return Called(inner_kind.name, bound=bound)
        if kind.name == "builtin_function_or_method" and not kind.heap:
            return self._builtin(address)
        if kind.name.rpartition(".")[2] in _STEPS:
            task = memory.word(address + lay.task_wrapper_task)
            return Called("task step", task=task)
        if kind.is_class:  # a class
            return Called(self.objects.type_at(address).name)
        call = self.objects.inherited(kind, "__call__")
        if call and self.objects.type_of(call).name == "function":
            return self._function(call)._replace(bound=address)
        return Called(kind.name, bound=address)

    def _function(self, address: int) -> Called:
        lay, memory = self.objects.layout, self.objects.memory
        name = self.objects.text(memory.word(address + lay.function_qualname))
        frame = self.frames.code(memory.word(address + lay.function_code))
        return Called(name, f"{frame.file}:{frame.line}" if frame.line else frame.file)

    def _builtin(self, address: int) -> Called:
        lay, memory = self.objects.layout, self.objects.memory
        name = self._builtin_name(address)
        bound = memory.word(address + lay.builtin_self)
        if not bound:
            return Called(name)
        kind = self.objects.type_of(bound)
        if name == _WAKEUP:
            return Called("task wakeup", task=bound)
        if kind.name == "module":
            return Called(name)
        if is_coroutine(kind):
            return Called(f"{self.frames.qualname(bound)}.{name}", bound=bound)
        return Called(f"{kind.name}.{name}", bound=bound)

    def _builtin_name(self, address: int) -> str:
        lay, memory = self.objects.layout, self.objects.memory
        return self.objects.c_text(memory.word(memory.word(address + lay.builtin_def)))


def of_work_item(callables: Callables, item: int) -> Called:
    """The function of an executor's work item: ``fn``, or from 3.14 on the first of ``task``; ``?``
    when it cannot be read.
    """
    try:
        held = callables.objects.attributes(item, {"fn", "args", "task"})
        if "fn" in held:
            return described(callables, held["fn"], held.get("args", 0))
        function, args, *_ = callables.objects.sequence(held["task"], 8)
        return described(callables, function, args)
    except (Unreadable, KeyError, ValueError):
        return Called("?")


def described(callables: Callables, address: int, args: int = 0) -> Called:
    """What is called; ``?`` when it cannot be read."""
    try:
        return callables.describe(address, args)
    except Unreadable:
        return Called("?")
