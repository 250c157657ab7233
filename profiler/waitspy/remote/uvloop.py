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

from waitspy.remote.memory import Memory, Torn, Unreadable, word_at
from waitspy.remote.objects import Objects
from waitspy.remote.timers import Due, Schedule, Seen, see

MODULE = "uvloop.loop"

# cdef class Loop: PyObject, vtable, uv_loop_t *uvloop, two ints, an object, four flags, thread id,
# (up to 0.16: another flag), two objects, _default_executor, _ready
_LOOP_UV = 24
_LOOP_READY = (96, 104)
_LOOP_SIZE = 112
# _timers is one of the sets that follow, behind some fields that differ by version
_LOOP_SETS_WORDS = 16
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
"""Words of a UVTimer object among which its TimerHandle is, and the other way round."""
# uv_handle_t: ..., at 88 flags; that of a timer which is in the heap (src/uv-common.h)
_FLAGS, _IS_ACTIVE = 88, 4
# cdef class UVHandle: PyObject, vtable, uv_handle_t *_handle; UVTimer: ..., ctx, running
_OBJECT_HANDLE = 24
_HANDLE_CLASS = "uvloop.loop.TimerHandle"
_TIMER_CLASS = "uvloop.loop.UVTimer"

_MOST_LOOKED_AT = 1_000  # timers that one look reads
_MOST_TIMERS = 20_000  # of a loop, from which those that were taken out of its heap are looked for


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
    place = next(
        (at for at in _LOOP_READY if _is(objects, word_at(raw, at), "collections.deque")), None
    )
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
    """The timers of a loop; None when it is closed. Due times are in whole ms.

    They are in libuv's heap until they are due; then all of those are taken out of it, and their
    callbacks are called one after the other. Cancelling a timer takes it out of the heap, too. Only
    what lies below overdue ones can be overdue; of the first ``limit`` of those the callbacks are
    looked up.

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
    taken, marks = _taken(objects, loop, count)
    late += taken
    seen += marks
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


def _taken(
    objects: Objects, loop: UvLoop, in_heap: int
) -> tuple[list[tuple[float, int]], list[Seen]]:
    """Due times and objects of the timers that were taken out of the heap to be called, and were
    not yet: the thread waits for the GIL, or is in the callback of another one of them.

    Nothing but the loop's own set of timers names them; what is being called is no longer marked
    as running there (handles/timer.pyx).

    Raises:
        Unreadable: they are not laid out as known.
    """
    memory, lay = objects.memory, objects.layout
    raw = memory.read(loop.address + _LOOP_READY[0], 8 * _LOOP_SETS_WORDS)
    for word in struct.unpack(f"<{_LOOP_SETS_WORDS}Q", raw):
        if not _is(objects, word, "set"):
            continue
        head = memory.read(word, lay.set_table + 8)
        if word_at(head, lay.set_used) <= in_heap:
            continue  # where nothing was taken out, it is the set of all that are in the heap
        handles = objects.set_items(word, _MOST_TIMERS)
        if not _is(objects, handles[0], _HANDLE_CLASS):
            continue
        late, marks = _inactive(objects, loop, handles)
        return late, [Seen((word,), len(head), head), *marks]
    return [], []


def _inactive(
    objects: Objects, loop: UvLoop, handles: list[int]
) -> tuple[list[tuple[float, int]], list[Seen]]:
    """Those of the timers of these TimerHandles that are in no heap and were not called."""
    place = _place_of(objects, handles[0], _TIMER_CLASS)
    owners = _words(objects.memory, [handle + place for handle in handles])
    running = _place_of(objects, owners[0], _HANDLE_CLASS) + 8
    flags = see(objects.memory, [owner + running for owner in owners], 8)
    at = _words(objects.memory, [owner + _OBJECT_HANDLE for owner in owners])
    timers = see(objects.memory, at, _UV_TIMER_SIZE)
    late = []
    for n, owner in enumerate(owners):
        start = n * _UV_TIMER_SIZE
        if struct.unpack_from("<QQ", timers.raw, start) != (owner, loop.uv):
            raise Torn("a timer of unknown layout")
        is_active = word_at(timers.raw, start + _FLAGS, "I") & _IS_ACTIVE
        if not is_active and word_at(flags.raw, 8 * n, "i"):
            late.append((word_at(timers.raw, start + _NODE_TIMEOUT) / 1000, owner))
    return late, [flags, timers]


def _words(memory: Memory, at: list[int]) -> list[int]:
    return memoryview(see(memory, at, 8).raw).cast("Q").tolist()


def _place_of(objects: Objects, address: int, name: str) -> int:
    """Where in an object a reference to one of that class is."""
    raw = objects.memory.read(address, 8 * _TIMER_OBJECT_WORDS)
    words = struct.unpack(f"<{_TIMER_OBJECT_WORDS}Q", raw)
    found = next((n for n, word in enumerate(words) if n >= 3 and _is(objects, word, name)), None)
    if found is None:
        raise Torn(f"no {name} where one is expected")
    return 8 * found


def _is(objects: Objects, address: int, name: str) -> bool:
    if address % 8 or not 1 << 16 < address < 1 << 48:
        return False
    try:
        return objects.type_of(address).name == name
    except Unreadable:
        return False


def _timer_callback(objects: Objects, owner: int) -> tuple[int, int]:
    """Callback and arguments of the TimerHandle of a UVTimer object; zero when not found."""
    try:
        held = objects.memory.word(owner + _place_of(objects, owner, _HANDLE_CLASS))
        handle = objects.memory.read(held, _TIMER_SIZE)
    except Unreadable:
        return 0, 0
    return word_at(handle, _TIMER_CALLBACK), word_at(handle, _TIMER_ARGS)
