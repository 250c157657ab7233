"""Locks between processes (multiprocessing's Lock, RLock and Semaphore): which one a thread waits
for, and in which a thread is.

They are words of memory that several processes have mapped, each at an address of its own: what
tells them apart is the file behind that, which has no name any more. Each process has an object of
its own for one, which counts how often it has taken it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from waitspy.kernel import procfs
from waitspy.model.code_origin import base_name
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import Held
from waitspy.remote.anchors import InterpreterState
from waitspy.remote.memory import Unreadable, word_at
from waitspy.remote.runtime import Thread
from waitspy.remote.thread_stacks import ThreadFrame, ThreadStacks
from waitspy.remote.with_blocks import WithBlocks
from waitspy.target import interpreter

_MODULE = "multiprocessing.synchronize"
_FOLDER = "/sem."  # of /dev/shm: sem_overview(7)
_SIGNALS: Mapping[tuple[str, str], Held] = {
    ("/multiprocessing/queues.py", "get"): "queue",
    ("/multiprocessing/queues.py", "put"): "full-queue",
    ("/multiprocessing/synchronize.py", "wait"): "condition",
}
"""Methods that wait in such a lock for something else."""

_INNERMOST = 2  # frames of which one may be such a method: the other one takes the lock
_TYPE = "_multiprocessing.SemLock"
_HANDLE, _LAST, _COUNT, _MOST, _KIND, _SIZE = 16, 24, 32, 36, 40, 56
_RECURSIVE = 0
_WAITERS = 32  # the upper half of a semaphore counts them: sysdeps/nptl/internaltypes.h of glibc
"""Modules/_multiprocessing/semaphore.c, SemLockObject, the same from 3.8 to 3.15."""


class SharedPlace(NamedTuple):
    """A place in a file that processes share; most such files have the name no more."""

    file: str
    inode: int
    offset: int


class SharedWait(NamedTuple):
    """The lock that a thread waits for, and how many wait for it, of whatever processes."""

    place: SharedPlace
    queued: int


class HeldBetween(NamedTuple):
    """A lock between processes that a thread has taken, and the line at which it has; ``alone``
    says that no other can have it, too.
    """

    tid: int
    place: SharedPlace
    at: Frame
    alone: bool = True


class ProcessLocks:
    """Reads the locks of one interpreter that it shares with other processes.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState, stacks: ThreadStacks, blocks: WithBlocks) -> None:
        self._interp = interp
        self._objects = interp.objects
        self._stacks = stacks
        self._blocks = blocks

    @property
    def are_used(self) -> bool:
        """Whether the interpreter has imported what makes them."""
        return self._interp.module(_MODULE) is not None

    def wanted(self, futex: int) -> SharedWait | None:
        """The lock that a thread waits for at that address; None: it is none."""
        place = self._place(self._maps(), futex) if self.are_used else None
        if place is None:
            return None
        return SharedWait(place, self._objects.memory.word(futex) >> _WAITERS)

    def signal(self, frames: Sequence[ThreadFrame]) -> Held | None:
        """What a thread waits for by such a lock that is none of the program's: its turn or room at
        a queue, or a signal.
        """
        for frame in frames[:_INNERMOST]:
            code = self._stacks.code.code(frame.code)
            for (file, function), kind in _SIGNALS.items():
                if base_name(code.function) == function and code.rooted.endswith(file):
                    return kind
        return None

    def held(self, threads: Iterable[Thread]) -> Iterator[HeldBetween]:
        """Those that threads have taken in ``with`` blocks which they are in."""
        maps: Sequence[interpreter.MappedFile] | None = None
        for thread in threads if self.are_used else ():
            with contextlib.suppress(Unreadable):
                for frame in self._stacks.frames(thread.address):
                    for held, at in self._blocks.of_frame(frame.address):
                        handle, alone = self._taken(held, thread)
                        if handle and thread.tid is not None:
                            maps = self._maps() if maps is None else maps
                            place = self._place(maps, handle)
                            if place is not None:
                                yield HeldBetween(thread.tid, place, at, alone)

    def _taken(self, held: int, thread: Thread) -> tuple[int, bool]:
        """Where the lock is that an object stands for, if this thread has taken it last (else 0),
        and whether no other can have it.
        """
        lay = self._objects.layout
        with contextlib.suppress(Unreadable, KeyError):
            names = self._objects.attributes(held, {"_lock", "_semlock"})
            if "_semlock" not in names:  # a condition has a lock
                names = self._objects.attributes(names["_lock"], {"_semlock"})
            kind = self._objects.type_of(names["_semlock"])
            if kind.name == _TYPE and kind.basicsize == _SIZE and lay.object_size == _HANDLE:
                raw = self._objects.memory.read(names["_semlock"], _SIZE)
                mine = word_at(raw, _COUNT, "i") > 0 and word_at(raw, _LAST) == thread.ident
                alone = word_at(raw, _KIND, "i") == _RECURSIVE or word_at(raw, _MOST, "i") == 1
                return word_at(raw, _HANDLE) if mine else 0, alone
        return 0, False

    def _maps(self) -> list[interpreter.MappedFile]:
        maps = interpreter.parse_maps(procfs.read(self._interp.runtime.pid, "maps"))
        return [file for file in maps if _FOLDER in file.path]

    def _place(self, maps: Iterable[interpreter.MappedFile], at: int) -> SharedPlace | None:
        for file in maps:
            if file.start <= at < file.end:
                return SharedPlace(file.path, file.inode, file.offset + at - file.start)
        return None
