"""The ``epoll`` oracle: I/O is ready and the loop has not collected it.

A duplicate of the target's epoll descriptor is polled: an epoll file is readable while it has
events that nobody has collected (epoll(7)), and asking consumes nothing. It works for any loop on
epoll: asyncio, uvloop, trio, tornado, gevent. While a wait lasts, the sockets behind it are looked
up too, so that the report can say what waits.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from waitspy.kernel import descriptors, unread_sockets
from waitspy.model.clock import NS
from waitspy.model.oracle_names import EPOLL
from waitspy.oracles import LATE_NS, NEVER_NS, Watched
from waitspy.recording.epolls import EpollClosed, EpollOpened, EpollReady, EpollRow, EpollUnread
from waitspy.recording.rows import RowType

_LOOK_NS = 100_000_000  # how often the sockets behind a wait are looked up
_LOOK_SHARE = 0.03  # of one core at the most for those look-ups
_RESCAN_NS = NS // 2


@dataclass(slots=True)
class _Epoll:
    """One epoll descriptor of the target and our duplicate of it."""

    duplicate: int
    share: int
    ready_since_ns: int | None = None
    onset_told: bool = False
    next_look_ns: int = 0


@dataclass(slots=True)
class _WatchedEpolls:
    epolls: dict[int, _Epoll] = field(default_factory=dict)
    poller: select.poll = field(default_factory=select.poll)
    next_scan_ns: int = 0
    unseen: bool = True
    sockets: unread_sockets.Sockets | None = None


class EpollOracle:
    """Watches the epoll descriptors of all workers; a wait of ``onset_ns`` is looked into."""

    name: ClassVar[str] = EPOLL
    rows: ClassVar[RowType] = EpollRow

    def __init__(self, onset_ns: int) -> None:
        self._onset_ns = onset_ns
        self._processes: dict[int, _WatchedEpolls] = {}
        self._shares = 0

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why descriptors of that process cannot be duplicated."""
        try:
            # A process without an epoll may open one later: prove the right on any descriptor.
            names = (int(name) for name in os.listdir(f"{watched.proc}/fd"))
            _prove(watched.pid, [*descriptors.epoll_fds(watched.pid), *names])
        except (FileNotFoundError, ProcessLookupError):
            return "the process is gone"
        except OSError as error:
            return f"pidfd_getfd: {error.strerror}"
        process = _WatchedEpolls(sockets=unread_sockets.Sockets(watched.pid))
        self._processes[watched.pid] = process
        watched.readiness = process.poller
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[EpollRow]:
        """Rows when an epoll appears, closes, turns ready or not, and for what waits in it."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        process.unseen = process.unseen or watched.ran
        if not (process.epolls or watched.polling) and now_ns < process.next_scan_ns:
            watched.rests_until_ns = process.next_scan_ns if process.unseen else NEVER_NS
            return
        unknown = set(watched.polling.values()) - process.epolls.keys()
        if unknown or (process.unseen and now_ns >= process.next_scan_ns):
            yield from self._rescan(watched, process, now_ns, unknown)
            process.unseen = False
        due: dict[int, _Epoll] = {}
        ready = {fd for fd, _ in process.poller.poll(0)} if process.epolls else set()
        for epfd, epoll in process.epolls.items():
            is_ready = epoll.duplicate in ready
            if is_ready != (epoll.ready_since_ns is not None):
                epoll.ready_since_ns = now_ns if is_ready else None
                epoll.onset_told = False
                epoll.next_look_ns = now_ns + self._onset_ns
                yield EpollReady(now_ns, epfd, is_ready)
            if not is_ready:
                continue
            watched.due = True  # also while polled: a thread that is woken may not get the CPU
            if epfd in watched.polling.values():  # it is being collected this very moment
                epoll.next_look_ns = now_ns + self._onset_ns
                epoll.onset_told = False
                continue
            if now_ns >= epoll.next_look_ns:
                watched.onset = watched.onset or not epoll.onset_told
                epoll.onset_told = True
                due[epfd] = epoll
        if due:
            yield from self._look(process, due, now_ns)
        watched.rests_until_ns = process.next_scan_ns if process.unseen else NEVER_NS

    def detach(self, watched: Watched) -> None:
        """Closes the duplicates of that worker."""
        process = self._processes.pop(watched.pid, None)
        if process is None:
            return
        for epoll in process.epolls.values():
            os.close(epoll.duplicate)
        if process.sockets is not None:
            process.sockets.close()

    def _rescan(
        self, watched: Watched, process: _WatchedEpolls, now_ns: int, unknown: set[int]
    ) -> Iterator[EpollRow]:
        began_ns = time.thread_time_ns()
        try:
            fds = descriptors.epoll_fds(watched.pid)
        except OSError:
            fds = ()
        for epfd, epoll in list(process.epolls.items()):
            # Our duplicate keeps a closed epoll alive and its number may be in use again.
            if epfd not in fds or not _still(watched.pid, epfd, epoll.duplicate):
                process.poller.unregister(epoll.duplicate)
                os.close(epoll.duplicate)
                del process.epolls[epfd]
                yield EpollClosed(now_ns, epfd)
        for epfd in sorted(set(fds) | unknown):
            if epfd in process.epolls:
                continue
            try:
                duplicate = descriptors.duplicate(watched.pid, epfd)
            except OSError:
                continue
            process.epolls[epfd] = _Epoll(duplicate, self._share(duplicate))
            process.poller.register(duplicate, select.POLLIN)
            yield EpollOpened(now_ns, epfd, process.epolls[epfd].share)
        spent_ns = time.thread_time_ns() - began_ns
        process.next_scan_ns = now_ns + max(_RESCAN_NS, int(spent_ns / watched.routine_share))

    def _share(self, duplicate: int) -> int:
        """The number of the open file description, given out anew when it is not known yet."""
        me = os.getpid()
        for process in self._processes.values():
            for epoll in process.epolls.values():
                if descriptors.same_file(me, duplicate, me, epoll.duplicate):
                    return epoll.share
        self._shares += 1
        return self._shares

    def _look(
        self, process: _WatchedEpolls, due: Mapping[int, _Epoll], now_ns: int
    ) -> Iterator[EpollRow]:
        """What waits there, unless we had no CPU meanwhile: of when that is nobody knows then. What
        is read late within a tick is dated by that.
        """
        assert process.sockets is not None
        began_ns, began_at_ns = time.thread_time_ns(), time.monotonic_ns()
        found = process.sockets.unread(due)
        spent_ns, read_ns = time.thread_time_ns() - began_ns, time.monotonic_ns()
        kept_ns = read_ns - began_at_ns - spent_ns
        for epoll in due.values():
            pause_ns = max(_LOOK_NS, int(spent_ns / _LOOK_SHARE))
            epoll.next_look_ns = now_ns + (pause_ns if kept_ns <= LATE_NS else 0)
        at_ns = now_ns if began_at_ns - now_ns <= LATE_NS else read_ns
        for epfd, sockets in found.items() if kept_ns <= LATE_NS else ():
            yield EpollUnread(at_ns, epfd, sockets)


def _prove(pid: int, fds: Iterable[int]) -> None:
    """Duplicates the first of these descriptors that is still open; OSError where it may not be."""
    for fd in fds:
        try:
            os.close(descriptors.duplicate(pid, fd))
        except OSError as error:
            if error.errno == errno.EBADF:  # closed meanwhile
                continue
            raise
        return


def _still(pid: int, epfd: int, duplicate: int) -> bool:
    return descriptors.same_file(os.getpid(), duplicate, pid, epfd) is not False
