"""The ``backlog`` oracle: connections that wait in listening sockets to be accepted.

The kernel lists the listening sockets of a network namespace at once (TCP and unix), so one
question serves all workers in it, and one of them asks it; the others are called when there is
something to see. A socket that several workers share is told of in the stream of one of them. While
connections wait, it is looked up whether a worker holds any that it has accepted: this tells those
that accept from those that only inherited the descriptor.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from waitspy.kernel import nettable, procfs
from waitspy.kernel.sockdiag import Listening, SockDiag
from waitspy.model.clock import NS
from waitspy.model.listeners import port_of
from waitspy.model.oracle_names import BACKLOG
from waitspy.oracles import Watched, inspector_sockets
from waitspy.recording.listeners import (
    ListenerAccepted,
    ListenerClosed,
    ListenerFound,
    ListenerRow,
    ListenerWaiting,
)
from waitspy.recording.rows import RowType

_LOOK_NS = NS
_NEW_NS = NS // 2  # while no worker has any, for new ones
_TURN_NS = NS // 4  # when who asks does not, as its process has ended, another one does
_SHARE = 0.01  # of one core at the most for the looks at one namespace, and at one worker


@dataclass(slots=True)
class _Namespace:
    """The listening sockets of one network namespace as of ``at_ns``, by inode."""

    number: int
    diag: SockDiag | None
    at_ns: int = 0
    next_ns: int = 0
    listening: dict[int, Listening] = field(default_factory=dict)
    known: frozenset[int] = frozenset()
    teller: dict[int, int] = field(default_factory=dict)
    asker: int | None = None


@dataclass(slots=True)
class _WatchedListeners:
    """``aside`` are sockets that no client of the server connects to; ``seen_ns`` is what was last
    looked at of the namespace, as of when.
    """

    watched: Watched
    namespace: _Namespace
    seen_ns: int = 0
    known: frozenset[int] = frozenset()
    fds: dict[int, int] = field(default_factory=dict)
    told: dict[int, int] = field(default_factory=dict)
    since_ns: dict[int, int] = field(default_factory=dict)
    aside: frozenset[int] = frozenset()
    next_scan_ns: int = 0
    next_look_ns: int = 0


class BacklogOracle:
    """Watches the listening sockets of all workers: every ``onset_ns`` while nothing waits, and
    closer once something has waited for so long; more rarely while they have none.
    """

    name: ClassVar[str] = BACKLOG
    rows: ClassVar[RowType] = ListenerRow

    def __init__(self, onset_ns: int) -> None:
        self._onset_ns = onset_ns
        self._processes: dict[int, _WatchedListeners] = {}
        self._namespaces: dict[int, _Namespace] = {}

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why the sockets of that process cannot be seen."""
        try:
            number = procfs.namespace(watched.pid, "net")
            if number is None:
                return "its network namespace is not known"
            procfs.fds(watched.pid)
            namespace = self._namespaces.get(number)
            if namespace is None:
                namespace = self._namespaces[number] = _Namespace(number, _diag(watched.pid))
                self._refresh(namespace, watched.pid, 0)
        except ProcessLookupError:
            return "the process is gone"
        except OSError as error:
            return f"/proc/PID/fd or its network tables: {error.strerror}"
        self._processes[watched.pid] = _WatchedListeners(watched, namespace)
        watched.listening = frozenset()
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[ListenerRow]:
        """Rows for listening sockets that appeared or closed, and for how many wait in them."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        namespace = process.namespace
        try:
            if now_ns != namespace.at_ns and now_ns >= namespace.next_ns:
                self._refresh(namespace, watched.pid, now_ns)
            if process.known != namespace.known and now_ns >= process.next_scan_ns:
                yield from self._rescan(process, watched, now_ns)
        except OSError:  # the process is ending
            return
        if namespace.at_ns == process.seen_ns and not process.since_ns:
            watched.rests_until_ns = watched.idles_until_ns = _rests_until_ns(process)
            return  # nothing new, and nothing waits
        process.seen_ns = namespace.at_ns
        for inode in process.fds:
            found = namespace.listening.get(inode)
            if found is not None:
                yield from self._waiting(process, watched, found, now_ns)
        if not process.since_ns:
            watched.rests_until_ns = _rests_until_ns(process)

    def detach(self, watched: Watched) -> None:
        """Forgets that worker; another one tells of the sockets that it shared."""
        process = self._processes.pop(watched.pid, None)
        if process is None:
            return
        namespace = process.namespace
        for inode in [inode for inode, pid in namespace.teller.items() if pid == watched.pid]:
            del namespace.teller[inode]
        if all(one.namespace is not namespace for one in self._processes.values()):
            del self._namespaces[namespace.number]
            if namespace.diag is not None:
                namespace.diag.close()

    def _refresh(self, namespace: _Namespace, pid: int, now_ns: int) -> None:
        began_ns = time.thread_time_ns()
        found = namespace.diag.listening() if namespace.diag else _from_table(pid)
        namespace.listening = {one.inode: one for one in found}
        if namespace.known != namespace.listening.keys():
            namespace.known = frozenset(namespace.listening)
        spent_ns = time.thread_time_ns() - began_ns
        here = [one for one in self._processes.values() if one.namespace is namespace]
        waiting = {one.inode for one in found if one.waiting}
        wait_ns = self._onset_ns if any(one.fds for one in here) else _NEW_NS
        for process in here:
            waits = not waiting.isdisjoint(process.fds)
            if waits:
                wait_ns = 0
            news = waits or process.since_ns or process.known != namespace.known
            process.watched.called |= bool(news) and process.watched.pid != pid
        namespace.at_ns, namespace.asker = now_ns, pid
        namespace.next_ns = now_ns + max(wait_ns, int(spent_ns / _SHARE))

    def _rescan(
        self, process: _WatchedListeners, watched: Watched, now_ns: int
    ) -> Iterator[ListenerRow]:
        began_ns = time.thread_time_ns()
        listening = process.namespace.listening
        held = {inode: fd for fd, inode in _sockets(watched.pid).items() if inode in listening}
        process.known = process.namespace.known
        if watched.worker.node is not None and held.keys() - process.fds.keys() - process.aside:
            process.aside = inspector_sockets.find(watched.pid, watched.tids - {watched.pid})
        held = {inode: fd for inode, fd in held.items() if inode not in process.aside}
        process.next_scan_ns = now_ns + int(
            (time.thread_time_ns() - began_ns) / watched.routine_share
        )
        for inode in process.fds.keys() - held.keys():
            process.told.pop(inode, None)
            process.since_ns.pop(inode, None)
            yield ListenerClosed(now_ns, inode)
        for inode in held.keys() - process.fds.keys():
            yield ListenerFound(now_ns, inode, listening[inode].name, held[inode])
        if held and not process.fds:
            process.namespace.next_ns = min(process.namespace.next_ns, now_ns + self._onset_ns)
            process.namespace.asker = watched.pid
        process.fds = held
        watched.listening = frozenset(listening[inode].name for inode in held)

    def _waiting(
        self, process: _WatchedListeners, watched: Watched, found: Listening, now_ns: int
    ) -> Iterator[ListenerRow]:
        inode = found.inode
        teller = process.namespace.teller.setdefault(inode, watched.pid)
        if teller == watched.pid and process.told.get(inode, 0) != found.waiting:
            process.told[inode] = found.waiting
            yield ListenerWaiting(process.namespace.at_ns, inode, found.waiting)
        if not found.waiting:
            process.since_ns.pop(inode, None)
            return
        since_ns = process.since_ns.setdefault(inode, now_ns)
        if now_ns >= max(since_ns + self._onset_ns, process.next_look_ns):
            watched.onset = True
            accepted = self._accepted(process, watched.pid, found, now_ns)
            yield ListenerAccepted(now_ns, inode, accepted)

    def _accepted(
        self, process: _WatchedListeners, pid: int, found: Listening, now_ns: int
    ) -> int | None:
        """How many connections that came in there the process holds; None when not known."""
        began_ns = time.thread_time_ns()
        count = None
        with suppress(OSError, ValueError):
            inodes = set(_sockets(pid).values()) - {found.inode}
            port = port_of(found.name)
            if port is not None:
                count = len(nettable.read_tcp(pid, inodes=inodes, ports=(port,)))
            else:
                rows = nettable.read_unix(pid, inodes=inodes)
                count = sum(row.path == found.name and not row.listening for row in rows)
        spent_ns = time.thread_time_ns() - began_ns
        process.next_look_ns = now_ns + max(_LOOK_NS, int(spent_ns / _SHARE))
        return count


def _rests_until_ns(process: _WatchedListeners) -> int:
    """When it is its turn to ask again, or to look for its sockets."""
    namespace = process.namespace
    asks_ns = namespace.next_ns
    if namespace.asker != process.watched.pid:
        asks_ns += _TURN_NS
    return min(asks_ns, process.next_scan_ns) if process.known != namespace.known else asks_ns


def _diag(pid: int) -> SockDiag | None:
    """None when another network namespace may not be entered, or the kernel does not answer."""
    try:
        diag = SockDiag(pid)
    except OSError:
        return None
    try:
        diag.listening()
    except OSError:
        diag.close()
        return None
    return diag


def _from_table(pid: int) -> tuple[Listening, ...]:
    """TCP only: the table of unix sockets says nothing of what waits."""
    rows = nettable.listening(pid)
    return tuple(Listening(row.inode, row.local_text, row.rx_queue) for row in rows)


def _sockets(pid: int) -> dict[int, int]:
    """The inodes of the process's sockets, by descriptor."""
    found = {}
    for fd, link in procfs.fds(pid).items():
        inode = procfs.parse_socket(link)
        if inode is not None:
            found[fd] = inode
    return found
