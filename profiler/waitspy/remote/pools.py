"""Thread pools: executors of concurrent.futures with their queues, and AnyIO's thread limiters.

Executors are found through ``concurrent.futures.thread._threads_queues``, which maps every
worker thread to its queue. The first argument of such a thread is a weak reference to its
executor, kept as long as the thread lives. An executor without threads has never been given work:
it is seen only as a loop's default executor or as asgiref's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from waitspy.model.pools import PoolKind
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.callables import Callables, Called, described, of_work_item
from waitspy.remote.loops import LoopInMemory
from waitspy.remote.memory import Unreadable
from waitspy.remote.queues import Queues
from waitspy.remote.runtime import Thread
from waitspy.remote.values import Callback, PoolFacts

_MOST_THREADS = 10_000
_NAMED = 8
_EXECUTOR = frozenset({"_max_workers", "_work_queue", "_shutdown", "_thread_name_prefix"})


@dataclass(slots=True)
class _Pool:
    """What was found of one queue."""

    threads: list[int] = field(default_factory=list)
    executor: int | None = None
    role: PoolKind | None = None
    loop: int | None = None


class Pools:
    """Reads the thread pools of one interpreter.

    Raises:
        Unreadable: from every method: something changed while it was read.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, callables: Callables) -> None:
        self.interp = interp
        self.callables = callables
        self.objects = interp.objects
        self.memory = interp.objects.memory
        self._queues = Queues(interp.objects)

    def read(
        self, threads: Iterable[Thread], loops: Iterable[LoopInMemory]
    ) -> tuple[PoolFacts, ...]:
        """Every live executor; ``loops`` are those whose default executors are looked at."""
        if self.interp.module("concurrent.futures.thread") is None:
            return ()
        alive = {thread.tid for thread in threads if thread.tid is not None}
        return tuple(self._facts(queue, pool, alive) for queue, pool in self._find(loops).items())

    def queued(self, pool: PoolFacts) -> tuple[int, ...] | None:
        """The work items in its queue, the oldest first; None when that cannot be told."""
        items = None if pool.kept_in is None else self._queues.items(pool.kept_in)
        return None if items is None else self._work(items)

    def waiting_on_itself(self, pool: PoolFacts, threads: Iterable[Thread]) -> frozenset[int]:
        """The threads of a pool whose frames hold the future of an item that only it can run.

        That is an item in its queue, or one that another of its threads has begun. Whether such a
        thread waits for that future now is for its stack to tell.
        """
        item_type = self.interp.attribute_of("concurrent.futures.thread", "_WorkItem")
        mine = [thread for thread in threads if thread.tid in pool.tids]
        held = {thread.tid: self.callables.frames.held(thread.address) for thread in mine}
        queued = {self._future(item) for item in self.queued(pool) or ()}
        begun = {
            tid: {self._future(word) for word in self.objects.of_type(words, item_type)}
            for tid, words in held.items()
        }
        found = set()
        for tid, words in held.items():
            others = set().union(*(begun[other] for other in begun if other != tid))
            if tid is not None and ((queued | others) - begun[tid] - {None}).intersection(words):
                found.add(tid)
        return frozenset(found)

    def _future(self, item: int) -> int | None:
        try:
            return self.objects.attributes(item, {"future"}).get("future")
        except Unreadable:
            return None

    # --- which there are ------------------------------------------------------------------

    def _find(self, loops: Iterable[LoopInMemory]) -> dict[int, _Pool]:
        wanted = {"_threads_queues", "ThreadPoolExecutor"}
        names = self.interp.names_of("concurrent.futures.thread", wanted)
        pools: dict[int, _Pool] = {}
        for thread, queue in self._workers(names.get("_threads_queues")):
            pool = pools.setdefault(queue, _Pool())
            pool.threads.append(thread)
            if pool.executor is None:
                pool.executor = self._executor_of(thread)
        kind = names.get("ThreadPoolExecutor")
        for loop in loops:
            self._note(pools, loop.executor, kind, PoolKind.DEFAULT_EXECUTOR, loop.address)
        self._note(pools, self._asgiref_executor(), kind, PoolKind.ASGIREF, None)
        return pools

    def _workers(self, mapping: int | None) -> list[tuple[int, int]]:
        """Thread object and queue of each entry of ``_threads_queues``, a WeakKeyDictionary."""
        if mapping is None:
            return []
        data = self.objects.attributes(mapping, {"data"}).get("data")
        items = self.objects.dict_items(data, _MOST_THREADS) if data else []
        at = self.objects.layout.weakref_object
        found = []
        for ref, queue in items:
            thread = self.memory.word(ref + at)
            if thread not in {0, self.interp.none}:
                found.append((thread, queue))
        return found

    def _executor_of(self, thread: int) -> int | None:
        """The executor that a worker thread's first argument refers to; None when it is gone."""
        try:
            args = self.objects.attributes(thread, {"_args"}).get("_args")
            if args is None:
                return None
            first = self.objects.sequence(args, 64)[:1]
            if not first or "weakref" not in self.objects.type_of(first[0]).name.lower():
                return None
            executor = self.memory.word(first[0] + self.objects.layout.weakref_object)
        except Unreadable:
            return None
        return executor if executor not in {0, self.interp.none} else None

    def _note(
        self,
        pools: dict[int, _Pool],
        executor: int | None,
        kind: int | None,
        role: PoolKind,
        loop: int | None,
    ) -> None:
        """Enters an executor that was found by its role, if it is a ThreadPoolExecutor."""
        if not executor or executor == self.interp.none or kind is None:
            return
        try:
            if not self.objects.type_of(executor).is_a(kind):
                return
            queue = self.objects.attributes(executor, {"_work_queue"}).get("_work_queue")
        except Unreadable:
            return
        if queue:
            pool = pools.setdefault(queue, _Pool())
            pool.executor, pool.role, pool.loop = executor, role, loop

    def _asgiref_executor(self) -> int | None:
        """``SyncToAsync.single_thread_executor``: a class attribute."""
        try:
            kind = self.interp.attribute_of("asgiref.sync", "SyncToAsync")
            if kind is None:
                return None
            names = self.memory.word(kind + self.objects.layout.type_dict)
            key = "single_thread_executor"
            return self.objects.named(self.objects.dict_items(names, 1 << 12), {key}).get(key)
        except Unreadable:
            return None

    # --- what they are --------------------------------------------------------------------

    def _facts(self, queue: int, pool: _Pool, alive: set[int]) -> PoolFacts:
        kept_in = self._queues.kept_in(queue)
        items = None if kept_in is None else self._queues.items(kept_in)
        work = self._work(items or ())
        prefix = max_workers = shutdown = None
        if pool.executor is not None:
            try:
                held = self.objects.attributes(pool.executor, _EXECUTOR)
                if held.get("_work_queue") == queue:
                    prefix = self.objects.text(held["_thread_name_prefix"])
                    max_workers = self.objects.integer(held["_max_workers"])
                    shutdown = bool(self.objects.integer(held["_shutdown"]))
            except (Unreadable, KeyError):
                pass  # a subclass with ways of its own: the queue and threads are still right
        tids = [self._tid(thread) for thread in pool.threads]
        if prefix is None and pool.threads:
            prefix = self._prefix(pool.threads[0])
        return PoolFacts(
            interpreter=self.interp.number,
            queue=queue,
            kept_in=kept_in,
            executor=pool.executor,
            prefix=prefix,
            max_workers=max_workers,
            tids=tuple(sorted(tid for tid in tids if tid in alive and tid is not None)),
            queued=None if items is None else len(work),
            head=work[0] if work else None,
            first=tuple(self._item(item) for item in work[:_NAMED]),
            shutdown=shutdown,
            role=pool.role,
            loop=pool.loop,
        )

    def _work(self, items: Iterable[int]) -> tuple[int, ...]:
        """Without the None that tells a worker to end."""
        return tuple(item for item in items if item != self.interp.none)

    def _tid(self, thread: int) -> int | None:
        """The OS thread id of a threading.Thread, as we see it."""
        try:
            native = self.objects.attributes(thread, {"_native_id"}).get("_native_id")
            if native is None:
                return None
            return self.interp.runtime.outer_tid(self.objects.integer(native))
        except Unreadable:
            return None

    def _prefix(self, thread: int) -> str | None:
        """The pool's name as its threads are called: ``PREFIX_0``."""
        try:
            name = self.objects.attributes(thread, {"_name"}).get("_name")
            return self.objects.text(name).rpartition("_")[0] if name else None
        except Unreadable:
            return None

    def _item(self, item: int) -> Callback:
        try:
            return self._behind_asgiref(of_work_item(self.callables, item))
        except Unreadable:
            return Callback("?")

    def _behind_asgiref(self, called: Called) -> Callback:
        """The function that SyncToAsync.thread_handler was made for, instead of the handler."""
        if called.name == "SyncToAsync.thread_handler" and called.bound:
            wanted = self.objects.attributes(called.bound, {"func"}).get("func")
            if wanted:
                called = described(self.callables, wanted)
        return Callback(called.name, called.where)
