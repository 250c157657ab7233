"""Which threads use a file descriptor: a variable of theirs leads to an object that stands for it.

Such objects are sockets, the connections of ``multiprocessing``, and files. A
handler has its connection in a variable, or in an attribute of one; so does whoever has handed it
to a thread of its own and still has it in a variable: this is a hint.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from waitspy.remote.interpreters import Interpreters
from waitspy.remote.memory import Torn, Unreadable, word_at
from waitspy.remote.objects import Objects
from waitspy.remote.runtime import Runtime
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.type_facts import IS_TYPE, TypeFacts

_MOST_ATTRIBUTES = 64  # of one object
_MOST_THREADS = 256
_INNER = 8  # frames in which one may send and then read
_MOST_NAMES = 256
_SENDS = frozenset({"send", "send_bytes", "sendall", "sendmsg", "write", "request"})
_READS = frozenset({"recv", "recv_bytes", "recv_into", "read", "readline", "getresponse"})
_RECEIVES = frozenset(
    {"get_request", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into"}
)
"""What reads datagrams; ``socketserver`` has a method of its own for it."""

ACCEPTS = frozenset({"accept", "get_request", "handle_request", "_handle_request_noblock"})
"""What accepts connections, and the methods of ``socketserver`` in which that is done."""

_SENDS_TO = frozenset({"send", "sendto", "sendmsg"})
_POLLED = struct.Struct("=ihh")  # a descriptor, what is waited for, what has come: poll(2)
_FOR_INPUT = 0x1  # POLLIN

_OF_C = frozenset({"_socket.socket", "_io.FileIO"})
"""Types whose instances begin with their descriptor: Modules/socketmodule.h, PySocketSockObject,
and Modules/_io/fileio.c, fileio; the same from 3.8 to 3.15."""

_BUFFERED = frozenset({"_io.BufferedReader", "_io.BufferedWriter", "_io.BufferedRWPair"})
"""These begin with the file below: Modules/_io/bufferedio.c."""

_OF_TEXT, _BUFFER = "_io.TextIOWrapper", 16
"""Of these it comes after two flags and a size: Modules/_io/textio.c, textio."""

_CONNECTION = "_ConnectionBase"
"""Lib/multiprocessing/connection.py: ``_handle`` is its descriptor."""

_GLOBALS = (((3, 12), 24), ((3, 11), -24), ((3, 0), 16))
"""Where a frame has its globals, from its code on, since that version: cpython/frameobject.h,
internal/pycore_frame.h, and internal/pycore_interpframe_structs.h from 3.14 on."""

_NO_INSTANCES = frozenset({"module", "function", "builtin_function_or_method"})


USING_CPU_NS = 15_000_000
"""Of this thread, to look for the users of a descriptor in one process."""


class EndUse(NamedTuple):
    """A thread, and the frame of it (by its address) with a variable that leads there."""

    tid: int
    frame: int


class Receiver(NamedTuple):
    """A thread that reads from a socket, or accepts there, in which frames (by their addresses, the
    innermost first), and whether the code of that one sends something before it does.
    """

    tid: int
    frames: tuple[int, ...]
    asks: bool


class _Order(NamedTuple):
    """The names that code uses, whether it receives, and sends something before it does."""

    names: frozenset[str]
    reads: bool
    asks: bool


class EndUsers:
    """Reads them of one process.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interps: Interpreters, stacks: ThreadStacks, runtime: Runtime) -> None:
        self._interps = interps
        self._stacks = stacks
        self._runtime = runtime
        self._kinds: dict[int, str | None] = {}

    def polled(self, address: int) -> int | None:
        """The descriptor, the first one given to poll(2), from which that waits for input; None:
        it waits for something else.
        """
        fd, events, _ = _POLLED.unpack(self._runtime.memory.read(address, _POLLED.size))
        return fd if events & _FOR_INPUT else None

    def threads(self) -> list[int]:
        """The threads that run Python."""
        every = (self._runtime.threads(interp.address) for interp in self._interps.look())
        return [thread.tid for some in every for thread in some if thread.tid is not None]

    def using(self, fds: Collection[int], cpu_ns: int = USING_CPU_NS) -> list[EndUse]:
        """The frames that use one of these descriptors, of as many threads as are asked; Torn if
        this thread's CPU time ``cpu_ns`` is not enough for all of these.
        """
        until_ns = time.thread_time_ns() + cpu_ns
        self._stacks.code.objects.forget()
        self._kinds.clear()
        found: list[EndUse] = []
        for interp in self._interps.look():
            leads: dict[int, bool] = {}
            for thread in self._runtime.threads(interp.address)[:_MOST_THREADS]:
                with contextlib.suppress(Unreadable):
                    if thread.tid is not None:
                        frames = self._frames_using(thread.address, interp.objects, fds, leads)
                        found += [EndUse(thread.tid, frame) for frame in frames]
                if time.thread_time_ns() >= until_ns:
                    raise Torn("too many threads to ask")
        return found

    def has_asked(self, tid: int) -> bool:
        """Whether the code that reads in a thread sends something before: the innermost frames that
        do both tell, by the order in which their code uses these names.
        """
        for interp in self._interps.look():
            for thread in self._runtime.threads(interp.address):
                if thread.tid == tid:
                    return self._asks(thread.address, interp.objects)
        return False

    def receiving(
        self, fd: int, cpu_ns: int = USING_CPU_NS, names: Collection[str] = _RECEIVES
    ) -> list[Receiver]:
        """The threads in a function that reads datagrams, or has one of these ``names``, and has
        that descriptor in a variable of its own, or a global one; Torn if this thread's CPU time
        ``cpu_ns`` is not enough for all.
        """
        until_ns = time.thread_time_ns() + cpu_ns
        using = {one.frame for one in self.using({fd}, cpu_ns)}
        found: list[Receiver] = []
        orders: dict[int, _Order] = {}
        for interp in self._interps.look():
            objects = interp.objects
            for thread in self._runtime.threads(interp.address)[:_MOST_THREADS]:
                with contextlib.suppress(Unreadable):
                    frames = self._stacks.frames(thread.address) if thread.tid else []
                    reading = []
                    for frame in frames:
                        if frame.code not in orders:
                            orders[frame.code] = self._order(frame.code, objects, names)
                        order = orders[frame.code]
                        if order.reads and (
                            frame.address in using or self._global(frame, order, objects, fd)
                        ):
                            reading.append(frame)
                    if reading and thread.tid:
                        addresses = tuple(frame.address for frame in reading[:_INNER])
                        asks = orders[reading[0].code].asks
                        found.append(Receiver(thread.tid, addresses, asks))
                if time.thread_time_ns() >= until_ns:
                    raise Torn("too many threads to ask")
        return found

    @staticmethod
    def _order(code: int, objects: Objects, receives: Collection[str]) -> _Order:
        names = [name or "" for name in objects.names_used(code, _MOST_NAMES)]
        reads = [n for n, name in enumerate(names) if name in receives]
        sends = [n for n, name in enumerate(names) if name in _SENDS_TO]
        asks = bool(reads) and bool(sends) and sends[0] < reads[0]
        return _Order(frozenset(names), bool(reads), asks)

    def _global(self, frame: ThreadFrame, order: _Order, objects: Objects, fd: int) -> bool:
        """Whether a global variable that a frame's code names leads to a descriptor."""
        layout = objects.layout
        of_globals = next(at for pair, at in _GLOBALS if layout.pair >= pair)
        address = objects.memory.word(frame.address + layout.frame_code + of_globals)
        named = list(objects.named(objects.dict_items(address), order.names).values())
        for one, kind in zip(named, objects.types_of(named), strict=True):
            if kind is None:
                continue
            inside = list(self._inside(one, kind, objects))
            for other, its in ((one, kind), *zip(inside, objects.types_of(inside), strict=True)):
                if its is not None and self._stands_for(other, its, objects, {fd}):
                    return True
        return False

    def _asks(self, thread: int, objects: Objects) -> bool:
        for frame in self._stacks.frames(thread, _INNER):
            names = objects.names_used(frame.code, _MOST_NAMES)
            sends, reads = (
                min((names.index(name) for name in some if name in names), default=None)
                for some in (_SENDS, _READS)
            )
            if sends is not None and reads is not None:
                return sends < reads
        return False

    def _frames_using(
        self, thread: int, objects: Objects, fds: Collection[int], leads: dict[int, bool]
    ) -> Iterator[int]:
        """Those of a thread; ``leads`` says of what was looked into whether it leads there."""
        frames = [(frame.address, frame.code) for frame in self._stacks.frames(thread)]
        variables = self._stacks.code.variables(frames)
        every = {one: kind for mine in variables for one, kind in mine.items() if one not in leads}
        leads.update((one, False) for one in every)
        inner: dict[int, list[int]] = {}
        for one, kind in every.items():
            for other in self._inside(one, kind, objects):
                inner.setdefault(other, []).append(one)
        kinds = dict(zip(inner, objects.types_of(list(inner)), strict=True))
        for one, kind_ in (every | kinds).items():
            if kind_ is not None and self._stands_for(one, kind_, objects, fds):
                leads.update(dict.fromkeys((one, *inner.get(one, ())), True))
        for (frame, _), mine in zip(frames, variables, strict=True):
            if any(leads.get(one) for one in mine):
                yield frame

    def _stands_for(
        self, address: int, kind: TypeFacts, objects: Objects, fds: Collection[int]
    ) -> bool:
        if kind.address not in self._kinds:
            names = {kind.name, *(objects.type_at(base).name for base in kind.mro)}
            some = (name for name in (*_OF_C, _CONNECTION) if name in names)
            self._kinds[kind.address] = next(some, None)
        name = self._kinds[kind.address]
        if name is None:
            return False
        with contextlib.suppress(Unreadable, KeyError):
            if name == _CONNECTION:
                handle = objects.attributes(address, {"_handle"})["_handle"]
                return objects.integer(handle) in fds
            raw = objects.memory.read(address + objects.layout.object_size, 4)
            return word_at(raw, 0, "i") in fds
        return False

    def _inside(self, address: int, kind: TypeFacts, objects: Objects) -> Sequence[int]:
        """The attributes of an instance of a class written in Python, the file below a buffer."""
        with contextlib.suppress(Unreadable):
            if kind.name in _BUFFERED:
                return [objects.memory.word(address + objects.layout.object_size)]
            if kind.name == _OF_TEXT:
                return [objects.memory.word(address + objects.layout.object_size + _BUFFER)]
            if kind.heap and not kind.flags & IS_TYPE and kind.name not in _NO_INSTANCES:
                return objects.attribute_values(address)[:_MOST_ATTRIBUTES]
        return ()
