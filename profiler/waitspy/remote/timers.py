"""The timers of an asyncio loop: how many are due, and what the oldest of them would do."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from waitspy.remote.anchors import Anchors, InterpreterState
from waitspy.remote.callables import Callables, Called, described
from waitspy.remote.memory import Memory, Torn, Unreadable
from waitspy.remote.tasks import Task, Tasks
from waitspy.remote.values import Callback, Timer, Timers

_MOST_LOOKED_AT = 1_000
"""Timers that one look reads: a heap's overdue ones are at its top, so it is seldom more."""

_TIMEOUT_METHODS = frozenset(
    {"Timeout._on_timeout", "timeout._cancel_task", "CancelScope._timeout"}
)
"""asyncio.timeouts and the async_timeout package from 4.0 on; async_timeout 3; AnyIO."""

_TASK_ATTRIBUTES = ("_task", "_host_task")
"""Where those keep the task: all but AnyIO's CancelScope, then that."""

_GIVES_UP = frozenset({"_release_waiter"})
"""asyncio.tasks of 3.8 to 3.15: ends the wait of wait_for (up to 3.11) and of asyncio.wait."""


class Due(NamedTuple):
    """A timer as it stands in memory: due time and addresses, zero where there is nothing."""

    due_s: float
    callback: int
    args: int


class _HeapEntry(NamedTuple):
    due: Due
    cancelled: bool


class Seen(NamedTuple):
    """What stood in memory when it was read: so many bytes at each of these addresses."""

    at: tuple[int, ...]
    size: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Schedule:
    """The timers of a loop that are due, or come next.

    ``late`` are the overdue ones that were not cancelled, the oldest first; with very many of them,
    only the oldest. ``next_due_s`` is the earliest due time of the others. ``torn`` says that the
    heap made no sense; ``seen`` is what must stand there still for all of this to be true.
    """

    late: tuple[Due, ...]
    next_due_s: float | None
    torn: bool
    seen: tuple[Seen, ...]

    def earlier(self, by_s: float) -> Schedule:
        """The same with every due time so much earlier."""
        late = tuple(due._replace(due_s=due.due_s - by_s) for due in self.late)
        next_due_s = None if self.next_due_s is None else self.next_due_s - by_s
        return replace(self, late=late, next_due_s=next_due_s)


def see(memory: Memory, at: Sequence[int], size: int) -> Seen:
    """What stands at each of these addresses.

    Raises:
        Torn: not all of them are mapped.
    """
    raw, missing = memory.gather(at, size)
    if missing:
        raise Torn("timers that are not there any more")
    return Seen(tuple(at), size, bytes(raw))


def unchanged(memory: Memory, seen: Iterable[Seen]) -> bool:
    """Whether the same stands there still.

    A thread that runs may change its loop's timers meanwhile. What the heap refers to before and
    after was there all the time, and what a timer says of itself never changes.
    """
    for one in seen:
        raw, missing = memory.gather(list(one.at), one.size)
        if missing or bytes(raw) != one.raw:
            return False
    return True


