"""The objects of one interpreter from which everything else is found.

All are reached by name from ``sys.modules``, whose dict the interpreter state points to. The
built-in types come from ``builtins``, so no symbols beside ``_PyRuntime`` are needed.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from waitspy.remote import layouts
from waitspy.remote.layouts import Layout
from waitspy.remote.memory import Torn, Unavailable, Unreadable, word_at
from waitspy.remote.objects import Objects
from waitspy.remote.runtime import Runtime

_WANTED = frozenset(
    {
        "builtins", "os", "sys", "types", "asyncio.tasks", "asyncio.events",
        "asyncio.base_events", "uvloop.loop", "concurrent.futures.thread", "anyio.lowlevel",
        "anyio._backends._asyncio", "asgiref.sync", "collections", "threading",
        "twisted.internet.reactor", "concurrent.futures.process", "subprocess",
        "asyncio.subprocess", "multiprocessing.pool", "multiprocessing.synchronize",
    }
)  # fmt: skip
_TYPE_NAMES = ("dict", "str", "list", "tuple", "float", "int", "set", "type")
_SCAN = 1 << 16
"""Bytes of an interpreter state that are searched for the modules' dict; it is within them."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """asyncio as one interpreter has it.

    ``layout`` is the layout as its own types state it. ``all_tasks`` is the set of weak
    references to all tasks (None from 3.14 on: tasks are in linked lists). ``timer_slots`` are the
    offsets of a TimerHandle's fields, those of Handle among them.
    """

    layout: Layout
    task_type: int
    loop_type: int
    base_loop_type: int
    timer_type: int
    timer_slots: Mapping[str, int]
    all_tasks: int | None
    release_waiter: int | None


class InterpreterState:
    """One interpreter of the process: its modules, looked up again when some were imported.

    Raises:
        Unreadable: from every method.
        Unavailable: when its state is not laid out as expected, or is that of a debug build.
    """

    def __init__(self, runtime: Runtime, objects: Objects, address: int, number: int) -> None:
        self.runtime = runtime
        self.objects = objects
        self.address = address
        self.number = number
        self._modules_dict = self._find_modules()
        self._seen: tuple[int, int] = (0, 0)
        self._modules: dict[str, int] = {}
        self._anchors: Anchors | None = None
        self._refused: Unavailable | None = None
        wanted = {*_TYPE_NAMES, "None"}
        core = self.names_of("builtins", wanted)
        missing = wanted - core.keys()
        if missing:
            raise Unavailable("its builtins cannot be read")
        self.none = core["None"]
        self.float_type = core["float"]
        self.int_type = core["int"]
        self.set_type = core["set"]
        if self.attribute_of("sys", "gettotalrefcount") is not None:
            raise Unavailable("debug builds of Python cannot be read")

    # --- modules --------------------------------------------------------------------------

    def module(self, name: str) -> int | None:
        """The module of that name (one of those that are used here); None: not imported."""
        now = self.imported()
        if now != self._seen:
            found = self.objects.named(self.objects.dict_items(self._modules_dict), _WANTED)
            self._modules, self._seen = found, now
        return self._modules.get(name)

    def imported(self) -> tuple[int, int]:
        """What is another one when modules were imported: how many there are, and where."""
        head = self.objects.memory.read(self._modules_dict, self.objects.layout.dict_keys + 8)
        used = word_at(head, self.objects.layout.dict_used)
        return used, word_at(head, self.objects.layout.dict_keys)

    def names_of(self, module: str, names: Collection[str]) -> dict[str, int]:
        """What a module defines of these names; empty when it is not imported."""
        address = self.module(module)
        if address is None:
            return {}
        return self.objects.named(self.objects.dict_items(self._dict_of_module(address)), names)

    def attribute_of(self, module: str, name: str) -> int | None:
        """What a module defines by that name; None: nothing, or it is not imported."""
        return self.names_of(module, {name}).get(name)

    def _dict_of_module(self, address: int) -> int:
        return self.objects.memory.word(address + self.objects.layout.module_dict)

    def _find_modules(self) -> int:
        lay, memory = self.objects.layout, self.objects.memory
        address = memory.word(self.address + lay.interp_modules)
        if self._is_modules(address):
            return address
        # Patch releases moved it: it is the dict that knows both of these.
        for at in range(0, _SCAN, 4096):
            try:
                words = struct.unpack("<512Q", memory.read(self.address + at, 4096))
            except Unreadable:
                break
            for word in words:
                if word and word % 8 == 0 and self._is_modules(word):
                    return int(word)
        raise Unavailable("its modules cannot be found")

    def _is_modules(self, address: int) -> bool:
        try:
            if not self.objects.dict_size(address):
                return False
            items = self.objects.dict_items(address)
            found = self.objects.named(items[:200], {"sys", "builtins"})
            return len(found) == 2 and all(
                self.objects.type_of(module).name == "module" for module in found.values()
            )
        except Unreadable:
            return False

    # --- asyncio --------------------------------------------------------------------------

    def asyncio(self) -> Anchors | None:
        """Where asyncio keeps its things; None while it is not imported.

        Raises:
            Unavailable: this asyncio cannot be read: its tasks are not those in C, say.
        """
        if self._refused is not None:
            raise self._refused
        if self._anchors is None and self.module("asyncio.base_events") is not None:
            try:
                self._anchors = self._find_asyncio()
            except Unavailable as why:
                self._refused = why
                raise
        return self._anchors

    def _find_asyncio(self) -> Anchors | None:
        tasks = self.names_of("asyncio.tasks", {"Task", "_all_tasks", "_scheduled_tasks"})
        events = self.names_of("asyncio.events", {"AbstractEventLoop", "TimerHandle"})
        base = self.names_of("asyncio.base_events", {"BaseEventLoop"})
        try:
            task = tasks["Task"]
            loop, handle = events["AbstractEventLoop"], events["TimerHandle"]
            base_loop = base["BaseEventLoop"]
        except KeyError:
            return None  # being imported right now
        kind = self.objects.type_at(task)
        if kind.name != "_asyncio.Task":
            raise Unavailable(f"asyncio's tasks are not those in C but {kind.name}")
        layout = layouts.anchored(
            self.runtime.asyncio_layout(),
            basicsize=kind.basicsize,
            dictoffset=kind.dictoffset,
            weaklistoffset=kind.weaklistoffset,
        )
        slots = self.objects.members(self.objects.type_at(handle))
        if not {"_when", "_cancelled", "_callback", "_args"} <= slots.keys():
            raise Unavailable("asyncio's timers have no slots")
        all_tasks = None
        if layout.pair < (3, 14):
            weak = tasks.get("_all_tasks") or tasks.get("_scheduled_tasks")
            if weak is None:
                raise Unavailable("asyncio's tasks cannot be found")
            all_tasks = self.objects.attributes(weak, {"data"}).get("data")
            if all_tasks is None or self.objects.type_of(all_tasks).address != self.set_type:
                raise Torn("the set of tasks is no set")
        return Anchors(
            layout=layout,
            task_type=task,
            loop_type=loop,
            base_loop_type=base_loop,
            timer_type=handle,
            timer_slots=slots,
            all_tasks=all_tasks,
            release_waiter=tasks.get("_release_waiter"),
        )
