"""Node's event loops, found in its memory: which thread runs which epoll, and which timer is late.

A worker thread keeps its ``uv_loop_t`` on its own stack, the main thread in Node's static data.
Where its fields lie follows from include/uv.h and uv/unix.h, which no 1.x of libuv may change; seen
so in Node 20, 22 and 24. A loop is known by its epoll descriptor and believed only if the time of
its last turn and its heap of timers make sense, and if nothing else claims that descriptor.

libuv's timers are not only JavaScript's: V8 has some of its own for housekeeping. Those that count
call Node's ``RunTimers`` and keep the process alive: there is one such timer a thread, for all of
``setTimeout`` and ``setInterval``, and it is due when the first of them is.

The inspector has a thread with a loop as well, on which no JavaScript runs. Those on which it does
have a ``uv_check_t``, for ``setImmediate``, from the beginning on.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from waitspy.kernel import procfs
from waitspy.remote.memory import Memory, Torn, Unavailable, Unreadable, word_at
from waitspy.remote.runtime import clock_ahead_ns
from waitspy.target import node

# uv_loop_t has its ring of handles at 16, its epoll descriptor at 64, the heap of timers (first,
# number) at 520, the time of its last turn (ms) at 544, the pipe for signals at 552
_HANDLES, _EPFD, _HEAP, _TIME, _SIGNALS, _SIZE = 16, 64, 520, 544, 552, 560
# uv_handle_t has its loop at 8, its type at 16, its place in that ring (next, previous) at 32
_TYPE, _RING, _HANDLE_SIZE = 16, 32, 48
# uv_timer_t has its loop at 8, flags at 88, what it calls at 96, its place in the heap (left,
# right, parent) at 104, its due time (ms) at 128
_LOOP, _FLAGS, _CALLS, _NODE, _DUE, _TIMER_SIZE = 8, 88, 96, 104, 128, 136
_KEEPS_ALIVE = 8  # UV_HANDLE_REF (src/uv-common.h)
_CHECK = 2  # uv_handle_type

_MOST_STACK = 1 << 20
_MOST_DATA = 4 << 20
_MOST_DESCRIPTOR = 1 << 20
_MOST_TIMERS = 1 << 24
_MOST_LOOKED_AT = 200  # timers at one look
_MOST_HANDLES = 100  # before the uv_check_t, which is among the first
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class NodeLoop:
    """A libuv loop, and the thread that runs it; without JavaScript it is an inspector's."""

    address: int
    epfd: int
    tid: int
    runs_javascript: bool = True