class TimerReader:
    """Reads the timers of one interpreter's loops.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(
        self, interp: InterpreterState, anchors: Anchors, tasks: Tasks, callables: Callables
    ) -> None:
        self.interp = interp
        self.anchors = anchors
        self.tasks = tasks
        self.callables = callables
        self.objects = interp.objects
        self.memory = interp.objects.memory

    def schedule(self, scheduled: int, now_s: float) -> Schedule:
        """The timers in a loop's ``_scheduled``: a list that is a heap, the earliest at its top.

        Only what lies below overdue or cancelled timers can be overdue itself.
        """
        lay = self.anchors.layout
        head = see(self.memory, [scheduled + lay.ob_size, scheduled + lay.list_items], 8)
        size, items = struct.unpack("<qQ", head.raw)
        seen, late, coming, torn = [head], [], [], False
        level = [0] if size > 0 else []
        while level and sum(len(one.at) for one in seen[1:]) < _MOST_LOOKED_AT:
            slots = see(self.memory, [items + 8 * place for place in level], 8)
            seen.append(slots)
            below: list[int] = []
            handles = struct.unpack(f"<{len(level)}Q", slots.raw)
            for place, one in zip(level, self._entries(handles), strict=True):
                if one is None:
                    torn = True
                elif not one.cancelled and one.due.due_s >= now_s:
                    coming.append(one.due.due_s)
                else:
                    below += [child for child in (2 * place + 1, 2 * place + 2) if child < size]
                    late += [] if one.cancelled else [one.due]
            level = below
        late.sort(key=lambda due: due.due_s)
        return Schedule(tuple(late), min(coming, default=None), torn, tuple(seen))

    def _entries(self, handles: Sequence[int]) -> list[_HeapEntry | None]:
        """What those timers say of themselves; None for what is none."""
        slots = self.anchors.timer_slots
        at = [slots[name] // 8 for name in ("_when", "_cancelled", "_callback", "_args")]
        size = 8 * (max(at) + 1)
        raw, missing = self.memory.gather(list(handles), size)
        words, step = memoryview(raw).cast("Q"), size // 8
        whens, flags, callbacks, args = (words[place::step].tolist() for place in at)
        types = words[self.anchors.layout.ob_type // 8 :: step].tolist()
        right = {kind: self._is_timer(kind) for kind in set(types)}
        true = {flag: self._true(flag) for flag in set(flags)}
        found: list[_HeapEntry | None] = []
        for n, due_s in enumerate(self._times(whens)):
            cancelled = true[flags[n]]
            if n in missing or not right[types[n]] or cancelled is None or due_s is None:
                found.append(None)
            else:
                found.append(_HeapEntry(Due(due_s, callbacks[n], args[n]), cancelled))
        return found

    def _is_timer(self, kind: int) -> bool:
        try:
            return self.objects.type_at(kind).is_a(self.anchors.timer_type)
        except Unreadable:
            return False

    def _true(self, flag: int) -> bool | None:
        try:
            return bool(self.objects.integer(flag))
        except Unreadable:
            return None

    def _times(self, addresses: list[int]) -> list[float | None]:
        """Due times: floats, or ints for who called call_at with one."""
        lay = self.anchors.layout
        raw, missing = self.memory.gather(addresses, lay.float_value + 8)
        step = (lay.float_value + 8) // 8
        types = memoryview(raw).cast("Q")[lay.ob_type // 8 :: step].tolist()
        values = memoryview(raw).cast("d")[lay.float_value // 8 :: step].tolist()
        found: list[float | None] = list(values)
        for index, kind in enumerate(types):
            if kind == self.interp.float_type and index not in missing:
                continue
            try:
                found[index] = float(self.objects.integer(addresses[index]))
            except (Unreadable, OverflowError):
                found[index] = None
        return [None if value is None or math.isnan(value) else value for value in found]

    # --- what they are for ----------------------------------------------------------------

    def facts(self, schedule: Schedule, waiting: Mapping[int, Task], limit: int) -> Timers:
        """The counts, and the first ``limit`` overdue ones described.

        ``waiting`` gives the task that waits for a future.
        """
        return Timers(
            overdue=len(schedule.late),
            oldest_due_s=schedule.late[0].due_s if schedule.late else None,
            next_due_s=schedule.next_due_s,
            late=tuple(self.timer(due, waiting) for due in schedule.late[:limit]),
        )

    def timer(self, due: Due, waiting: Mapping[int, Task]) -> Timer:
        """One overdue timer described."""
        called = described(self.callables, due.callback, due.args)
        try:
            guards, task = self._purpose(called, due, waiting)
        except Unreadable:
            guards, task = False, None
        return Timer(
            due_s=due.due_s,
            callback=Callback(called.name, called.where),
            guards=guards,
            task=self.tasks.facts(task) if task else None,
        )

    def _purpose(
        self, called: Called, due: Due, waiting: Mapping[int, Task]
    ) -> tuple[bool, Task | None]:
        """Whether it guards a timeout, and the task that it would wake or cancel."""
        first = self._first_argument(due.args)
        if called.name in _TIMEOUT_METHODS:
            task = self.tasks.at(first) if first else None
            if task is None and called.bound:
                held = self.objects.attributes(called.bound, _TASK_ATTRIBUTES)
                found = (self.tasks.at(address) for address in held.values())
                task = next((task for task in found if task), None)
            return True, task
        guards = called.name in _GIVES_UP
        # asyncio.sleep and the like: the first argument is the future that the task waits for
        return guards, waiting.get(first) if first else None

    def _first_argument(self, args: int) -> int:
        if not args or args == self.interp.none:
            return 0
        items = self.objects.sequence(args, 1 << 10)
        return items[0] if items else 0
