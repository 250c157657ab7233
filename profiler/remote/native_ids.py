"""OS thread ids for CPython 3.8 to 3.10, whose thread states know only pthread ids.

py-spy names the threads of those versions by pthread id. The interpreter's list of thread states
gives the pthread ids that there are; a pthread id is the address of the C library's struct
pthread, which holds the OS thread id at a fixed place. Which place is found by trying the known
ones: it must give a thread of this process for every pthread id.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

from profiler.remote.memory import Memory, Unreadable

# Include/internal/pycore_runtime.h, pycore_pystate.h / pycore_interp.h and cpython/pystate.h of
# 3.8, 3.9 and 3.10 agree: _PyRuntimeState.interpreters.head, PyInterpreterState.{next,
# tstate_head}, PyThreadState.{next, thread_id}.
_INTERPRETERS_HEAD = 32
_INTERP_NEXT, _INTERP_TSTATES = 0, 8
_TSTATE_NEXT, _TSTATE_THREAD_ID = 8, 176
_NEEDED = frozenset({"3.8", "3.9", "3.10"})

# struct pthread.tid: glibc x86_64 and aarch64 (nptl/descr.h), musl 1.2 (pthread_impl.h)
_TID_PLACES = (720, 208, 48, 56)
_MOST = 10_000


def needed(version: str | None) -> bool:
    """Whether this version (``3.10.13``) leaves OS thread ids unknown."""
    return version is not None and ".".join(version.split(".")[:2]) in _NEEDED


def read(pid: int, runtime: int, tids: Collection[int]) -> dict[int, int]:
    """OS thread id by pthread id, for the interpreter whose ``_PyRuntime`` is at that address.

    Empty when they cannot be told for sure. ``tids`` are the process's threads.

    Raises:
        OSError: no permission, or the process is gone.
    """
    memory = Memory(pid)
    try:
        found = _pthread_ids(memory, runtime)
    except Unreadable:  # a list that changes while it is read: the next look will do
        return {}
    for place in _TID_PLACES:
        raw = memory.many([pthread + place for pthread in found], 4)
        told = [struct.unpack("<I", piece)[0] if piece else 0 for piece in raw]
        if found and set(told) <= set(tids) and len(set(told)) == len(told):
            return dict(zip(found, told, strict=True))
    return {}


def _pthread_ids(memory: Memory, runtime: int) -> list[int]:
    found: list[int] = []
    interp = memory.word(runtime + _INTERPRETERS_HEAD)
    while interp and len(found) < _MOST:
        tstate = memory.word(interp + _INTERP_TSTATES)
        while tstate and len(found) < _MOST:
            pthread = memory.word(tstate + _TSTATE_THREAD_ID)
            if pthread and pthread not in found:
                found.append(pthread)
            tstate = memory.word(tstate + _TSTATE_NEXT)
        interp = memory.word(interp + _INTERP_NEXT)
    return found
