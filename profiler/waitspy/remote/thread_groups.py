"""Groups of threads that take their work from one queue, and belong to no executor.

Which queue a thread takes from is exact where it was seen to wait for an item of it. One that has
been busy all along tells by what it was started with: the queue among what its function can name
(arguments, attributes of its object, enclosing variables, globals), if there is one only and that
function calls ``get`` and never ``put``; else the one whose name has ``get`` behind it. Servers
with a queue of another kind have a row here.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from waitspy.model.pools import PoolKind
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.callables import Callables, Called, described
from waitspy.remote.memory import Unreadable
from waitspy.remote.pool_jobs import is_of_pool
from waitspy.remote.queued_items import NAMED, QueuedItems, have_connection
from waitspy.remote.queues import Queues
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_objects import ThreadObjects
from waitspy.remote.values import Callback, GroupFacts

_TAKES, _GIVES = frozenset({"get", "get_nowait"}), frozenset({"put", "put_nowait"})
_THREAD = frozenset({"_target", "_args", "_kwargs", "_name", "_started", "_stderr"})
"""Attributes of every thread object (Lib/threading.py), which hold no queue of the program's."""

_OWN_LIMIT = "idle_workers"
"""AnyIO's worker threads have it, each with a queue of its own: their limiter tells of them."""


class _Dispatcher(NamedTuple):
    """A class whose threads take from a deque, and wait at a condition when it is empty."""

    name: str
    items: str
    signal: str


_DISPATCHERS = (_Dispatcher("ThreadedTaskDispatcher", "queue", "queue_cv"),)
"""waitress/task.py, 3.0."""

_CHEROOT = "WorkerThread", ("server", "requests", "_queue")
"""CherryPy's threads, and how each leads to their queue.Queue (cheroot/workers/threadpool.py, 11).
"""

_REACTOR = "twisted.internet.reactor", "threadpool"
"""An object in the place of a module. What its pool (twisted/python/threadpool.py, 26.10) has no
thread for is kept by its ``_team``; each thread has a queue of its own.
"""

_PROMISES = frozenset({"Future", "Task", "Event", "Condition"})
"""What whoever handed in an item may wait for, by the names of classes or of their bases."""

_QUEUES = frozenset({"Queue", "SimpleQueue"})
"""By which it may be answered, in the same way."""

_CALLED = frozenset(
    {"function", "method", "functools.partial", "builtin_function_or_method", "method_descriptor"}
)
"""Types of what is called, other than objects of the program's own."""

_MOST_THREADS = 10_000
_MOST_WORDS = 64
_MOST_NAMES = 1 << 12
_DEEP = 2  # steps from an item to what its giver waits for


class _Work(NamedTuple):
    """The function that a thread runs, and the queue it takes from: itself, where the items are
    kept, what it waits for when there are none, and whose thread it is.
    """

    tid: int
    name: str
    queue: int = 0
    kept_in: int = 0
    signal: int = 0
    role: PoolKind | None = None


class _Function(NamedTuple):
    """What a thread runs, and the names that its code uses, in their order."""

    called: Called
    names: tuple[str, ...]


