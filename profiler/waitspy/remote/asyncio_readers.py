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
from waitspy.remote.thread_stacks import ThreadStacks
from waitspy.remote.thread_work import ThreadWork
from waitspy.remote.timers import TimerReader
from waitspy.remote.values import StandingTask

_TRIES = 8
"""Attempts at the tasks of loops that run: on busy ones, several in ten fail."""

_MOST_TASKS = 8
"""That wait one for the other."""

_MOST_AWAITED = 64
_MOST_THREADS = 64  # that are asked what they work on


class AsyncioReaders:
    """The readers of one interpreter in which asyncio is imported."""

    def __init__(self, interp: InterpreterState, anchors: Anchors, frames: Frames) -> None:
        self.interp = interp
        self.loops = EventLoops(interp, anchors, frames)
        self.tasks = Tasks(interp, anchors, frames)
        self.callables = callables = Callables(interp.objects, frames)
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

    def worker_of(self, task: StandingTask, likely: int | None, stacks: ThreadStacks) -> int | None:
        """The thread that is at work on what a task waits for, the ``likely`` one is asked first;
        None: none is known to be.

        Raises:
            OSError: no permission, or the process is gone.
        """
        with contextlib.suppress(Unreadable):
            return self._worker_of(task, likely, stacks)
        return None

    def _worker_of(
        self, task: StandingTask, likely: int | None, stacks: ThreadStacks
    ) -> int | None:
        awaited = self.awaited.of(task)
        if len(awaited) != 1 or self.awaited.is_task(awaited[0]):
            return None
        work = ThreadWork(
            stacks, self.interp.attribute_of("concurrent.futures.thread", "_WorkItem")
        )
        threads = self.interp.runtime.threads(self.interp.address)[:_MOST_THREADS]
        threads.sort(key=lambda thread: thread.tid != likely)
        for thread in threads:
            if work.does(thread, awaited[0], self.callables):
                stands = self.places.standing([task.task]).get(task.task) == task
                return thread.tid if stands else None
        return None

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
