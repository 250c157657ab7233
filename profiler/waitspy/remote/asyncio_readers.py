"""What reads asyncio in one interpreter that has imported it: loops, tasks, timers, limiters."""

from __future__ import annotations

import contextlib

from waitspy.remote.anchors import Anchors, InterpreterState
from waitspy.remote.awaited_tasks import AwaitedTasks
from waitspy.remote.callables import Callables
from waitspy.remote.frames import Frames
from waitspy.remote.limiters import Limiters
from waitspy.remote.loops import EventLoops
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.places import Places
from waitspy.remote.runtime import Thread
from waitspy.remote.snapshots import Snapshots
from waitspy.remote.task_takers import TaskTakers
from waitspy.remote.tasks import Tasks, TaskSet
from waitspy.remote.timers import TimerReader
from waitspy.remote.values import StandingTask

_TRIES = 8
"""Attempts at the tasks of loops that run: on busy ones, several in ten fail."""

_MOST_TASKS = 8
"""That wait one for the other."""

_MOST_AWAITED = 64


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
        self.awaited = AwaitedTasks(self.tasks, callables)
        self.takers = TaskTakers(frames, self.awaited)

    def ends_at(self, task: StandingTask) -> list[StandingTask]:
        """The tasks that a task waits for, one after the other, the last one waiting for none; of
        several that stand at one place, one. It ends where others are awaited, too.

        Raises:
            Unreadable: some have gone on meanwhile, or are gone.
            OSError: no permission, or the process is gone.
        """
        found = [task]
        while len(found) < _MOST_TASKS:
            awaited = self.awaited.of(found[-1])
            if not awaited or len(awaited) > _MOST_AWAITED:
                break
            if not all(map(self.awaited.is_task, awaited)):
                break
            standing = list(self.places.standing(awaited).values())
            one = standing[0] if standing else None
            if one is None or one in found or len(standing) < len(awaited):
                break
            if any(other is None or other.place != one.place for other in standing):
                break
            found.append(one)
        if len(found) > 1:
            again = self.places.standing([one.task for one in found])
            if [again.get(one.task) for one in found] != found:
                raise Torn("tasks that have gone on")
        return found[1:]

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
