"""libuv's pool of threads in a Node.js: who they are, and what waits for one of them.

Files, names (``dns.lookup``), ``crypto`` and ``zlib`` go through it: four threads unless
UV_THREADPOOL_SIZE says otherwise, made when the first work comes. Its queue is a ring in libuv's
static data, in which each ``uv__work`` has a place. Names are looked up by half of the threads at
the most: such work has a queue of its own, for which a message stands in the first one.

To the oracle these are two groups of the same threads, each of which takes from one queue: work
that waits for a thread, and lookups that wait for the end of others, as no more of them may go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from waitspy.kernel import procfs
from waitspy.model.pools import PoolKind
from waitspy.remote import native_ids
from waitspy.remote.memory import Memory, Torn, Unavailable, Unreadable, word_at
from waitspy.remote.values import Callback, GroupFacts
from waitspy.target import node

# uv__work has its function at 0, its loop at 16, its place in the queue (next, previous) at 24
_LOOP, _RING, _WORK_SIZE = 16, 24, 40
_FUTEXES = range(0, 48, 4)  # of glibc's pthread_cond_t: which of its words are waited for differs

_MOST_THREADS = 1024  # MAX_THREADPOOL_SIZE
_MOST_ITEMS = 10_000
_NAMED = 8
_TRIES = 3


def _limit(threads: int) -> int:
    """How many of so many threads look up names at a time (slow_work_thread_threshold)."""
    return (threads + 1) // 2


class NodePool:
    """The pool of one process.

    Raises:
        Unavailable: it is no Node.js, or one of which it is not known where its pool is.
        OSError: no permission, or the process is gone; from every method.
    """

    def __init__(self, pid: int) -> None:
        found = node.locate(pid)
        if found is None:
            raise Unavailable("no Node.js is mapped")
        if found.pool is None:
            raise Unavailable("this build of Node.js does not say where its thread pool is")
        self._pid = pid
        self._places = found.pool
        self._memory = Memory(pid)
        self._memory.read(self._places.queue, 16)  # proves the right
        self._facts: tuple[GroupFacts, ...] = ()

    def groups(self) -> tuple[GroupFacts, ...]:
        """The pool and its lookups, once it has threads and these are known."""
        if not self._facts:  # they stay until the process ends
            with suppress(Unreadable):
                self._facts = self._read()
        return self._facts

    def queued(self, group: GroupFacts) -> tuple[int, ...]:
        """The addresses of what waits for its threads; in no order, as slow work is put last.

        A queue that changes at every try is one that is served: nothing of it has waited.
        """
        for _ in range(_TRIES):
            with suppress(Unreadable):
                return tuple(self._items() if group.limit is None else self._lookups(group.limit))
        return ()

    def first(self, items: Sequence[int]) -> tuple[Callback, ...]:
        """What the first of these items are; none where that is not known of one of them."""
        called = dict(self._places.work)
        raw = self._memory.many(items[:_NAMED], 8)
        names = [called.get(word_at(one, 0), "") if one else "" for one in raw]
        return tuple(map(Callback, names)) if all(names) else ()

    def _read(self) -> tuple[GroupFacts, ...]:
        places = self._places
        many = self._number(places.many)
        if not 0 < many <= _MOST_THREADS:
            return ()
        raw = self._memory.read(self._memory.word(places.threads), 8 * many)
        pthreads = [word_at(raw, 8 * n) for n in range(many)]
        inner = procfs.inner_tids(self._pid)
        tids = native_ids.of_pthreads(self._memory, pthreads, inner)
        if not tids:
            return ()
        pool = GroupFacts(
            interpreter=0,
            queue=places.queue,
            kept_in=places.queue,
            signals=tuple(places.signal + at for at in _FUTEXES),
            name=None,
            role=PoolKind.LIBUV,
            tids=tuple(sorted(inner[tid] for tid in tids.values())),
            any_order=True,
        )
        lookups = replace(
            pool,
            queue=places.slow_queue,
            kept_in=places.slow_queue,
            role=PoolKind.LOOKUPS,
            limit=_limit(many),
        )
        return pool, lookups

    def _items(self) -> Iterator[int]:
        places = self._places
        running, limit = self._number(places.slow), _limit(self._number(places.many))
        for item in self._ring(places.queue):
            if item is not None:
                yield item
            elif running < limit:  # else it is not for a thread that they wait
                yield from self._slow_items()

    def _lookups(self, limit: int) -> Iterator[int]:
        if self._number(self._places.slow) >= limit:
            yield from self._slow_items()

    def _slow_items(self) -> Iterator[int]:
        return (one for one in self._ring(self._places.slow_queue) if one is not None)

    def _number(self, address: int) -> int:
        return word_at(self._memory.read(address, 4), 0, "I")

    def _ring(self, head: int) -> Iterator[int | None]:
        """The addresses of the work in a queue; None for the message.

        Raises:
            Torn: it changed meanwhile, or is no such queue.
        """
        before, at = head, self._memory.word(head)
        for _ in range(_MOST_ITEMS):
            if at == head:
                break
            if at == self._places.message:
                yield None
                raw, ring = self._memory.read(at, 16), 0
            else:
                raw, ring = self._memory.read(at - _RING, _WORK_SIZE), _RING
                if not word_at(raw, _LOOP):
                    raise Torn("work of no loop")
                yield at - _RING
            if word_at(raw, ring + 8) != before:
                raise Torn("its queue changed")
            before, at = at, word_at(raw, ring)
        if self._memory.word(head + 8) != before:
            raise Torn("its queue changed, or is too long")