class ThreadGroups:
    """Finds the groups of one interpreter; what threads were started with is read once.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, callables: Callables) -> None:
        self._interp = interp
        self._callables = callables
        self._objects = interp.objects
        self._memory = interp.objects.memory
        self._queues = Queues(interp.objects)
        self._items = QueuedItems(interp.objects)
        self._threads = ThreadObjects(interp)
        self._known: dict[tuple[int, int], _Work] = {}
        self._unread: list[tuple[int, int]] = []

    def read(
        self, threads: Iterable[Thread], takers: Mapping[int, int], until_ns: int | None = None
    ) -> tuple[GroupFacts, ...]:
        """The groups among these threads; ``takers`` were seen to wait for an item of a queue.

        Of threads that are new, as many are read as this thread's CPU time until then allows, and
        one at least; the others by ``go_on``.
        """
        groups: dict[int, list[_Work]] = {}
        pending, of_reactor = self._reactor()
        for thread, work in self._work(threads, takers, until_ns):
            if work.queue and thread in of_reactor:
                one = work._replace(queue=pending, kept_in=pending, role=PoolKind.TWISTED)
                groups.setdefault(pending, []).append(one)
            elif work.queue:
                groups.setdefault(work.queue, []).append(work)
        return tuple(map(self._facts, groups.values()))

    @property
    def unread(self) -> int:
        """How many threads there was no time for."""
        return len(self._unread)

    def go_on(self, until_ns: int | None) -> None:
        """Reads more of the threads that there was no time for, as ``read`` does; one at least."""
        functions: dict[int, _Function] = {}
        self._unread.reverse()
        while self._unread:
            one = self._unread.pop()
            with contextlib.suppress(Unreadable):  # it is starting, or ending
                self._known[one] = self._started(*one, functions)
            if until_ns is not None and time.thread_time_ns() >= until_ns:
                break
        self._unread.reverse()

    def queued(self, group: GroupFacts) -> tuple[int, ...] | None:
        """The addresses of the items, the oldest first; None when that cannot be told."""
        items = self._queues.items(group.kept_in)
        return None if items is None else tuple(item for item in items if item != self._interp.none)

    # --- which there are ------------------------------------------------------------------

    def _work(
        self, threads: Iterable[Thread], takers: Mapping[int, int], until_ns: int | None
    ) -> list[tuple[int, _Work]]:
        """What each thread object says of its thread."""
        those = self._threads.of(threads)
        before = self._known
        self._known = {one: before[one] for one in those if one in before}
        self._unread = [one for one in those if one not in before]
        self.go_on(until_ns)
        return [
            (one[0], self._seen(work, takers.get(work.tid, 0))) for one, work in self._known.items()
        ]

    def _reactor(self) -> tuple[int, frozenset[int]]:
        """Where the work is kept that Twisted's reactor has no thread for, and its threads."""
        module, attribute = _REACTOR
        with contextlib.suppress(Unreadable, KeyError):
            reactor = self._interp.module(module)
            pool = self._objects.attributes(reactor, {attribute})[attribute] if reactor else 0
            if pool and pool != self._interp.none:
                held = self._objects.attributes(pool, {"_team", "threads"})
                pending = self._objects.attributes(held["_team"], {"_pending"})["_pending"]
                threads = self._objects.sequence(held["threads"], _MOST_THREADS)
                return pending, frozenset(threads)
        return 0, frozenset()

    def _seen(self, work: _Work, queue: int) -> _Work:
        """The same with the queue that the thread was seen at, unless it is a pool's own thread."""
        if queue in {0, work.queue} or not work.name:
            return work
        with contextlib.suppress(Unreadable):
            # a stack of connections is no work: those are known by what their threads began with
            kept_in = self._queues.kept_in(queue)
            if kept_in:
                return work._replace(queue=queue, kept_in=kept_in, signal=queue)
        return work

    def _started(self, thread: int, tid: int, functions: dict[int, _Function]) -> _Work:
        """What the thread was started with; ``functions`` are those of others, read just before."""
        held = self._objects.attributes(thread)
        if _OWN_LIMIT in held:
            return _Work(tid, "")
        target = held.get("_target", self._interp.none)
        owner = thread
        words = [value for name, value in held.items() if name not in _THREAD]
        if target != self._interp.none:
            kind = self._objects.type_of(target)
            owner, words = 0, self._arguments(held)
            if kind.name == "method" and not kind.heap:
                owner = self._memory.word(target + self._objects.layout.method_self)
                target = self._memory.word(target + self._objects.layout.method_function)
                words += self._objects.attribute_values(owner)
        else:
            target = self._run_of(thread)
        function = functions.get(target)
        if function is None:
            called = described(self._callables, target)
            function = functions[target] = _Function(called, self._names(target))
        if is_of_pool(function.called.where):  # its queues are told of as the pool's
            return _Work(tid, "")
        work = _Work(tid, function.called.name)
        row = self._dispatcher(owner) if owner else None
        if row is not None:
            items, signal = row
            return work._replace(queue=items, kept_in=items, signal=signal, role=PoolKind.SERVER)
        queue = self._of_cheroot(owner) if owner else 0
        kept_in = self._queues.kept_in(queue) if queue else None
        if kept_in:
            return work._replace(queue=queue, kept_in=kept_in, signal=queue, role=PoolKind.SERVER)
        names = frozenset(function.names)
        if names.isdisjoint(_TAKES):
            return work
        queues: Mapping[int, int] = {}
        if names.isdisjoint(_GIVES):
            queues = self._queues_among([*words, *self._around(target, names)])
        if len(queues) != 1:
            queues = self._queues_among(self._asked(target, owner, function.names))
        if len(queues) == 1:
            (queue, kept_in), *_ = queues.items()
            return work._replace(queue=queue, kept_in=kept_in, signal=queue)
        return work

    def _asked(self, function: int, owner: int, names: Sequence[str]) -> list[int]:
        """The globals, and attributes of its object, whose first use by a function is ``get``: the
        names of code are in the order in which they come.
        """
        asked = {name for name, following in pairwise(names) if following in _TAKES}
        found = list(self._objects.attributes(owner, asked).values()) if owner and asked else []
        return found + (self._globals(function, asked) if asked else [])

    def _arguments(self, held: Mapping[str, int]) -> list[int]:
        args, kwargs = held.get("_args"), held.get("_kwargs")
        words = self._objects.sequence(args, _MOST_WORDS) if args else []
        pairs = self._objects.dict_items(kwargs, _MOST_WORDS) if kwargs else []
        return words + [value for _, value in pairs]

    def _queues_among(self, words: Iterable[int]) -> dict[int, int]:
        """Which of these are queues, and where each keeps its items."""
        found: dict[int, int] = {}
        for word in list(dict.fromkeys(words))[:_MOST_WORDS]:
            with contextlib.suppress(Unreadable):
                kept_in = self._queues.kept_in(word) or self._queues.kept_in_list(word)
                if kept_in:
                    found[word] = kept_in
        return found

    def _dispatcher(self, owner: int) -> tuple[int, int] | None:
        name = self._objects.type_of(owner).name
        for row in _DISPATCHERS:
            if row.name == name:
                held = self._objects.attributes(owner, {row.items, row.signal})
                if len(held) == 2:
                    return held[row.items], held[row.signal]
        return None

    def _of_cheroot(self, owner: int) -> int:
        """The queue of a thread of CherryPy's; zero for any other."""
        name, way = _CHEROOT
        if self._objects.type_of(owner).name != name:
            return 0
        for attribute in way:
            owner = self._objects.attributes(owner, {attribute}).get(attribute, 0)
            if not owner:
                break
        return owner

    def _run_of(self, thread: int) -> int:
        """The ``run`` of a thread object's class."""
        run = self._objects.inherited(self._objects.type_of(thread), "run")
        if run:
            return run
        raise Unreadable("a thread without run")

    def _names(self, function: int) -> tuple[str, ...]:
        """The names that a function's code uses; none for what is no function."""
        lay = self._objects.layout
        kind = self._objects.type_of(function)
        if kind.name != "function" or kind.heap:
            return ()
        code = self._memory.word(function + lay.function_code)
        return tuple(filter(None, self._objects.names_used(code, _MOST_NAMES)))

    def _around(self, function: int, names: Collection[str]) -> list[int]:
        """The enclosing variables of a function, and the globals that it names."""
        lay = self._objects.layout
        closure = self._memory.word(function + lay.function_closure)
        cells = self._objects.sequence(closure, _MOST_WORDS) if closure else []
        found = [self._memory.word(cell + lay.cell_content) for cell in cells]
        return found + self._globals(function, names)

    def _globals(self, function: int, names: Collection[str]) -> list[int]:
        lay = self._objects.layout
        pairs = self._objects.dict_items(self._memory.word(function + lay.function_globals))
        return list(self._objects.named(pairs, names).values())

    # --- what they are --------------------------------------------------------------------

    def look(self, group: GroupFacts) -> GroupFacts:
        """The same with what is known of the first items in its queue."""
        items = (self.queued(group) or ())[:NAMED]
        names = tuple(map(self._named, items))
        alike = len({one.name for one in names}) <= 1
        kinds = self._items.kinds(items, _DEEP)
        promises = {word for word, names in kinds.items() if names & _PROMISES}
        queues = {word for word, names in kinds.items() if names & _QUEUES}
        return replace(
            group,
            head=items[0] if items else None,
            first=names if alike or not group.any_order else (),
            promises=tuple(promises | self._of_one_item(items, queues)),
            of_clients=have_connection(kinds),
        )

    def _of_one_item(self, items: Sequence[int], queues: Collection[int]) -> set[int]:
        """Those of the queues that one of several items has alone: its giver waits there for an
        answer. One that they share may be where a consumer idles.
        """
        if not queues or len(items) < 2:
            return set()
        found = Counter(
            word for item in items for word in self._items.inside([item], _DEEP) if word in queues
        )
        return {queue for queue, count in found.items() if count == 1}

    def _facts(self, group: list[_Work]) -> GroupFacts:
        one = group[0]
        return GroupFacts(
            interpreter=self._interp.number,
            queue=one.queue,
            kept_in=one.kept_in,
            signals=tuple(sorted({work.signal for work in group})),
            name=one.name or None,
            role=one.role,
            tids=tuple(sorted(work.tid for work in group)),
            any_order=self._is_list(one.kept_in),
        )

    def _is_list(self, kept_in: int) -> bool:
        with contextlib.suppress(Unreadable):
            return self._queues.is_list(kept_in)
        return False

    def _named(self, item: int) -> Callback:
        """What an item would have done: the first function in it, else the type of thing it is."""
        with contextlib.suppress(Unreadable):
            kind = self._objects.type_of(item)
            parts = self._objects.sequence(item, 8) if kind.name == "tuple" else [item]
            for part in parts:
                if self._objects.type_of(part).name in _CALLED:
                    called = described(self._callables, part)
                    return Callback(called.name, called.where)
            return Callback(kind.name)
        return Callback("?")
