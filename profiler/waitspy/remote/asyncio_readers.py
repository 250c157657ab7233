"""What reads asyncio in one interpreter that has imported it: loops, tasks, timers, limiters."""

from __future__ import annotations

import contextlib

from waitspy.remote.anchors import Anchors, InterpreterState
from waitspy.remote.callables import Callables
from waitspy.remote.frames import Frames
from waitspy.remote.limiters import Limiters
from waitspy.remote.loops import EventLoops
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.places import Places
from waitspy.remote.runtime import Thread
from waitspy.remote.snapshots import Snapshots
from waitspy.remote.tasks import Tasks, TaskSet
from waitspy.remote.timers import TimerReader

_TRIES = 8
"""Attempts at the tasks of loops that run: on busy ones, several in ten fail."""


class AsyncioReaders:
    """The readers of one interpreter in which asyncio is imported."""

    def __init__(self, interp: InterpreterState, anchors: Anchors, frames: Frames) -> None:
        self.interp = interp
        self.loops = EventLoops(interp, anchors, frames)
        self.tasks = Tasks(interp, anchors, frames)
        callables = Callables(interp.objects, frames)
        timers = TimerReader(interp, anchors, self.tasks, callables)
        self.snapshots = Snapshots(self.loops, self.tasks, timers, callables)
        self.limiters = Limiters(interp, self.tasks)
        self.places = Places(interp, self.loops, self.tasks, frames)

    def pending(self, threads: list[Thread] | None = None) -> TaskSet:
        """The tasks that are not done; Torn if they change at every try."""
        if threads is None:
            threads = self.interp.runtime.threads(self.interp.address)
        for _ in range(_TRIES):
            with contextlib.suppress(Unreadable):
                tasks = self.tasks.pending(threads)
                if not tasks.torn:
                    return tasks
        raise Torn("tasks change while they are read")
