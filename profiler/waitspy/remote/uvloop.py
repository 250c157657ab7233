"""uvloop's loops: their ready queue, and the timers in libuv's heap.

uvloop's classes are compiled: nothing in them has a name. Where their fields lie follows from
uvloop/loop.pxd, cbhandles.pxd and handles/timer.pxd, which from 0.14 to 0.23 differ in one flag;
libuv's from include/uv.h and uv/unix.h of 1.x. Everything is checked before it is believed: the
libuv loop must point back to the loop object, a timer to its libuv loop, and so on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from operator import itemgetter

from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.objects import Objects
from waitspy.remote.timers import Due, Schedule, Seen

MODULE = "uvloop.loop"

# cdef class Loop: PyObject, vtable, uv_loop_t *uvloop, two ints, an object, four flags, thread id,
# (up to 0.16: another flag), two objects, _default_executor, _ready
_LOOP_UV = 24
_LOOP_READY = (96, 104)
_LOOP_SIZE = 112
# cdef class Handle: ..., loop, context, _cancelled, meth_name, cb_type, callback, arg1, arg2
_HANDLE_LOOP, _HANDLE_CANCELLED, _HANDLE_METHOD, _HANDLE_KIND = 24, 40, 48, 56
_HANDLE_ARG1, _HANDLE_ARG2, _HANDLE_SIZE = 72, 80, 88
_PLAIN_CALLBACK = 1  # cb_type of call_soon: arg1 is the callback, arg2 the tuple of arguments
# cdef class TimerHandle: ..., callback, args, _cancelled
_TIMER_CALLBACK, _TIMER_ARGS, _TIMER_CANCELLED, _TIMER_SIZE = 24, 32, 40, 48

# uv_loop_t: data, active_handles, handle_queue[2], active_reqs, internal_fields, stop_flag,
# flags, backend_fd; timer_heap {min, nelts} comes after the watchers, the work queue and the
# prepare, check, idle and async handles
_UV_DATA, _UV_BACKEND_FD, _UV_TIMER_HEAP = 0, 64, 520
_UV_SIZE = _UV_TIMER_HEAP + 16
# uv_timer_t: data, loop, ..., at 104 heap_node {left, right, parent}, timeout (ms)
_NODE, _NODE_TIMEOUT = 104, 128
_UV_TIMER_SIZE = 136
_TIMER_OBJECT_WORDS = 16
"""Words of a UVTimer object among which its TimerHandle is."""

_MOST_LOOKED_AT = 1_000  # timers that one look reads


@dataclass(frozen=True, slots=True)
class UvLoop:
    """A uvloop Loop object; ``uv`` is its libuv loop, None for a closed loop that freed it."""

    address: int
    ready: int
    executor: int
    uv: int | None
    epfd: int | None
    closed: bool


def read_loop(objects: Objects, address: int) -> UvLoop:
    """The facts of a Loop object.

    Raises:
        Unreadable: it is not laid out as known.
    """
    raw = objects.memory.read(address, _LOOP_SIZE)
    place = next((at for at in _LOOP_READY if _is_deque(objects, word_at(raw, at))), None)
    if place is None:
        raise Torn("a uvloop of unknown layout")
    uv = word_at(raw, _LOOP_UV)
    epfd = None
    if uv:
        loop = objects.memory.read(uv, _UV_SIZE)
        if word_at(loop, _UV_DATA) != address:
            raise Torn("a libuv loop of unknown layout")
        epfd = word_at(loop, _UV_BACKEND_FD, "i")
    open_ = epfd is not None and epfd >= 0
    return UvLoop(
        address=address,
        ready=word_at(raw, place),
        executor=word_at(raw, place - 8),
        uv=uv or None,
        epfd=epfd if open_ else None,
        closed=not open_,
    )


def _is_deque(objects: Objects, address: int) -> bool:
    try:
        return objects.type_of(address).name == "collections.deque"
    except Unreadable:
        return False


def handle_callback(objects: Objects, handle: int, loop: int) -> tuple[int, int, str | None]:
    """Callback and arguments of a Handle in the ready queue (zero: none), or the name of the
    method in C that it calls.

    Raises:
        Unreadable: it is not laid out as known.
    """
    raw = objects.memory.read(handle, _HANDLE_SIZE)
    if word_at(raw, _HANDLE_LOOP) != loop:
        raise Torn("a uvloop handle of unknown layout")
    kind = word_at(raw, _HANDLE_KIND, "i")
    if kind == _PLAIN_CALLBACK:
        return word_at(raw, _HANDLE_ARG1), word_at(raw, _HANDLE_ARG2), None
    return 0, 0, objects.text(word_at(raw, _HANDLE_METHOD))


def schedule(objects: Objects, loop: UvLoop, now_s: float, limit: int) -> Schedule | None:
    """The timers in libuv's heap; None when the loop is closed. Due times are in whole ms.

    Cancelling a timer takes it out of the heap. Only what lies below overdue ones can be overdue;
    of the first ``limit`` of those the callbacks are looked up.

    Raises:
        Unreadable: the heap is not laid out as known.
    """
    if loop.uv is None or loop.closed:
        return None
    memory = objects.memory
    before = memory.read(loop.uv + _UV_TIMER_HEAP, 16)
    top, count = word_at(before, 0), word_at(before, 8, "I")
    if bool(top) != bool(count):
        raise Torn("a heap of timers that makes no sense")
    seen = [Seen((loop.uv + _UV_TIMER_HEAP,), 16, before)]
    late: list[tuple[float, int]] = []
    coming: list[float] = []
    torn = False
    level = [top] if top else []
    while level and sum(len(one.at) for one in seen[1:]) < _MOST_LOOKED_AT:
        at = tuple(node - _NODE for node in level)
        raw, missing = memory.gather(list(at), _UV_TIMER_SIZE)
        torn |= bool(missing)
        seen.append(Seen(at, _UV_TIMER_SIZE, bytes(raw)))
        level = []
        for start in range(0, len(raw), _UV_TIMER_SIZE):
            owner, uv = struct.unpack_from("<QQ", raw, start)
            due_s = word_at(raw, start + _NODE_TIMEOUT) / 1000
            if uv != loop.uv:
                torn = True
            elif due_s >= now_s:
                coming.append(due_s)
            else:
                late.append((due_s, owner))
                level += [node for node in struct.unpack_from("<QQ", raw, start + _NODE) if node]
    late.sort(key=itemgetter(0))
    return Schedule(
        late=tuple(
            Due(due_s, *(_timer_callback(objects, owner) if place < limit else (0, 0)))
            for place, (due_s, owner) in enumerate(late)
        ),
        next_due_s=min(coming, default=None),
        torn=torn,
        seen=tuple(seen),
    )


def _timer_callback(objects: Objects, owner: int) -> tuple[int, int]:
    """Callback and arguments of the TimerHandle of a UVTimer object; zero when not found."""
    try:
        raw = objects.memory.read(owner, 8 * _TIMER_OBJECT_WORDS)
        for word in struct.unpack(f"<{_TIMER_OBJECT_WORDS}Q", raw)[3:]:
            if word % 8 or not 1 << 16 < word < 1 << 48:
                continue
            try:
                kind = objects.type_of(word)
            except Unreadable:
                continue
            if kind.name == "uvloop.loop.TimerHandle":
                handle = objects.memory.read(word, _TIMER_SIZE)
                return word_at(handle, _TIMER_CALLBACK), word_at(handle, _TIMER_ARGS)
    except Unreadable:
        pass
    return 0, 0
