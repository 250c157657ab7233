"""Who has which end of the pipes around a worker, and who cannot go on until it reads one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet

from waitspy.kernel import pipe_fds, procfs
from waitspy.target.kinship import at_or_below, lineage


class PipeEnds:
    """Which processes have an end of which pipe, as it is when this is made.

    Looked at are all that may have inherited one: those that began after the worker, and those
    that descend from its parent.

    Raises:
        OSError: the worker or a process ``below`` it may not be looked into, or has ended.
    """

    def __init__(self, worker: int, start_ticks: int, below: Collection[int]) -> None:
        self.worker = worker
        self._own = {end.fd: end for end in pipe_fds.ends(worker)}
        self._readers: dict[int, set[int]] = {}
        self._writers: dict[int, set[int]] = {}
        self._watched: dict[int, bool] = {}
        for pid in {worker, *below, *_heirs(worker, start_ticks)}:
            try:
                found = self._own.values() if pid == worker else pipe_fds.ends(pid)
            except (PermissionError, ProcessLookupError) as error:
                if pid in below and isinstance(error, PermissionError):
                    raise
                continue
            for end in found:
                if end.reads:
                    self._readers.setdefault(end.pipe, set()).add(pid)
                if end.writes:
                    self._writers.setdefault(end.pipe, set()).add(pid)

    def readers(self, pipe: int) -> AbstractSet[int]:
        """Who can read a pipe."""
        return self._readers.get(pipe, set())

    def writers_of_own(self, fd: int) -> AbstractSet[int]:
        """Who can write what the worker reads by that descriptor; nobody if that is no pipe."""
        end = self._own.get(fd)
        return set() if end is None or not end.reads else self._writers.get(end.pipe, set())

    def own_fd(self, pipe: int) -> int:
        """The worker's descriptor for reading a pipe that it can read."""
        return next(fd for fd, end in self._own.items() if end.pipe == pipe and end.reads)

    def is_watched(self, pipe: int) -> bool:
        """Whether an epoll of the worker tells it that the pipe can be read: then it will."""
        if pipe not in self._watched:
            mine = {fd for fd, end in self._own.items() if end.pipe == pipe}
            self._watched[pipe] = any(any(pipe_fds.watching(self.worker, fd)) for fd in mine)
        return self._watched[pipe]


def _heirs(worker: int, start_ticks: int) -> set[int]:
    table = {
        pid: stat
        for pid, stat in procfs.stats().items()
        if not stat.kernel_thread and not stat.zombie
    }
    parents = {pid: stat.ppid for pid, stat in table.items()}
    above = parents.get(worker, 0)
    family = {*lineage(worker, parents), *(at_or_below(above, parents) if above > 1 else ())}
    young = {pid for pid, stat in table.items() if stat.start_ticks >= start_ticks}
    return young | (family & table.keys())


def stuck(
    ends: PipeEnds, writing: Mapping[int, set[int]], collecting: Mapping[int, set[int]]
) -> dict[int, int | None]:
    """The processes that cannot go on until the worker reads a pipe: the one that a process stands
    in a write to, None for those that wait for others of these.

    ``writing`` are the pipes in a write to which processes stand, ``collecting`` the processes for
    whose end they wait.
    """
    found: dict[int, int | None] = {}
    before = -1
    while len(found) > before:
        before = len(found)
        for pid, some in writing.items():
            for pipe in sorted(some):
                readers = ends.readers(pipe) - {pid}
                if pid in found or not readers:
                    continue
                left = readers - found.keys()
                if left == {ends.worker} and not ends.is_watched(pipe):
                    found[pid] = pipe
                elif not left:
                    found[pid] = None
        for pid, wanted in collecting.items():
            if pid not in found and wanted and wanted <= found.keys():
                found[pid] = None
    return found
