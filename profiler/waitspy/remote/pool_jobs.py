"""Jobs of multiprocessing's pools: which one a result is of, and who may have it.

Its result leads to the pool, and that to its workers, to the threads that serve it, and to the
pipes between them. Which task a worker has is a variable of the function that it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from waitspy.model.code_origin import base_name
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.memory import Torn
from waitspy.remote.objects import Objects
from waitspy.remote.queues import Queues
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadStacks

FILE = "/multiprocessing/pool.py"
RESULTS = frozenset({"ApplyResult", "IMapIterator"})
"""Classes of what somebody waits for who has given work to a pool."""

_POOL = frozenset(
    {
        "_pool", "_processes", "_taskqueue", "_inqueue", "_outqueue", "_task_handler",
        "_result_handler", "_state",
    }
)  # fmt: skip
_GIVES, _OPEN = "_handle_tasks", "RUN"
_TASK_OF_WORKER = 9  # among the variables of ``worker``, the same from 3.8 to 3.15
_MOST_WORKERS = 1_000


class PoolTask(NamedTuple):
    """A task of a pool: the number of its job, and which part of that it is."""

    job: int
    part: int


class PoolWork(NamedTuple):
    """What a worker of a pool does: a task, if it has one, and the function that it stands in."""

    task: PoolTask | None
    at: str


class PoolJob(NamedTuple):
    """A job that somebody waits for, and whose workers may have it: ``tids`` or, of a pool of
    ``size`` processes, ``pids``.

    ``gives`` and ``takes`` are the threads that put tasks into its pipe and take results from
    another one, ``tasks`` and ``results`` the descriptors at which these pipes are read.
    ``on_its_way`` says that there is more to put into the pipe, ``open`` that the pool takes work.
    """

    job: int
    tids: tuple[int, ...] = ()
    pids: tuple[int, ...] = ()
    size: int = 0
    gives: int | None = None
    takes: int | None = None
    tasks: int = -1
    results: int = -1
    on_its_way: bool = True
    open: bool = False


class PoolJobs:
    """Reads the jobs of one interpreter.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, stacks: ThreadStacks) -> None:
        self._interp = interp
        self._objects = interp.objects
        self._stacks = stacks
        self._queues = Queues(interp.objects)

    def of_result(self, result: int, threads: Mapping[int, Thread]) -> PoolJob:
        """The job that a result is of; ``threads`` are those of the interpreter."""
        held = self._objects.attributes(result, {"_job", "_pool"})
        try:
            job = self._objects.integer(held["_job"])
            pool = self._objects.attributes(held["_pool"], _POOL)
            return self._job(job, pool, threads)
        except KeyError:
            raise Torn("no result of a pool that has not ended") from None

    def _job(self, job: int, pool: Mapping[str, int], threads: Mapping[int, Thread]) -> PoolJob:
        workers = self._objects.sequence(pool["_pool"], _MOST_WORKERS)
        if self._queues.is_simple(self._objects.type_of(pool["_inqueue"])):
            return PoolJob(job, tids=tuple(filter(None, map(self._tid, workers))))
        gives = self._tid(pool["_task_handler"])
        waiting = self._queues.items(pool["_taskqueue"])
        idle = gives is not None and gives in threads and self._runs(threads[gives], _GIVES)
        return PoolJob(
            job,
            pids=tuple(filter(None, (pid_of(self._interp, worker) for worker in workers))),
            size=self._objects.integer(pool["_processes"]),
            gives=gives,
            takes=self._tid(pool["_result_handler"]),
            tasks=self._fd(pool["_inqueue"]),
            results=self._fd(pool["_outqueue"]),
            on_its_way=waiting is None or bool(waiting) or not idle,
            open=self._objects.text(pool["_state"]) == _OPEN,
        )

    def _tid(self, thread: int) -> int | None:
        native = self._objects.attributes(thread, {"_native_id"})["_native_id"]
        return self._interp.runtime.outer_tid(self._objects.integer(native))

    def _fd(self, queue: int) -> int:
        """The descriptor at which a queue's pipe is read."""
        connection = self._objects.attributes(queue, {"_reader"})["_reader"]
        return self._objects.integer(self._objects.attributes(connection, {"_handle"})["_handle"])

    def _runs(self, thread: Thread, function: str) -> bool:
        """Whether the innermost frame of a thread is one of that function of the module."""
        for frame in self._stacks.frames(thread.address, 1):
            code = self._stacks.code.code(frame.code)
            return base_name(code.function) == function and code.rooted.endswith(FILE)
        return False


def pid_of(interp: InterpreterState, worker: int) -> int | None:
    """The pid of a process object of multiprocessing; None: it has ended, or is not seen from here.

    Raises:
        Unreadable: it is no such object, or has not been started.
        OSError: no permission, or the process is gone.
    """
    objects = interp.objects
    try:
        popen = objects.attributes(worker, {"_popen"})["_popen"]
        held = objects.attributes(popen, {"pid", "returncode"})
        running = held["returncode"] == interp.none
        return interp.runtime.outer_pid(objects.integer(held["pid"])) if running else None
    except KeyError:
        raise Torn("no process that was started") from None


def work_of(stacks: ThreadStacks, thread: Thread) -> PoolWork:
    """What a worker of a pool does.

    Raises:
        Unreadable: it is no worker of a pool, or it runs.
        OSError: no permission, or the process is gone.
    """
    objects = stacks.code.objects
    before = stacks.frames(thread.address)
    for frame in before:
        code = stacks.code.code(frame.code)
        if base_name(code.function) == "worker" and code.rooted.endswith(FILE):
            variables = stacks.code.locals_of(frame.address, frame.code)
            task = variables[_TASK_OF_WORKER] if len(variables) > _TASK_OF_WORKER else 0
            innermost = base_name(stacks.code.code(before[0].code).function)
            found = PoolWork(_task(objects, task) if task else None, innermost)
            if stacks.frames(thread.address) != before:
                raise Torn("a worker that runs")
            return found
    raise Torn("no worker of a pool")


def _task(objects: Objects, task: int) -> PoolTask | None:
    if objects.type_of(task).name == "NoneType":
        return None
    parts = objects.sequence(task, 5)
    if len(parts) != 5:
        raise Torn("no task of a pool")
    return PoolTask(objects.integer(parts[0]), objects.integer(parts[1]))


def is_of_pool(where: str | None) -> bool:
    """Whether a function is one of the module of pools, given as ``file:line``."""
    return (where or "").rpartition(":")[0].endswith(FILE)
