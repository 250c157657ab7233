"""The ``messages`` oracle: what lies unread in connections that a process has opened itself, and
from which a thread of it reads messages: those of a broker, say.

Such a thread was seen to wait in a read of one, or to poll it, with nothing sent just before: it
has asked for nothing. Who always has more to do than it can never waits: where something lies
unread, it is the thread that has the connection in a variable. What an event loop watches is that
loop's. A process that does not run opens no connection, and none of its threads begins to read. So
only those that are known are looked at then: the kernel is asked about each by its addresses.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from waitspy.kernel import pipe_fds, procfs
from waitspy.kernel.nettable import Ends
from waitspy.kernel.sockdiag import Connection, SockDiag
from waitspy.model import syscalls
from waitspy.model.clock import NS
from waitspy.model.listeners import port_of
from waitspy.model.oracle_names import MESSAGES
from waitspy.oracles import NEVER_NS, Watched
from waitspy.oracles.allowance import Allowance
from waitspy.oracles.namespaces import sockets_of
from waitspy.oracles.reading import TRANSIENT, reader_of
from waitspy.recording.messages import (
    MessageRow,
    MessagesClosed,
    MessagesFound,
    MessagesUnread,
)
from waitspy.recording.rows import RowType
from waitspy.remote.memory import Unavailable

_FIND_NS = NS // 4
_LOOK_NS = NS // 4  # at connections from which messages are read
_CLOSE_NS = NS // 20  # while something is unread there: how long nothing comes is seen that exactly
_SEEK_NS = NS  # for new connections, and at those of which it is not known who reads
_ASKS_NS = NS // 5  # who reads so soon after something was sent waits for an answer
_LONG_AGO_NS = 10 * NS  # the same, where a thread has waited since before it was watched
_MOST = 256  # connections of one process
_TRIES = 3  # to find a socket among the connections: it may be only connecting
_MS = 1_000_000
_READS = frozenset({"read", "readv", "recvfrom", "recvmsg"})
_POLLS = frozenset({"poll", "ppoll"})


@dataclass(slots=True)
class _Opened:
    """A connection that the process has opened itself; ``tids`` are known to read messages from it.

    ``last`` is what the last look has told, at ``at_ns``; ``sought`` is whether it was looked who
    has it.
    """

    fd: int
    ends: Ends
    tids: set[int] = field(default_factory=set)
    last: Connection | None = None
    at_ns: int = 0
    sought: bool = False


@dataclass(slots=True)
class _Process:
    """``opened`` are the connections that it has opened itself, by inode; ``sought`` how often any
    socket was looked up. ``judged`` says of which wait of a thread it is known whether it is for a
    message.
    """

    watched: Watched
    diag: SockDiag
    allowance: Allowance
    first_ns: int | None = None
    ran: bool = True
    find_ns: int = 0
    seek_ns: int = 0
    next_ns: int = 0
    sought: dict[int, int] = field(default_factory=dict)
    opened: dict[int, _Opened] = field(default_factory=dict)
    judged: dict[int, int] = field(default_factory=dict)


class MessagesOracle:
    """Watches them in all workers, closer in those that have some."""

    name: ClassVar[str] = MESSAGES
    rows: ClassVar[RowType] = MessageRow

    def __init__(self) -> None:
        self._polls = syscalls.numbers(_POLLS)
        self._calls = syscalls.numbers(_READS) | self._polls
        self._processes: dict[int, _Process] = {}

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why the connections of that process cannot be seen."""
        try:
            if procfs.namespace(watched.pid, "net") is None:
                return "its network namespace is not known"
            diag = SockDiag(watched.pid)
        except ProcessLookupError:
            return "the process is gone"
        except OSError as error:
            return f"sock_diag in its network namespace: {error.strerror or error}"
        allowance = Allowance(watched.routine_share)
        self._processes[watched.pid] = _Process(watched, diag, allowance)
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[MessageRow]:
        """Rows for connections from which messages are read, and what is unread in them."""
        process = self._processes.get(watched.pid)
        if process is None:
            watched.rests_until_ns = NEVER_NS
            return
        if process.first_ns is None:
            process.first_ns = now_ns
        process.ran = process.ran or watched.ran
        with suppress(OSError, struct.error):  # it is ending
            if process.ran and now_ns >= process.find_ns:
                process.ran = False
                began_ns = time.thread_time_ns()
                if now_ns >= process.seek_ns:
                    process.seek_ns = now_ns + _SEEK_NS
                    _seek(process)
                yield from self._found(process, now_ns)
                spent_ns = time.thread_time_ns() - began_ns
                allowed_ns = process.allowance.spend(spent_ns, now_ns, watched.routine_share)
                process.find_ns = max(now_ns + _FIND_NS, allowed_ns)
            if process.opened and now_ns >= process.next_ns:
                began_ns = time.thread_time_ns()
                for inode in list(process.opened):
                    yield from _look(process, inode, now_ns)
                spent_ns = time.thread_time_ns() - began_ns
                pause_ns = max(_pause_ns(process), int(spent_ns / watched.routine_share))
                process.next_ns = now_ns + pause_ns
        watched.rests_until_ns = process.next_ns if process.opened else NEVER_NS
        watched.idles_until_ns = min(process.find_ns, watched.rests_until_ns)

    def detach(self, watched: Watched) -> None:
        """Forgets that worker."""
        process = self._processes.pop(watched.pid, None)
        if process is not None:
            process.diag.close()

    # --- who reads ------------------------------------------------------------------------

    def _found(self, process: _Process, now_ns: int) -> Iterator[MessageRow]:
        """The connections from which threads wait to read, not having asked for anything."""
        watched = process.watched
        for tid, (number, first) in watched.blocked.items():
            since_ns = watched.blocked_since_ns.get(tid, now_ns)
            if number not in self._calls or process.judged.get(tid) == since_ns:
                continue
            process.judged[tid] = since_ns
            fd = self._polled(process, tid) if number in self._polls else first
            inode = None if fd is None else _socket(watched.pid, fd)
            if inode is not None and process.sought.get(inode, 0) < _TRIES:
                _seek(process)
            one = None if inode is None else process.opened.get(inode)
            if inode is None or one is None or tid in one.tids:
                continue
            said = process.diag.connection(one.ends)
            if said is not None and self._listens(process, tid, said, now_ns):
                yield from _read_by(process, inode, {tid}, now_ns)

    def _polled(self, process: _Process, tid: int) -> int | None:
        """The one descriptor that a thread polls for input."""
        reader = reader_of(process.watched)
        call = pipe_fds.call(process.watched.pid, tid)
        if isinstance(reader, str) or call is None or call.number not in self._polls:
            return None
        with suppress(*TRANSIENT, Unavailable):
            return reader.ends.polled(call.args[0]) if call.args[1] == 1 else None
        return None

    @staticmethod
    def _listens(process: _Process, tid: int, said: Connection, now_ns: int) -> bool:
        """Whether nothing was sent just before a thread began to wait for what comes."""
        if said.sent_bytes == 0:
            return True
        since_ns = process.watched.blocked_since_ns.get(tid, now_ns)
        first_ns = process.first_ns or now_ns
        before_ns = _ASKS_NS if since_ns > first_ns else _LONG_AGO_NS
        return now_ns - said.sent_ago_ms * _MS < since_ns - before_ns


