"""The ``backlog`` oracle: connections that wait in listening sockets to be accepted.

The kernel lists the listening sockets of a network namespace at once (TCP and unix), so one
question serves all workers in it, and one of them asks it; the others are called when there is
something to see. A socket that several workers share is told of in the stream of one of them. While
connections wait, it is looked up whether a worker holds any that it has accepted: this tells those
that accept from those that only inherited the descriptor; and, of several threads, which of them
are in code that accepts there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from waitspy.kernel import nettable
from waitspy.kernel.sockdiag import Listening, SockDiag
from waitspy.model.clock import NS
from waitspy.model.listeners import port_of
from waitspy.model.oracle_names import BACKLOG
from waitspy.oracles import Watched, inspector_sockets
from waitspy.oracles.namespaces import Namespace, entered, opened, sockets_of
from waitspy.oracles.reading import TRANSIENT, reader_of
from waitspy.recording.listeners import (
    ListenerAccepted,
    ListenerClosed,
    ListenerFound,
    ListenerRow,
    ListenerWaiting,
)
from waitspy.recording.rows import RowType
from waitspy.remote.end_users import ACCEPTS
from waitspy.remote.memory import Unavailable

_LOOK_NS = NS
_NEW_NS = NS // 2  # while no worker has any, for new ones
_SHARE = 0.01  # of one core at the most for the looks at one namespace, and at one worker


@dataclass(slots=True)
class _WatchedListeners:
    """``aside`` are sockets that no client of the server connects to; ``seen_ns`` is what was last
    looked at of the namespace, as of when.
    """

    watched: Watched
    namespace: Namespace[Listening]
    seen_ns: int = 0
    known: frozenset[int] = frozenset()
    fds: dict[int, int] = field(default_factory=dict)
    told: dict[int, int] = field(default_factory=dict)
    since_ns: dict[int, int] = field(default_factory=dict)
    aside: frozenset[int] = frozenset()
    next_scan_ns: int = 0
    next_look_ns: int = 0

    @property
    def rests_until_ns(self) -> int:
        """When it is its turn to ask again, or to look for its sockets."""
        return self.namespace.rests_until_ns(self.watched.pid, self.known, self.next_scan_ns)


class BacklogOracle:
    """Watches the listening sockets of all workers: every ``onset_ns`` while nothing waits, and
    closer once something has waited for so long; more rarely while they have none.
    """

    name: ClassVar[str] = BACKLOG
    rows: ClassVar[RowType] = ListenerRow

    def __init__(self, onset_ns: int) -> None:
        self._onset_ns = onset_ns
        self._processes: dict[int, _WatchedListeners] = {}
        self._namespaces: dict[int, Namespace[Listening]] = {}

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why the sockets of that process cannot be seen."""
        begin = partial(self._begun, watched.pid)
        namespace = entered(watched.pid, self._namespaces, begin)
        if isinstance(namespace, str):
            return namespace
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
            watched.rests_until_ns = watched.idles_until_ns = process.rests_until_ns
            return  # nothing new, and nothing waits
        process.seen_ns = namespace.at_ns
        for inode in process.fds:
            found = namespace.sockets.get(inode)
            if found is not None:
                yield from self._waiting(process, watched, found, now_ns)
        if not process.since_ns:
            watched.rests_until_ns = process.rests_until_ns

    def detach(self, watched: Watched) -> None:
        """Forgets that worker; another one tells of the sockets that it shared."""
        process = self._processes.pop(watched.pid, None)
        if process is None:
            return
        namespace = process.namespace
        namespace.tell_no_more(watched.pid, [*namespace.teller])
        if all(one.namespace is not namespace for one in self._processes.values()):
            del self._namespaces[namespace.number]
            namespace.close()

    def _begun(self, pid: int, number: int) -> Namespace[Listening]:
        namespace = Namespace[Listening](number, opened(pid, SockDiag.listening))
        self._refresh(namespace, pid, 0)
        return namespace

    def _refresh(self, namespace: Namespace[Listening], pid: int, now_ns: int) -> None:
        began_ns = time.thread_time_ns()
        found = namespace.diag.listening() if namespace.diag else _from_table(pid)
        namespace.note(found, pid, now_ns)
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
        namespace.next_ns = now_ns + max(wait_ns, int(spent_ns / _SHARE))

    def _rescan(
        self, process: _WatchedListeners, watched: Watched, now_ns: int
    ) -> Iterator[ListenerRow]:
        began_ns = time.thread_time_ns()
        listening = process.namespace.sockets
        held = {inode: fd for fd, inode in sockets_of(watched.pid).items() if inode in listening}
        process.known = process.namespace.known
        if watched.worker.node is not None and held.keys() - process.fds.keys() - process.aside:
            process.aside = inspector_sockets.find(watched.pid, watched.tids - {watched.pid})
        held = {inode: fd for inode, fd in held.items() if inode not in process.aside}
        process.next_scan_ns = now_ns + int(
            (time.thread_time_ns() - began_ns) / watched.routine_share
        )
        gone = process.fds.keys() - held.keys()
        process.namespace.tell_no_more(watched.pid, gone)
        for inode in gone:
            process.told.pop(inode, None)
            process.since_ns.pop(inode, None)
            yield ListenerClosed(now_ns, inode)
        for inode in held.keys() - process.fds.keys():
            yield ListenerFound(now_ns, inode, listening[inode].name, held[inode])
        if held and not process.fds:
            process.namespace.ask_soon(watched.pid, now_ns + self._onset_ns)
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
            began_ns = time.thread_time_ns()
            accepted = self._accepted(watched.pid, found)
            yield ListenerAccepted(now_ns, inode, accepted, _accepting(watched, process.fds[inode]))
            spent_ns = time.thread_time_ns() - began_ns
            process.next_look_ns = now_ns + max(_LOOK_NS, int(spent_ns / _SHARE))

    def _accepted(self, pid: int, found: Listening) -> int | None:
        """How many connections that came in there the process holds; None when not known."""
        count = None
        with suppress(OSError, ValueError):
            inodes = set(sockets_of(pid).values()) - {found.inode}
            port = port_of(found.name)
            if port is not None:
                count = len(nettable.read_tcp(pid, inodes=inodes, ports=(port,)))
            else:
                rows = nettable.read_unix(pid, inodes=inodes)
                count = sum(row.path == found.name and not row.listening for row in rows)
        return count


def _accepting(watched: Watched, fd: int) -> tuple[int, ...]:
    """The threads in code that accepts on a descriptor, where there are several threads."""
    if len(watched.tids) < 2 or watched.worker.node is not None:
        return ()
    with suppress(*TRANSIENT, OSError, Unavailable, ValueError):  # ending, or it changes
        reader = reader_of(watched)
        if not isinstance(reader, str):
            return tuple(one.tid for one in reader.ends.receiving(fd, names=ACCEPTS))
    return ()


def _from_table(pid: int) -> tuple[Listening, ...]:
    """TCP only: the table of unix sockets says nothing of what waits."""
    rows = nettable.listening(pid)
    return tuple(Listening(row.inode, row.local_text, row.rx_queue) for row in rows)
