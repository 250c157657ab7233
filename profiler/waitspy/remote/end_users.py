"""Which threads use a file descriptor: a variable of theirs leads to an object that stands for it.

Such objects are sockets, the connections of ``multiprocessing``, and files. A
handler has its connection in a variable, or in an attribute of one; so does whoever has handed it
to a thread of its own and still has it in a variable: this is a hint.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from waitspy.remote.interpreters import Interpreters
from waitspy.remote.memory import Unreadable, word_at
from waitspy.remote.objects import Objects
from waitspy.remote.runtime import Runtime
from waitspy.remote.thread_stacks import ThreadStacks
from waitspy.remote.type_facts import IS_TYPE, TypeFacts

_DEEPEST = 2  # attributes of attributes
_MOST_OBJECTS = 256  # variables of one thread
_MOST_ATTRIBUTES = 64  # of one of these, at each step
_MOST_THREADS = 256
_INNER = 8  # frames in which one may send and then read
_MOST_NAMES = 256
_SENDS = frozenset({"send", "send_bytes", "sendall", "sendmsg", "write", "request"})
_READS = frozenset({"recv", "recv_bytes", "recv_into", "read", "readline", "getresponse"})
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

_NO_INSTANCES = frozenset({"module", "function", "builtin_function_or_method"})


class EndUse(NamedTuple):
    """A thread, and the frame of it (by its address) with a variable that leads there."""

    tid: int
    frame: int


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

    def using(self, fds: Collection[int]) -> list[EndUse]:
        """The frames that use one of these descriptors, of as many threads as are asked."""
        self._stacks.code.objects.forget()
        found: list[EndUse] = []
        for interp in self._interps.look():
            for thread in self._runtime.threads(interp.address)[:_MOST_THREADS]:
                with contextlib.suppress(Unreadable):
                    if thread.tid is not None:
                        frames = self._frames_using(thread.address, interp.objects, fds)
                        found += [EndUse(thread.tid, frame) for frame in frames]
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

    def _frames_using(self, thread: int, objects: Objects, fds: Collection[int]) -> Iterator[int]:
        frames = [(frame.address, frame.code) for frame in self._stacks.frames(thread)]
        leads: dict[int, bool] = {}
        for (frame, _), mine in zip(frames, self._stacks.code.variables(frames), strict=True):
            new = {one: kind for one, kind in mine.items() if one not in leads}
            for one, kind in new.items():
                leads[one] = len(leads) < _MOST_OBJECTS and self._leads(one, kind, objects, fds)
            if any(leads[one] for one in mine):
                yield frame

    def _leads(self, address: int, kind: TypeFacts, objects: Objects, fds: Collection[int]) -> bool:
        """Whether an object stands for one of the descriptors, or leads to one that does."""
        seen = new = {address: kind}
        for depth in range(_DEEPEST + 1):
            if any(self._stands_for(one, kind, objects, fds) for one, kind in new.items()):
                return True
            inner = self._inside(new.items(), objects) if depth < _DEEPEST else ()
            left = [one for one in dict.fromkeys(inner) if one not in seen][:_MOST_ATTRIBUTES]
            kinds = objects.types_of(left)
            new = {one: kind for one, kind in zip(left, kinds, strict=True) if kind is not None}
            seen = seen | new
        return False

    def _stands_for(
        self, address: int, kind: TypeFacts, objects: Objects, fds: Collection[int]
    ) -> bool:
        with contextlib.suppress(Unreadable, KeyError):
            names = {kind.name, *(objects.type_at(base).name for base in kind.mro)}
            if not names.isdisjoint(_OF_C):
                raw = objects.memory.read(address + objects.layout.object_size, 4)
                return word_at(raw, 0, "i") in fds
            if _CONNECTION in names:
                handle = objects.attributes(address, {"_handle"})["_handle"]
                return objects.integer(handle) in fds
        return False

    def _inside(self, known: Iterable[tuple[int, TypeFacts]], objects: Objects) -> Iterator[int]:
        """The attributes of instances of classes written in Python, and the file below a buffer."""
        for address, kind in known:
            with contextlib.suppress(Unreadable):
                if kind.name in _BUFFERED:
                    yield objects.memory.word(address + objects.layout.object_size)
                elif kind.name == _OF_TEXT:
                    yield objects.memory.word(address + objects.layout.object_size + _BUFFER)
                elif kind.heap and not kind.flags & IS_TYPE and kind.name not in _NO_INSTANCES:
                    yield from objects.attributes(address).values()
