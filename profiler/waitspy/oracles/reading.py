"""One reader of a worker's memory, shared by the oracles that need one; how they name tasks."""

from __future__ import annotations

from waitspy.model.code_origin import Origin
from waitspy.model.stacks import Frame
from waitspy.oracles import Watched
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.opening import open_reader
from waitspy.remote.reader import Reader
from waitspy.remote.values import TaskFacts

TRANSIENT = (Unreadable, Torn)
"""What changed while it was read: the next look may succeed."""


def reader_of(watched: Watched) -> Reader | str:
    """The worker's reader, made at the first call, or why its memory cannot be read."""
    if watched.reader is None:
        watched.reader = open_reader(watched.pid)
    return watched.reader


def task_name(task: TaskFacts, otherwise: str) -> str:
    """What a task runs, else what it is called."""
    return task.coroutine or task.name or otherwise


def own_frame(task: TaskFacts) -> Frame | None:
    """Where a task waits in its own code, rather than in the library that it has called."""
    own = [f for f in task.stack if f.line is not None and f.origin is Origin.USER]
    return own[-1] if own else None


def task_place(task: TaskFacts) -> str | None:
    """``file:line`` where a task waits: in its own code if it has some."""
    frame = own_frame(task) or task.where
    return f"{frame.file}:{frame.line}" if frame is not None else None