def _socket(pid: int, fd: int) -> int | None:
    with suppress(ProcessLookupError):  # closed meanwhile
        return procfs.parse_socket(procfs.link(pid, f"fd/{fd}"))
    return None


def _seek(process: _Process) -> None:
    """Looks up which of its new sockets are connections that the process has opened itself, and
    that no epoll of it watches.
    """
    pid = process.watched.pid
    fds = {inode: fd for fd, inode in sockets_of(pid).items()}
    process.sought = {inode: n for inode, n in process.sought.items() if inode in fds}
    new = {inode for inode in fds if process.sought.get(inode, 0) < _TRIES}
    every = process.diag.established() if new else {}
    process.sought.update({inode: process.sought.get(inode, 0) + 1 for inode in new})
    mine = {inode: every[inode] for inode in new if inode in every}
    process.sought.update(dict.fromkeys(mine, _TRIES))
    if not mine:
        return
    ports = {port_of(one.name) for one in process.diag.listening()}
    looped = pipe_fds.all_watched(pid)
    for inode, ends in mine.items():
        is_own = ends.local_port not in ports and fds[inode] not in looped
        if is_own and inode not in process.opened and len(process.opened) < _MOST:
            process.opened[inode] = _Opened(fds[inode], ends)


def _read_by(
    process: _Process, inode: int, tids: AbstractSet[int], now_ns: int
) -> Iterator[MessageRow]:
    """These threads read messages there, unless a loop does, as is known only now."""
    one = process.opened[inode]
    if one.fd in pipe_fds.all_watched(process.watched.pid):
        del process.opened[inode]
        return
    one.last, process.next_ns = None, now_ns
    for tid in sorted(tids - one.tids):
        one.tids.add(tid)
        yield MessagesFound(now_ns, inode, one.ends.peer_text, tid)


# --- what is unread ---------------------------------------------------------------------------


def _pause_ns(process: _Process) -> int:
    """For how long nothing there need be looked at."""
    read = [one.last for one in process.opened.values() if one.tids]
    if any(last is not None and last.unread_bytes for last in read):
        return _CLOSE_NS
    return _LOOK_NS if read else _SEEK_NS


def _look(process: _Process, inode: int, now_ns: int) -> Iterator[MessageRow]:
    one = process.opened[inode]
    said = process.diag.connection(one.ends)
    if said is None or not said.is_whole:
        del process.opened[inode]
        if one.tids:
            yield MessagesClosed(now_ns, inode)
        return
    last = one.last
    if said.unread_bytes and last is not None and last.unread_bytes and not one.sought:
        one.sought = True
        if not one.tids:
            yield from _read_by(process, inode, _having(process, one.fd), now_ns)
            last = one.last
    before_ns, one.last, one.at_ns = one.at_ns, said, now_ns
    if one.tids and (last is None or _counts(last) != _counts(said)):
        at_ns = now_ns
        if last is not None and _counts(last) == (0, _counts(said)[1]):
            at_ns = max(before_ns, now_ns - said.received_ago_ms * _MS)  # nothing was read since
        yield MessagesUnread(at_ns, inode, *_counts(said), _quiet_ns(last, said))


def _having(process: _Process, fd: int) -> AbstractSet[int]:
    """The threads that have it in a variable."""
    reader = reader_of(process.watched)
    with suppress(*TRANSIENT, Unavailable):
        return set() if isinstance(reader, str) else {one.tid for one in reader.ends.using({fd})}
    return set()


def _quiet_ns(last: Connection | None, said: Connection) -> int:
    """For how long nothing had come before what is new; zero where something was sent since then:
    that may have been asked for.
    """
    if last is None or said.received_bytes == last.received_bytes:
        return 0
    is_asked = said.sent_bytes != 0 and last.sent_ago_ms <= last.received_ago_ms
    if is_asked or said.sent_bytes != last.sent_bytes:
        return 0
    return last.received_ago_ms * _MS


def _counts(said: Connection) -> tuple[int, int]:
    """How many bytes are unread, and have been read."""
    return said.unread_bytes, max(0, said.received_bytes - said.unread_bytes)