class NodeLoops:
    """Finds and reads the loops of one process.

    Raises:
        Unavailable: it is none whose memory can be understood.
        OSError: no permission, or the process is gone.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        found = node.locate(pid)
        if found is None:
            raise Unavailable("no Node.js is mapped")
        self._node = found
        self._memory = Memory(pid)
        self._ahead_ms = round(clock_ahead_ns(pid) / _MS)
        age_s = procfs.age_s(procfs.read_stat(pid).start_ticks)
        self._born_ms = self._now_ms() - int(age_s * 1000) - 1000
        self._memory.read(self._node.data[0][0] if self._node.data else 0, 8)  # proves the right

    def _now_ms(self) -> int:
        return time.monotonic_ns() // _MS + self._ahead_ms

    def find(self, epfds: Iterable[int], tids: Iterable[int]) -> tuple[NodeLoop, ...]:
        """The loops on these descriptors, of those of these threads that stand still; the main one
        may run, too. None where two claim the same descriptor.

        Raises:
            OSError: no permission, or the process is gone.
        """
        wanted = frozenset(epfds)
        found: list[NodeLoop] = []
        for tid in tids:
            found += self._of_main(wanted) if tid == self._pid else self._of_thread(tid, wanted)
        claims = [loop.epfd for loop in found]
        return tuple(
            replace(loop, runs_javascript=self._runs_javascript(loop))
            for loop in found
            if claims.count(loop.epfd) == 1
        )

    def is_there(self, loop: NodeLoop) -> bool:
        """Whether a loop is still what it was found to be."""
        try:
            return self._makes_sense(self._memory.read(loop.address, _SIZE), 0, {loop.epfd})
        except Unreadable:
            return False

    def turned_ms(self, loop: NodeLoop) -> int:
        """The time of its last turn, as it knows it: as long as that stays, it has not turned.

        It may change without a turn: a program that makes timers looks at the clock for them.

        Raises:
            Unreadable: it is not there any more.
            OSError: no permission, or the process is gone.
        """
        return self._memory.word(loop.address + _TIME)

    def overdue_ns(self, loop: NodeLoop) -> int | None:
        """Since when (CLOCK_MONOTONIC) a timer of JavaScript is due on it; None: none is.

        Raises:
            Unreadable: it changed while it was read, or is no loop any more.
            OSError: no permission, or the process is gone.
        """
        head = self._memory.read(loop.address, _SIZE)
        if not self._makes_sense(head, 0, {loop.epfd}):
            raise Torn("no loop any more")
        now_ms = self._now_ms()
        first: int | None = None
        level = [top] if (top := word_at(head, _HEAP)) else []
        looked = 0
        while level and looked < _MOST_LOOKED_AT:
            at = [address - _NODE for address in level][: _MOST_LOOKED_AT - looked]
            looked += len(at)
            level = []
            for raw in self._memory.many(at, _TIMER_SIZE):
                if raw is None or word_at(raw, _LOOP) != loop.address:
                    raise Torn("a timer that is none")
                due_ms = word_at(raw, _DUE)
                if due_ms >= now_ms:
                    continue  # and so are those below it
                level += [below for below in struct.unpack_from("<QQ", raw, _NODE) if below]
                keeps = word_at(raw, _FLAGS, "I") & _KEEPS_ALIVE
                if keeps and word_at(raw, _CALLS) == self._node.run_timers:
                    first = due_ms if first is None else min(first, due_ms)
        if self._memory.read(loop.address + _HEAP, _TIME - _HEAP) != head[_HEAP:_TIME]:
            raise Torn("its timers changed")
        return None if first is None else (first - self._ahead_ms) * _MS

    def _runs_javascript(self, loop: NodeLoop) -> bool:
        try:
            ring = loop.address + _HANDLES
            at = self._memory.word(ring)
            for _ in range(_MOST_HANDLES):
                if at == ring:
                    break
                handle = self._memory.read(at - _RING, _HANDLE_SIZE)
                if word_at(handle, _LOOP) != loop.address:
                    break
                if word_at(handle, _TYPE, "I") == _CHECK:
                    return True
                at = word_at(handle, _RING)
        except Unreadable:
            pass  # it changes: the next look will do
        return False

    def _of_main(self, epfds: frozenset[int]) -> Iterator[NodeLoop]:
        for address, size in self._node.data:
            yield from self._among(address, min(size, _MOST_DATA), self._pid, epfds)

    def _of_thread(self, tid: int, epfds: frozenset[int]) -> Iterator[NodeLoop]:
        try:
            pointer = int(procfs.read(self._pid, f"task/{tid}/syscall").split()[-2], 16)
            maps = procfs.read(self._pid, "maps") if pointer else b""
        except (ProcessLookupError, IndexError, ValueError):  # it has ended, or runs
            return
        for line in maps.splitlines():
            start, _, end = line.split(b" ", 1)[0].partition(b"-")
            if int(start, 16) <= pointer < int(end, 16):
                size = min(int(end, 16) - pointer, _MOST_STACK)
                yield from self._among(pointer & -8, size & -8, tid, epfds)

    def _among(
        self, address: int, size: int, tid: int, epfds: frozenset[int]
    ) -> Iterator[NodeLoop]:
        try:
            raw = self._memory.read(address, size)
        except Unreadable:
            return
        for fd in epfds:
            told = struct.pack("<i", fd)
            at = raw.find(told)
            while at >= 0:
                start = at - _EPFD
                if start >= 0 and start % 8 == 0 and self._makes_sense(raw, start, (fd,)):
                    yield NodeLoop(address + start, fd, tid)
                at = raw.find(told, at + 1)

    def _makes_sense(self, raw: bytes, at: int, epfds: Iterable[int]) -> bool:
        if at + _SIZE > len(raw) or word_at(raw, at + _EPFD, "i") not in epfds:
            return False
        top, count = word_at(raw, at + _HEAP), word_at(raw, at + _HEAP + 8, "I")
        turned_ms = word_at(raw, at + _TIME)
        signals = struct.unpack_from("<ii", raw, at + _SIGNALS)
        return (
            bool(top) == bool(count)
            and count < _MOST_TIMERS
            and self._born_ms <= turned_ms <= self._now_ms() + 1000
            and all(-1 <= fd < _MOST_DESCRIPTOR for fd in signals)
            and (signals == (-1, -1) or -1 < signals[0] != signals[1] > -1)
        )
