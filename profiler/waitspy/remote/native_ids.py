"""Which thread is meant by the ids that an interpreter, and so py-spy, gives to its threads.

Thread states of CPython 3.11 and newer hold the OS thread id as the process itself sees it: in a
pid namespace, as in a container, another one than here. Those of 3.8 to 3.10 know only pthread
ids. A pthread id is the address of the C library's struct pthread, which holds the OS thread id at
a fixed place. Which place is found by trying the known ones: it must give a thread of this process
for every pthread id.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Sequence

from waitspy.kernel import procfs
from waitspy.remote.memory import Memory, Unreadable

# Include/internal/pycore_runtime.h, pycore_pystate.h / pycore_interp.h and cpython/pystate.h of
# 3.8, 3.9 and 3.10 agree: _PyRuntimeState.interpreters.head, PyInterpreterState.{next,
# tstate_head}, PyThreadState.{next, thread_id}.
_INTERPRETERS_HEAD = 32
_INTERP_NEXT, _INTERP_TSTATES = 0, 8
_TSTATE_NEXT, _TSTATE_THREAD_ID = 8, 176
_BY_PTHREAD = frozenset({"3.8", "3.9", "3.10"})

# struct pthread.tid: glibc x86_64 and aarch64 (nptl/descr.h), musl 1.2 (pthread_impl.h)
_TID_PLACES = (720, 208, 48, 56)
_MOST = 10_000


def differ(pid: int, version: str | None) -> bool:
    """Whether threads of this process, of that version (``3.10.13``), go by other ids than here.

    Raises:
        ProcessLookupError: the process is gone.
    """
    return _by_pthread(version) or len(procfs.read_status(pid).pids) > 1


def here(pid: int, version: str | None, runtime: int | None) -> dict[int, int]:
    """The process's OS thread ids as seen from here, by the ids that its interpreter knows.

    ``runtime`` is where its ``_PyRuntime`` lies. Threads of which it cannot be told for sure are
    left out.

    Raises:
        OSError: no permission, or the process is gone.
    """
    tids = procfs.inner_tids(pid)
    if not _by_pthread(version):
        return tids
    if runtime is None:
        return {}
    return {pthread: tids[tid] for pthread, tid in _read(pid, runtime, tids).items()}


def inherited(pid: int, version: str | None) -> dict[int, int]:
    """The ids by which its main thread may go if its fork was not told to the interpreter, as in
    uWSGI: those of the processes that it is a fork of, as they know themselves.

    Raises:
        OSError: no permission, or the process is gone.
    """
    if version is None or _by_pthread(version):
        return {}  # a fork keeps its pthread id
    forked_from = list(_forked_from(pid))
    own = procfs.inner_tids(pid) if forked_from else {}
    told = (procfs.read_status(above).pids[-1] for above in forked_from)
    return {above: pid for above in told if above not in own}


def _forked_from(pid: int) -> Iterator[int]:
    """The processes above it that run the same program, as long as each is a fork of the next."""
    stat = procfs.read_stat(pid)
    seen = {pid}
    while stat.image is not None and stat.ppid not in seen:
        above = procfs.stats([stat.ppid]).get(stat.ppid)  # none where it cannot be seen
        if above is None or above.image != stat.image:
            break
        yield stat.ppid
        seen.add(stat.ppid)
        stat = above


def _by_pthread(version: str | None) -> bool:
    return version is not None and ".".join(version.split(".")[:2]) in _BY_PTHREAD


def _read(pid: int, runtime: int, tids: Collection[int]) -> dict[int, int]:
    """The process's own OS thread ids by pthread id; empty when they cannot be told for sure."""
    memory = Memory(pid)
    try:
        found = _pthread_ids(memory, runtime)
    except Unreadable:  # a list that changes while it is read: the next look will do
        return {}
    return of_pthreads(memory, found, tids)


def of_pthreads(memory: Memory, pthreads: Sequence[int], tids: Collection[int]) -> dict[int, int]:
    """The process's own OS thread ids of these pthread ids, all of which are among ``tids``; empty
    when they cannot be told for sure.

    Raises:
        OSError: no permission, or the process is gone.
    """
    for place in _TID_PLACES:
        raw = memory.many([pthread + place for pthread in pthreads], 4)
        told = [struct.unpack("<I", piece)[0] if piece else 0 for piece in raw]
        if pthreads and set(told) <= set(tids) and len(set(told)) == len(told):
            return dict(zip(pthreads, told, strict=True))
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
