"""Mutexes of C code: which thread has the one that another one waits for.

A ``pthread_mutex_t`` of glibc begins with the word that threads wait at, and names its owner, by
the kernel's number (sysdeps/nptl/bits/struct_mutex.h, the same on all 64-bit machines). Memory of
another kind may look like one: the caller checks that the owner is a thread of the process, and
that the wait is one for such a word. Python's own locks are no such mutexes.
"""

from __future__ import annotations

import struct

from waitspy.remote.memory import Memory

CONTENDED = 2
"""The value of the word while others wait for it (nptl/lowlevellock.h)."""

_FIELDS = struct.Struct("<IIIII")  # lock, count, owner, users, kind
_KINDS = frozenset({0, 1, 2, 3})  # nptl/pthreadP.h: timed, recursive, error checking, adaptive
_RECURSIVE = 1
_ELISION = 0x300  # may be added: whether it tries transactional memory
_MOST_USERS = 1 << 16


def owner(memory: Memory, futex: int) -> int | None:
    """The thread that has the mutex at that address; None: there is none that others wait for.

    Raises:
        Unreadable: nothing is mapped there.
        OSError: no permission, or the process is gone.
    """
    lock, count, tid, users, kind = _FIELDS.unpack(memory.read(futex, _FIELDS.size))
    if lock != CONTENDED or kind & ~_ELISION not in _KINDS or not 0 < users < _MOST_USERS:
        return None
    if count and kind & ~_ELISION != _RECURSIVE:
        return None
    return tid if 0 < tid < 1 << 31 else None
