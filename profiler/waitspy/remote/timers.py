"""The timers of an asyncio loop: how many are due, and what the oldest of them would do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from waitspy.remote.anchors import Anchors, InterpreterState
from waitspy.remote.callables import Callables, Called, described
from waitspy.remote.memory import Unreadable
from waitspy.remote.tasks import Task, Tasks
from waitspy.remote.values import Callback, Timer, Timers

_MOST_TIMERS = 100_000

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


@dataclass(slots=True)
class Schedule:
    """All timers of a loop; ``late`` are the overdue ones that were not cancelled, oldest first."""

    total: int
    cancelled: int
    late: list[Due]
    next_due_s: float | None
    torn: int


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
        """The timers in a loop's ``_scheduled``, a heap in a list."""
        lay, memory = self.anchors.layout, self.memory
        size = lay.list_items + 8
        before = memory.read(scheduled, size)
        handles = self.objects.sequence(scheduled, _MOST_TIMERS)
        found = self._read(handles, now_s)
        if memory.read(scheduled, size)[lay.ob_type :] != before[lay.ob_type :]:
            found.torn += 1
        return found

    def _read(self, handles: list[int], now_s: float) -> Schedule:
        slots = self.anchors.timer_slots
        at = [slots[name] // 8 for name in ("_when", "_cancelled", "_callback", "_args")]
        size = 8 * (max(at) + 1)
        raw, missing = self.memory.gather(handles, size)
        words, step = memoryview(raw).cast("Q"), size // 8
        whens, flags, callbacks, args = (words[place::step].tolist() for place in at)
        types = words[self.anchors.layout.ob_type // 8 :: step].tolist()
        right = {kind: self._is_timer(kind) for kind in set(types)}
        true = {flag: self._true(flag) for flag in set(flags)}
        times = self._times(whens)
        torn = len(missing)
        cancelled, late, next_due_s = 0, [], None
        for kind, flag, due_s, callback, arg in zip(
            types, flags, times, callbacks, args, strict=True
        ):
            if not right[kind] or true[flag] is None or due_s is None:
                torn += 1
            elif true[flag]:
                cancelled += 1
            elif due_s < now_s:
                late.append(Due(due_s, callback, arg))
            elif next_due_s is None or due_s < next_due_s:
                next_due_s = due_s
        late.sort(key=lambda due: due.due_s)
        return Schedule(len(handles), cancelled, late, next_due_s, torn)

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
            total=schedule.total,
            cancelled=schedule.cancelled,
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
