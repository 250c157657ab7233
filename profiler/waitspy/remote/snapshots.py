"""Takes a snapshot of one loop: everything that is due, as it stands at one moment."""

from __future__ import annotations

import time

from waitspy.remote import uvloop
from waitspy.remote.callables import Callables, Called, described
from waitspy.remote.loops import EventLoops, LoopInMemory
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.runtime import Thread
from waitspy.remote.tasks import Task, Tasks
from waitspy.remote.timers import Schedule, TimerReader, unchanged
from waitspy.remote.values import Callback, LoopFacts, LoopSnapshot


class Snapshots:
    """Takes snapshots of the loops of one interpreter."""

    def __init__(
        self, loops: EventLoops, tasks: Tasks, timers: TimerReader, callables: Callables
    ) -> None:
        self.loops = loops
        self.tasks = tasks
        self.timers = timers
        self.callables = callables

    def take(
        self, facts: LoopFacts, threads: list[Thread], names: int, *, tasks: bool
    ) -> LoopSnapshot:
        """A snapshot of the loop; at most ``names`` things of each kind are described.

        It is whole if nothing of the loop has changed meanwhile, whether its thread ran or not: the
        queue's counter counts each change, and the top of the heap is read twice. With ``tasks``
        it is looked up which ones late timers would wake: the most expensive part by far.

        Raises:
            Unreadable: the loop is gone, or something changed while it was read.
            OSError: no permission, or the process is gone.
        """
        began_s = time.perf_counter()
        at_ns = time.monotonic_ns()
        loop = self.loops.read(facts.address)
        if loop.ready is None or loop.ready != facts.ready:
            raise Torn("another loop at its address, or one without a ready queue")
        service = self.loops.service(loop.ready)
        running = [one for one in self.loops.running(threads) if one.loop == loop.address]
        schedule = self._schedule(loop, at_ns / 1e9, names)
        handles = self.loops.first_ready(loop.ready, names)
        wanted = tasks and schedule is not None and bool(schedule.late)
        waiting = self._waiting(loop.address, threads) if wanted else {}
        first = tuple(self._callback(loop, handle) for handle in handles)
        timers = self.timers.facts(schedule, waiting, names) if schedule else None
        seen = schedule.seen if schedule else ()
        same = unchanged(self.loops.memory, seen) and self.loops.service(loop.ready) == service
        return LoopSnapshot(
            at_ns=at_ns,
            loop=loop.address,
            running_tid=running[0].thread.tid if running else None,
            ready=service.ready,
            state=service.state,
            first=first,
            timers=timers,
            whole=same and not (schedule and schedule.torn),
            cost_s=time.perf_counter() - began_s,
        )

    def _waiting(self, loop: int, threads: list[Thread]) -> dict[int, Task]:
        """The tasks of that loop by the future that each waits for.

        What is torn among all tasks of the interpreter belongs to the loops of other threads, or
        this loop's own thread has run: then its marks tell.
        """
        found = self.tasks.pending(threads).tasks
        return {task.waiter: task for task in found if task.waiter and task.loop == loop}

    def _schedule(self, loop: LoopInMemory, now_s: float, limit: int) -> Schedule | None:
        """Its timers, on our clock."""
        ahead_s = self.loops.interp.runtime.clock_ahead_s
        if loop.uv is not None:
            found = uvloop.schedule(self.loops.objects, loop.uv, now_s + ahead_s, limit)
        elif loop.scheduled:
            found = self.timers.schedule(loop.scheduled, now_s + ahead_s)
        else:
            return None
        return found.earlier(ahead_s) if found is not None and ahead_s else found

    def _callback(self, loop: LoopInMemory, handle: int) -> Callback:
        """What a handle in the ready queue would call."""
        try:
            called = self._called(loop, handle)
        except Unreadable:
            return Callback("?")
        task = self.tasks.at(called.task) if called.task else None
        facts = self.tasks.facts(task) if task else None
        return Callback(called.name, called.where, facts)

    def _called(self, loop: LoopInMemory, handle: int) -> Called:
        callback, args, method = self.handle(loop, handle)
        return described(self.callables, callback, args) if method is None else Called(method)

    def handle(self, loop: LoopInMemory, handle: int) -> tuple[int, int, str | None]:
        """Callback and arguments of a handle in the ready queue (zero: none), or the name of a
        method in C that it calls.

        Raises:
            Unreadable: it is no handle, or another one by now.
            OSError: no permission, or the process is gone.
        """
        if loop.kind == "uvloop":
            return uvloop.handle_callback(self.loops.objects, handle, loop.address)
        kind = self.loops.objects.type_of(handle)
        slots = self.loops.objects.members(kind)
        if not {"_callback", "_args"} <= slots.keys():
            raise Torn("not a handle")
        callback, args = (
            self.loops.memory.word(handle + slots[name]) for name in ("_callback", "_args")
        )
        return callback, args, None
