"""Pools of multiprocessing: ``Pool``, which has processes, and ``ThreadPool``, which has threads.

A thread of each pool, which keeps its workers alive, was started with all that the pool is made of.
What threads are to do lies in a queue. What processes are to do goes on into a pipe, where nobody
can see it: it is counted from the results that the pool still owes. The processes take from the
pipe in order, so that as many of the first ones are under way as there are processes.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from waitspy.model.code_origin import base_name
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.callables import Callables, described
from waitspy.remote.memory import Torn, Unreadable
from waitspy.remote.pool_jobs import FILE, is_of_pool, pid_of, work_of
from waitspy.remote.queues import Queues
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_objects import ThreadObjects
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.values import Callback, PoolFacts, ProcessPoolFacts

_MODULE = "multiprocessing.pool"
_KEEPER = "Pool._handle_workers"
_CHUNKS = frozenset({"mapstar", "starmapstar"})
"""What is called for many arguments at once, with the function that each of them goes to."""

_CALLS = frozenset({"apply", "map", "starmap"})
"""Methods of a pool that wait for what they hand in: their second argument is the function."""

_JOB_BITS, _LAST_PART = 32, 1 << 31  # of an item's number: what is more is that of its job
_MOST_WORKERS = 1_000
_MOST_JOBS = 100_000
_MOST_ITEMS = 10_000  # of all jobs together; more look like so many
_MOST_ASKED = 256  # threads that are asked for what they wait for
_INNERMOST = 16
_NAMED = 8


class _Made(NamedTuple):
    """What a pool is made of: its results by job, its queues, how many workers it should have, and
    the list of these.
    """

    cache: int
    tasks: int
    size: int
    workers: int
    inqueue: int


@dataclass(frozen=True, slots=True)
class MultiprocessingFacts:
    """The pools of an interpreter."""

    threads: tuple[PoolFacts, ...] = ()
    processes: tuple[ProcessPoolFacts, ...] = ()


class MultiprocessingPools:
    """Reads the pools of one interpreter; what its threads were started with is read once.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, callables: Callables) -> None:
        self._interp = interp
        self._callables = callables
        self._objects = interp.objects
        self._frames = callables.frames
        self._stacks = ThreadStacks(callables.frames)
        self._queues = Queues(interp.objects)
        self._started = ThreadObjects(interp)
        self._known: dict[tuple[int, int], bool] = {}

    def read(self) -> MultiprocessingFacts:
        """Every pool that has not ended."""
        if self._interp.module(_MODULE) is None:
            return MultiprocessingFacts()
        threads = self._interp.runtime.threads(self._interp.address)
        of_threads: list[PoolFacts] = []
        of_processes: list[ProcessPoolFacts] = []
        for keeper in self._keepers(threads):
            with contextlib.suppress(Unreadable, KeyError, ValueError):  # about to start, or to end
                made = self._made(keeper)
                if self._queues.is_simple(self._objects.type_of(made.inqueue)):
                    of_threads.append(self._threads(made, threads))
                else:
                    of_processes.append(self._processes(made))
        return MultiprocessingFacts(tuple(of_threads), tuple(of_processes))

    # --- which there are ------------------------------------------------------------------

    def _keepers(self, threads: Iterable[Thread]) -> Iterator[int]:
        """The thread objects that keep the workers of a pool alive."""
        before, self._known = self._known, {}
        for one in self._started.of(threads):
            with contextlib.suppress(Unreadable):
                is_keeper = before[one] if one in before else self._is_keeper(one[0])
                self._known[one] = is_keeper
                if is_keeper:
                    yield one[0]

    def _is_keeper(self, thread: int) -> bool:
        target = self._objects.attributes(thread, {"_target"}).get("_target")
        called = described(self._callables, target) if target else None
        return called is not None and called.name == _KEEPER and is_of_pool(called.where)

    def _made(self, keeper: int) -> _Made:
        args = self._objects.attributes(keeper, {"_args"})["_args"]
        cache, tasks, _, _, size, workers, inqueue, *_ = self._objects.sequence(args, 64)
        many = self._objects.integer(size)
        if not 0 < many <= _MOST_WORKERS:
            raise Torn("a pool of unlikely size")
        return _Made(cache, tasks, many, workers, inqueue)

    def _processes(self, made: _Made) -> ProcessPoolFacts:
        workers = self._objects.sequence(made.workers, _MOST_WORKERS)
        pids = [pid_of(self._interp, worker) for worker in workers]
        self._objects.dict_size(made.cache)
        return ProcessPoolFacts(
            interpreter=self._interp.number,
            pending=made.cache,
            size=made.size,
            pids=tuple(sorted(filter(None, pids))),
            tasks=made.tasks,
        )

    def _threads(self, made: _Made, threads: Iterable[Thread]) -> PoolFacts:
        alive = {thread.tid for thread in threads}
        tids = []
        for worker in self._objects.sequence(made.workers, _MOST_WORKERS):
            native = self._objects.attributes(worker, {"_native_id"})["_native_id"]
            tids.append(self._interp.runtime.outer_tid(self._objects.integer(native)))
        items = self._queues.items(made.inqueue)
        work = [item for item in items or () if item != self._interp.none]
        return PoolFacts(
            interpreter=self._interp.number,
            queue=made.inqueue,
            kept_in=made.inqueue,
            executor=None,
            prefix=None,
            max_workers=made.size,
            tids=tuple(sorted(tid for tid in tids if tid in alive and tid is not None)),
            queued=None if items is None else len(work),
            head=work[0] if work else None,
            first=tuple(map(self._of_task, work[:_NAMED])),
            shutdown=None,
            cache=made.cache,
        )

    # --- what waits -----------------------------------------------------------------------

    def queued(self, pool: ProcessPoolFacts) -> tuple[int, ...]:
        """Numbers of the items that no process has taken yet, the oldest first."""
        jobs = self._objects.dict_items(pool.pending, _MOST_JOBS)
        results = [result for _, result in jobs]
        kinds = self._objects.types_of(results)
        numbers = self._objects.integers([job for job, _ in jobs])
        left: Iterator[int] = itertools.chain.from_iterable(
            self._left(number, result, many=kind.name != "ApplyResult")
            for number, result, kind in zip(numbers, results, kinds, strict=True)
            if number is not None and kind is not None
        )
        return tuple(itertools.islice(left, pool.size, pool.size + _MOST_ITEMS))

    def _left(self, job: int, result: int, *, many: bool) -> Iterable[int]:
        """Numbers of what is not done of a job."""
        done, end = self._progress(result) if many else (0, 1)
        return range((job << _JOB_BITS) + done, (job << _JOB_BITS) + end)

    def _progress(self, result: int) -> tuple[int, int]:
        """The first part of a job that is not done, and the end of its parts; where that is not
        known yet, there is one more.
        """
        names = {"_number_left", "_length", "_index", "_unsorted"}
        held = self._objects.attributes(result, names)
        if "_number_left" in held:  # of a map, which knows no other number
            return max(0, _LAST_PART - self._objects.integer(held["_number_left"])), _LAST_PART
        if "_index" not in held or "_unsorted" not in held:
            return 0, 1
        done = self._objects.integer(held["_index"]) + self._objects.dict_size(held["_unsorted"])
        length = held.get("_length", self._interp.none)
        return done, done + 1 if length == self._interp.none else self._objects.integer(length)

    def look(self, pool: ProcessPoolFacts) -> ProcessPoolFacts:
        """The same with what is known of the first items that wait, as far as they have names."""
        items = self.queued(pool)[:_NAMED]
        names = self._names(pool.tasks) if items and pool.tasks is not None else {}
        known = itertools.takewhile(bool, (names.get(item >> _JOB_BITS) for item in items))
        return replace(pool, items=items, first=tuple(filter(None, known)))

    def _names(self, tasks: int) -> Mapping[int, Callback]:
        """The functions of jobs: of those in the queue before the pipe, and of those for which a
        thread waits in the call that has handed them in.
        """
        found: dict[int, Callback] = {}
        for item in (self._queues.items(tasks) or ())[:_NAMED]:
            with contextlib.suppress(
                Unreadable, ValueError
            ):  # None; or a generator, which has more to come
                sequence, *_ = self._objects.sequence(item, 2)
                for task in self._objects.sequence(sequence, 1):
                    job, *_ = self._objects.sequence(task, 5)
                    found[self._objects.integer(job)] = self._of_task(task)
        for thread in self._interp.runtime.threads(self._interp.address)[:_MOST_ASKED]:
            with contextlib.suppress(Unreadable):
                found.update(self._awaited(thread))
        return found

    def _awaited(self, thread: Thread) -> Iterator[tuple[int, Callback]]:
        result, caller = self._waits(thread) or (0, None)
        if caller is not None:
            variables = self._frames.locals_of(caller.address, caller.code)
            called = described(self._callables, variables[1] if len(variables) > 1 else 0)
            yield self.job_of(result), Callback(called.name, called.where)

    def _waits(self, thread: Thread) -> tuple[int, ThreadFrame | None] | None:
        """The result for which a thread waits, and the frame of the pool's method that does."""
        result = 0
        for frame in self._stacks.frames(thread.address, _INNERMOST):
            code = self._frames.code(frame.code)
            if code.rooted.endswith(FILE):
                name = base_name(code.function)
                if result:
                    return result, frame if name in _CALLS else None
                if name == "get":
                    result = self._frames.first_variable(frame.address)
            elif result:
                break
        return (result, None) if result else None

    def job_of(self, result: int) -> int:
        """The number of the job that a result is of."""
        job = self._objects.attributes(result, {"_job"}).get("_job")
        if job is None:
            raise Torn("no result of a pool")
        return self._objects.integer(job)

    def _of_task(self, task: int) -> Callback:
        """The function of a task, or that which its arguments go to, one after the other."""
        with contextlib.suppress(Unreadable, ValueError):
            _, _, function, args, _ = self._objects.sequence(task, 5)
            called = described(self._callables, function, args)
            if called.name in _CHUNKS and is_of_pool(called.where):
                chunk, *_ = self._objects.sequence(args, 1)
                function, *_ = self._objects.sequence(chunk, 2)
                called = described(self._callables, function)
            return Callback(called.name, called.where)
        return Callback("?")

    # --- who does it ----------------------------------------------------------------------

    def waiting_on_itself(self, pool: PoolFacts) -> frozenset[int]:
        """The threads of a pool of threads that wait for a job which only it can do: one in its
        queue, or that another of them has begun.
        """
        jobs = set()
        for item in self._queues.items(pool.queue) or ():
            with contextlib.suppress(Unreadable, ValueError):
                jobs.add(self._objects.integer(self._objects.sequence(item, 5)[0]))
        begun: dict[int, int] = {}
        wanted: dict[int, int] = {}
        for thread in self._interp.runtime.threads(self._interp.address):
            if thread.tid not in pool.tids or thread.tid is None:
                continue
            with contextlib.suppress(Unreadable):
                task, waits = work_of(self._stacks, thread).task, self._waits(thread)
                if task is not None and waits is not None:
                    begun[thread.tid], wanted[thread.tid] = task.job, self.job_of(waits[0])
                elif task is not None:
                    begun[thread.tid] = task.job
        return frozenset(
            tid
            for tid, job in wanted.items()
            if job in jobs or job in {other for at, other in begun.items() if at != tid}
        )
