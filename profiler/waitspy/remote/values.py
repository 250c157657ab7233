"""What the reader says of another process: frozen values.

Times with ``_s`` are CLOCK_MONOTONIC seconds, those with ``_ns`` nanoseconds of the same clock.
``None`` means unknown. Text is valid Unicode and short, otherwise as the target wrote it.
Addresses identify things as long as they live; they mean nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from waitspy.model.connection_pools import PoolUse
from waitspy.model.pools import PoolKind
from waitspy.model.stacks import Frame, Stack
from waitspy.model.task_waits import TaskHeld
from waitspy.model.wait_for import How

OwnerHow = Literal["running", "history", "task-list", "frames"]


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """One event loop.

    ``kind`` is ``asyncio`` for every loop built on asyncio.BaseEventLoop, ``uvloop``, or the name
    of its type, then only what stands here is known of it. ``running`` says whether a thread is
    inside its run_forever now, or it is parked; ``running_tid`` is that OS thread. ``owner_tid`` is
    the thread that it belongs to, ``owner_how`` how that is known: ``running``; ``history``: this
    reader saw it run there; ``task-list``: all its tasks are in that thread's list (3.14 and
    newer); ``frames``: only that thread's Python frames hold it, in a local or as an attribute of
    one. ``epfd`` is its epoll descriptor. ``ready`` is the address of its ready queue, None when it
    has none that can be read. ``pending`` counts its tasks that are not done.
    """

    interpreter: int
    address: int
    kind: str
    type_name: str
    epfd: int | None
    running: bool
    running_tid: int | None
    owner_tid: int | None
    owner_how: OwnerHow | None
    closed: bool | None
    ready: int | None
    pending: int


@dataclass(frozen=True, slots=True)
class Service:
    """Size and modification counter of a loop's ready queue, from one read.

    Every append and every popleft of a deque adds one to its counter (Modules/_collectionsmodule.c
    of 3.8 to 3.15). Both asyncio and uvloop change the queue in these two ways only, until the
    loop is closed; so the difference of two reads tells how many callbacks were taken from it:
    exactly if the loop stood still at both, to within one if it was just changing its queue.
    """

    ready: int
    state: int

    def served_since(self, earlier: Service) -> int | None:
        """Callbacks taken to be run, cancelled ones included; None: not the same queue."""
        return _half((self.state - earlier.state) - (self.ready - earlier.ready))

    def added_since(self, earlier: Service) -> int | None:
        """Callbacks that were put into it; None: not the same queue."""
        return _half((self.state - earlier.state) + (self.ready - earlier.ready))


def _half(changes: int) -> int | None:
    """Half of them; an odd or slightly negative number was read within a change."""
    return max(0, changes // 2) if changes >= -1 else None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One task: ``coroutine`` is its qualified name, ``stack`` its awaits, outermost first.

    ``stack`` is empty when it cannot be read (a coroutine of a compiled module).
    """

    address: int
    name: str | None
    coroutine: str | None
    stack: Stack = ()

    @property
    def where(self) -> Frame | None:
        """The innermost await that has a line."""
        return next((frame for frame in reversed(self.stack) if frame.line is not None), None)


