"""Which lock a thread waits for, and what is known of a lock.

A thread that waits for a lock shows an address to the kernel (``futex``). Up to 3.13 it is the one
that the lock object points to; from 3.14 on threads park at places of their own, and the word
before such a place points into the lock object (Python/parking_lot.c, ``struct wait_entry``).
"""

from __future__ import annotations

from waitspy.remote.memory import Unreadable
from waitspy.remote.objects import Objects
from waitspy.remote.type_facts import TypeFacts

_LOCKS = frozenset({"_thread.lock", "_thread.RLock"})

OF_MODULES = "_ModuleLock"
"""What threads wait in that import a module while another one does: Lib/importlib/_bootstrap.py."""


class Locks:
    """Reads locks of one process.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._memory = objects.memory

    def wanted(self, futex: int) -> int | None:
        """The handle of the lock that is waited for at that address; None: nothing is known.

        It may be none at all: only a lock with that handle tells.
        """
        return futex if self._objects.layout.pair < (3, 14) else self.parked(futex)

    def parked(self, futex: int) -> int | None:
        """Where a thread has parked that waits at that address, from 3.13 on; None before."""
        try:
            return self._memory.word(futex - 8) if self._objects.layout.pair >= (3, 13) else None
        except Unreadable:
            return None

    def at(self, handle: int) -> int | None:
        """The lock object with that handle, where the handle lies in it (from 3.14 on)."""
        lay = self._objects.layout
        if lay.pair < (3, 14):
            return None
        try:
            lock = handle - lay.lock_handle
            return lock if self.is_lock(self._objects.type_of(lock)) else None
        except Unreadable:
            return None

    def is_lock(self, kind: TypeFacts) -> bool:
        """Whether it is the type of locks, or of those that their owner may take again."""
        return kind.name in _LOCKS

    def handle(self, lock: int) -> int | None:
        """What tells a lock object from all others; None where there is no lock object."""
        lay = self._objects.layout
        if not self.is_lock(self._objects.type_of(lock)):
            return None
        if lay.pair < (3, 14):
            return self._memory.word(lock + lay.lock_handle)
        return lock + lay.lock_handle

    def inside(self, held: int) -> int | None:
        """The handle of what one holds who is in the ``with`` block of that object: a lock, or the
        one of a condition.
        """
        kind = self._objects.type_of(held)
        if kind.name == "Condition":
            lock = self._objects.attributes(held, {"_lock"}).get("_lock")
            return None if lock is None else self.handle(lock)
        return self.handle(held)

    def owner(self, lock: int) -> int | None:
        """The pthread id of who holds an RLock, or imports what a module's lock is for; 0: nobody;
        None: it is another kind of lock.
        """
        lay = self._objects.layout
        kind = self._objects.type_of(lock)
        if kind.name == OF_MODULES:
            return self._importer(lock)
        if kind.name != "_thread.RLock":
            return None
        return self._memory.word(lock + lay.lock_owner)

    def _importer(self, lock: int) -> int:
        owner = self._objects.attributes(lock, {"owner"}).get("owner", 0)
        named = bool(owner) and self._objects.type_of(owner).name == "int"
        return self._objects.integer(owner) if named else 0
