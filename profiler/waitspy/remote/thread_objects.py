"""The objects that ``threading`` keeps of an interpreter's threads."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from waitspy.remote.anchors import InterpreterState
from waitspy.remote.memory import Unreadable
from waitspy.remote.runtime import Thread

_MOST = 10_000


def active(interp: InterpreterState) -> list[tuple[int, int]]:
    """The pthread id, as a Python number, and the object of each thread that was started.

    Raises:
        Unreadable: something changed while it was read.
    """
    threads = interp.attribute_of("threading", "_active")  # None: it is not imported
    return interp.objects.dict_items(threads, _MOST) if threads else []


class ThreadObjects:
    """Tells whose objects they are; of each object that is read once.

    Raises:
        Unreadable: from every method.
        OSError: from every method.
    """

    def __init__(self, interp: InterpreterState) -> None:
        self._interp = interp
        self._tids: dict[tuple[int, int], int] = {}

    def of(self, threads: Iterable[Thread]) -> list[tuple[int, int]]:
        """The object and the id of those of these threads that have both."""
        by_ident = {thread.ident: thread.tid for thread in threads if thread.tid is not None}
        tids = set(by_ident.values())
        before, self._tids = self._tids, {}
        found = []
        for pair in active(self._interp):
            tid = before.get(pair)
            if tid is None or tid not in tids:
                with suppress(Unreadable):  # it is ending
                    tid = by_ident.get(self._interp.objects.integer(pair[0]))
            if tid is not None and tid in tids:
                self._tids[pair] = tid
                found.append((pair[1], tid))
        return found