@dataclass(frozen=True, slots=True)
class Callback:
    """Something a loop calls: its name, ``file:line`` of the function, the task behind it.

    ``task`` is set when the callback is a step or a wake-up of a task.
    """

    name: str
    where: str | None = None
    task: TaskFacts | None = None


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that is due and was not cancelled.

    ``task`` is the task that it would wake, or whose time it limits. ``guards`` is True when it
    is a timeout: what it would do is cancel or give up waiting.
    """

    due_s: float
    callback: Callback
    guards: bool
    task: TaskFacts | None


@dataclass(frozen=True, slots=True)
class Timers:
    """The timers of a loop, without the cancelled ones.

    ``overdue`` is how many there are; where they are very many, how many were read.
    ``oldest_due_s`` is the earliest due time of the overdue, ``next_due_s`` that of the others.
    ``late`` are the first overdue ones, the oldest first.
    """

    overdue: int
    oldest_due_s: float | None
    next_due_s: float | None
    late: tuple[Timer, ...]


@dataclass(frozen=True, slots=True)
class LoopSnapshot:
    """The pending work of one loop at ``at_ns``.

    ``ready`` and ``state`` are those of Service, ``first`` its first callbacks. ``timers`` is
    None when they cannot be read. ``running_tid`` is the thread that ran the loop
    during the read. ``whole`` is False when something changed while it was read: then no number
    may be relied on. ``cost_s`` is what reading took.
    """

    at_ns: int
    loop: int
    running_tid: int | None
    ready: int
    state: int
    first: tuple[Callback, ...]
    timers: Timers | None
    whole: bool
    cost_s: float

    @property
    def service(self) -> Service:
        """The ready queue at the time of the snapshot."""
        return Service(self.ready, self.state)


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """One concurrent.futures.ThreadPoolExecutor.

    ``queue`` identifies it, ``kept_in`` is where its items are (None: it is not known how to read
    them). ``executor`` is None when the executor object is gone (its threads then
    end once the queue is empty); ``max_workers`` and ``shutdown`` are None with it. ``tids`` are
    the OS threads of its workers. ``queued`` counts the items in its queue (None: it is not a
    queue that hands out first what came first, or it never stood still), ``head`` is the address
    of the first one and ``first`` names the functions of the first ones. ``role`` is None for one
    of its owner's own; ``loop`` is the loop whose default executor it is. ``cache`` is set where it
    is a ThreadPool of multiprocessing: there it keeps the results that it owes.
    """

    interpreter: int
    queue: int
    kept_in: int | None
    executor: int | None
    prefix: str | None
    max_workers: int | None
    tids: tuple[int, ...]
    queued: int | None
    head: int | None
    first: tuple[Callback, ...]
    shutdown: bool | None
    role: PoolKind | None = None
    loop: int | None = None
    cache: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessPoolFacts:
    """One concurrent.futures.ProcessPoolExecutor that has started its processes, or one Pool of
    multiprocessing: that has ``tasks``, the queue in front of its pipe.

    ``pending`` identifies it: what is not done is kept there. ``pids`` are those of its ``size``
    processes that are seen from here. Only a look tells more: ``items`` are what tells the first
    items apart that no process has taken, and ``first`` names their functions; of a Pool, as far as
    these are known.
    """

    interpreter: int
    pending: int
    size: int
    pids: tuple[int, ...]
    items: tuple[int, ...] = ()
    first: tuple[Callback, ...] = ()
    tasks: int | None = None

    @property
    def head(self) -> int | None:
        """The first of them."""
        return self.items[0] if self.items else None


@dataclass(frozen=True, slots=True)
class LimiterFacts:
    """AnyIO's default thread limiter of one loop.

    ``total`` is None when it is unlimited. ``borrowed`` tokens are in use; ``waiting`` tasks
    wait for one, of which ``first`` are the first; ``head`` is the address of the first waiter.
    ``queue`` is the address of what they are kept in.
    """

    interpreter: int
    loop: int
    address: int
    queue: int
    total: int | None
    borrowed: int
    waiting: int
    head: int | None
    first: tuple[TaskFacts, ...]


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """Threads that take their work from one queue, and are no executor's.

    ``queue`` identifies it, ``kept_in`` is where its items are; when there are none, its threads
    wait for one of ``signals``. ``name`` is the function that they run, ``role`` whose threads they
    are; None: the program's own. With ``any_order`` it is not known which item came first, nor
    which of those that have names is the next one.
    With a ``limit``, no more of its threads than that take from it at a time: items wait for that.
    Only a look at the queue tells more: ``head`` is the address of the first item; of the first
    ones, ``first`` says what they would do, ``promises`` are the futures, events and conditions in
    them, and ``of_clients`` says that there are sockets in them.
    """

    interpreter: int
    queue: int
    kept_in: int
    signals: tuple[int, ...]
    name: str | None
    role: PoolKind | None
    tids: tuple[int, ...]
    head: int | None = None
    first: tuple[Callback, ...] = ()
    promises: tuple[int, ...] = ()
    of_clients: bool = False
    any_order: bool = False
    limit: int | None = None


class StandingTask(NamedTuple):
    """A task that waits, by addresses; equal as long as it may stand in the same wait.

    ``steps`` are its coroutines and those that they await, outermost first, each with its code and
    the instruction it stands at; ``waiter`` is the future that it waits for. ``name`` tells it from
    a later task at the same address.
    """

    task: int
    coroutine: int
    name: bytes
    steps: tuple[tuple[int, int, int], ...]
    waiter: int
    waiter_type: int

    @property
    def place(self) -> tuple[int, ...]:
        """The same for tasks that stand at the same lines and wait for the same type of future."""
        if not self.steps:
            return self.waiter_type, self.coroutine
        place = [self.waiter_type]
        for _, code, instruction in self.steps:
            place += code, instruction
        return tuple(place)


@dataclass(frozen=True, slots=True)
class HeldByTasks:
    """What tasks wait for: the tasks that wait, those that hold it (all by address) with the line
    at which each took it and how that is known, and what is known of it where it is a pool of
    connections.

    ``stayed`` are those of the waiters that are known to have waited on since the look before;
    None: nobody can know that. ``left`` is how many have got it since then, at the most. ``ended``
    are the lines at which tasks have ended that had it, and ``serves`` says that one of the waiters
    has a client's connection: both of queues, and of what nobody else can reach. ``in_line`` is how
    many stand in the lines of a pool, also those that were not looked at; None: not known.
    """

    kind: TaskHeld
    subject: int
    waiters: tuple[int, ...]
    holders: tuple[tuple[int, Frame, How], ...]
    use: PoolUse | None
    stayed: frozenset[int] | None
    left: int
    ended: tuple[Frame, ...] = ()
    serves: bool = False
    in_line: int | None = None


@dataclass(frozen=True, slots=True)
class TasksLook:
    """The tasks of one loop at one look: ``pending`` there were, ``looked`` of them were read.

    ``tasks`` are those among them that wait; the others run or are about to. ``service`` is the
    loop's ready queue; None when that is not known, or it was served meanwhile.
    """

    loop: int
    service: Service | None
    pending: int
    looked: int
    tasks: tuple[StandingTask, ...]


@dataclass(frozen=True, slots=True)
class ImportFacts:
    """Where one interpreter finds its modules; None: it does not say.

    ``path`` is its sys.path, ``prefixes`` are those of its installation and environment.
    ``library`` is the folder of its standard library. ``bundle`` is where a frozen program has put
    its files; ``argv0`` is how its program was named.
    """

    path: tuple[str, ...]
    prefixes: tuple[str, ...]
    library: str | None
    frozen: bool
    bundle: str | None
    argv0: str | None
