"""The ``datagrams`` oracle: what lies unread in sockets for datagrams that threads read themselves.

The kernel lists those sockets of a network namespace at once (UDP, and those of the unix family
that have a name), so one question serves all workers in it, and one of them asks it; it is asked
rarely while no worker has any. Sockets with a peer are left out, and those to which the system
gave a port when something was sent: these are of clients. What an event loop watches is that
loop's. Who reads from a socket is looked up while something lies in it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from waitspy.kernel import datagram_counts, nettable, pipe_fds
from waitspy.kernel.sockdiag import DatagramSocket, SockDiag
from waitspy.model.clock import NS
from waitspy.model.listeners import port_of
from waitspy.model.oracle_names import DATAGRAMS
from waitspy.oracles import Watched
from waitspy.oracles.namespaces import Namespace, entered, opened, sockets_of
from waitspy.oracles.reading import TRANSIENT, reader_of
from waitspy.recording.datagrams import (
    DatagramRow,
    DatagramsClosed,
    DatagramsFound,
    DatagramsLooked,
    DatagramsUnread,
)
from waitspy.recording.rows import RowType
from waitspy.remote.end_users import Receiver
from waitspy.remote.memory import Unavailable

_NEW_NS = NS  # while no worker has any, for new ones
_LOOK_NS = NS  # between two looks for who reads
_SHARE = 0.01  # of one core at the most for the looks at one namespace
_PORTS_OF_CLIENTS = "/proc/sys/net/ipv4/ip_local_port_range"
_USUAL_PORTS = range(32_768, 61_000)
_ANYWHERE = ("0.0.0.0:", "[::]:")

_Told = tuple[int, int | None, int | None]


@dataclass(slots=True)
class _Sockets(Namespace[DatagramSocket]):
    """``taken`` is how many datagrams were read in all of it so far, while something is unread."""

    taken: int | None = None


@dataclass(slots=True)
class _WatchedSockets:
    """Those of one process, with their descriptors; ``looped`` are those that an epoll watches.

    ``since_ns`` is since when something is unread in each.
    """

    watched: Watched
    namespace: _Sockets
    seen_ns: int = 0
    known: frozenset[int] = frozenset()
    fds: dict[int, int] = field(default_factory=dict)
    told: dict[int, _Told] = field(default_factory=dict)
    since_ns: dict[int, int] = field(default_factory=dict)
    looped: set[int] = field(default_factory=set)
    next_scan_ns: int = 0
    next_look_ns: dict[int, int] = field(default_factory=dict)


class DatagramsOracle:
    """Watches the sockets for datagrams of all workers: every ``onset_ns`` while nothing is unread,
    and closer while something is.
    """

    name: ClassVar[str] = DATAGRAMS
    rows: ClassVar[RowType] = DatagramRow

    def __init__(self, onset_ns: int) -> None:
        self._onset_ns = onset_ns
        self._processes: dict[int, _WatchedSockets] = {}
        self._namespaces: dict[int, _Sockets] = {}
        self._ports = _ports_of_clients()

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why the sockets of that process cannot be seen."""
        begin = partial(self._begun, watched.pid)
        namespace = entered(watched.pid, self._namespaces, begin)
        if isinstance(namespace, str):
            return namespace
        self._processes[watched.pid] = _WatchedSockets(watched, namespace)
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[DatagramRow]:
        """Rows for sockets that appeared or closed, for what is unread, and for who reads."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        namespace = process.namespace
        try:
            if now_ns != namespace.at_ns and now_ns >= namespace.next_ns:
                self._refresh(namespace, watched.pid, now_ns)
            if process.known != namespace.known and now_ns >= process.next_scan_ns:
                yield from self._rescan(process, now_ns)
        except (OSError, struct.error):  # the process is ending
            return
        if namespace.at_ns != process.seen_ns or process.since_ns:
            process.seen_ns = namespace.at_ns
            for inode in process.fds:
                found = namespace.sockets.get(inode)
                if found is not None and inode not in process.looped:
                    yield from self._unread(process, found, now_ns)
        watched.rests_until_ns = watched.idles_until_ns = namespace.rests_until_ns(
            watched.pid, process.known, process.next_scan_ns
        )

    def detach(self, watched: Watched) -> None:
        """Forgets that worker."""
        process = self._processes.pop(watched.pid, None)
        if process is None:
            return
        namespace = process.namespace
        namespace.tell_no_more(watched.pid, process.fds)
        if all(one.namespace is not namespace for one in self._processes.values()):
            del self._namespaces[namespace.number]
            namespace.close()

    def _begun(self, pid: int, number: int) -> _Sockets:
        namespace = _Sockets(number, opened(pid, SockDiag.datagram_sockets))
        self._refresh(namespace, pid, 0)
        return namespace

    def _refresh(self, namespace: _Sockets, pid: int, now_ns: int) -> None:
        began_ns = time.thread_time_ns()
        found = namespace.diag.datagram_sockets() if namespace.diag else _from_table(pid)
        mine = (one for one in found if not self._is_of_a_client(one.name))
        namespace.note(mine, pid, now_ns)
        here = [one for one in self._processes.values() if one.namespace is namespace]
        unread = {inode for inode, one in namespace.sockets.items() if one.unread_bytes}
        pause_ns = self._onset_ns if any(one.fds for one in here) else _NEW_NS
        for process in here:
            waits = not unread.isdisjoint(process.fds.keys() - process.looped)
            if waits:
                pause_ns = 0
            news = waits or process.since_ns or process.known != namespace.known
            process.watched.called |= bool(news) and process.watched.pid != pid
        namespace.taken = None if pause_ns else datagram_counts.read_so_far(pid)
        spent_ns = time.thread_time_ns() - began_ns
        namespace.next_ns = now_ns + max(pause_ns, int(spent_ns / _SHARE))

    def _is_of_a_client(self, name: str) -> bool:
        """Whether it has no address, and a port as the system gives it to who sends something."""
        return name.startswith(_ANYWHERE) and (port_of(name) or 0) in self._ports

    def _rescan(self, process: _WatchedSockets, now_ns: int) -> Iterator[DatagramRow]:
        began_ns = time.thread_time_ns()
        watched, namespace = process.watched, process.namespace
        mine = sockets_of(watched.pid).items()
        held = {inode: fd for fd, inode in mine if inode in namespace.sockets}
        process.known = namespace.known
        process.next_scan_ns = now_ns + int(
            (time.thread_time_ns() - began_ns) / watched.routine_share
        )
        gone = process.fds.keys() - held.keys()
        namespace.tell_no_more(watched.pid, gone)
        for inode in gone:
            process.told.pop(inode, None)
            process.since_ns.pop(inode, None)
            process.next_look_ns.pop(inode, None)
            process.looped.discard(inode)
            yield DatagramsClosed(now_ns, inode)
        for inode in held.keys() - process.fds.keys():
            yield DatagramsFound(now_ns, inode, namespace.sockets[inode].name, held[inode])
            if any(pipe_fds.watching(watched.pid, held[inode])):
                process.looped.add(inode)
                yield DatagramsLooked(now_ns, inode, in_loop=True)
        if held and not process.fds:
            namespace.ask_soon(watched.pid, now_ns + self._onset_ns)
        process.fds = held

    def _unread(
        self, process: _WatchedSockets, found: DatagramSocket, now_ns: int
    ) -> Iterator[DatagramRow]:
        inode, at_ns, size = found.inode, process.namespace.at_ns, found.unread_bytes
        is_counted = size and port_of(found.name) is not None
        state = size, found.dropped, process.namespace.taken if is_counted else None
        teller = process.namespace.teller.setdefault(inode, process.watched.pid)
        if teller == process.watched.pid and process.told.get(inode) != state:
            process.told[inode] = state
            yield DatagramsUnread(at_ns, inode, *state)
        if not size:
            process.since_ns.pop(inode, None)
            return
        since_ns = process.since_ns.setdefault(inode, at_ns)
        if now_ns >= max(since_ns + self._onset_ns, process.next_look_ns.get(inode, 0)):
            began_ns = time.thread_time_ns()
            yield self._look(process, inode, now_ns)
            spent_ns = time.thread_time_ns() - began_ns
            pause_ns = int(spent_ns / process.watched.routine_share)
            process.next_look_ns[inode] = now_ns + max(_LOOK_NS, pause_ns)

    def _look(self, process: _WatchedSockets, inode: int, now_ns: int) -> DatagramsLooked:
        """Who reads from a socket in which something lies."""
        watched, fd = process.watched, process.fds[inode]
        found: list[Receiver] = []
        with suppress(*TRANSIENT, OSError, Unavailable, ValueError):  # ending, or it changes
            if any(pipe_fds.watching(watched.pid, fd)):
                process.looped.add(inode)
                process.since_ns.pop(inode, None)
                return DatagramsLooked(now_ns, inode, in_loop=True)
            reader = reader_of(watched)
            if not isinstance(reader, str):
                found = reader.ends.receiving(fd)
        reading = [one for one in found if not one.asks]
        readers = tuple((one.tid, frame) for one in reading for frame in one.frames)
        if readers:
            watched.onset = True
            watched.suspects |= {tid for tid, _ in readers}
        asking = tuple(one.tid for one in found if one.asks)
        return DatagramsLooked(now_ns, inode, False, readers, asking)


def _from_table(pid: int) -> tuple[DatagramSocket, ...]:
    """UDP only: the table of unix sockets says nothing of what is unread."""
    rows = nettable.without_peer(pid)
    return tuple(DatagramSocket(row.inode, row.local_text, row.rx_queue) for row in rows)


def _ports_of_clients() -> range:
    """The ports that the system gives to who has not asked for one."""
    with suppress(OSError, ValueError):
        with open(_PORTS_OF_CLIENTS, "rb") as f:
            first, last = map(int, f.read().split())
        return range(first, last + 1)
    return _USUAL_PORTS
