"""The ``requests`` oracle: connections whose client has spoken last, accepted or not yet.

Whatever a server is written in, the kernel knows of each connection when something last came and
went. A client that has sent something after the server's last byte waits for an answer. That is a
number with an age, no fault: a long poll looks the same. Of a connection that nobody has accepted,
it is how long it has waited for that. One question serves all workers of a network namespace, and
one of them tells of it.
"""

from __future__ import annotations

import ipaddress
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from msgspec import structs

from waitspy.kernel import procfs
from waitspy.kernel.sockdiag import Connection, SockDiag
from waitspy.model.clock import NS
from waitspy.model.oracle_names import REQUESTS
from waitspy.oracles import NEVER_NS, Watched
from waitspy.recording.requests import RequestRow
from waitspy.recording.rows import RowType

_LOOK_NS = NS // 4
_CLOSE_NS = NS // 20  # while some wait to be accepted: when they are is seen that exactly
_SHARE = 0.01  # of one core at the most for the looks at one namespace
_SAME_NS = 20_000_000  # the kernel tells ages by a coarse clock: so close, it is the same moment
_MS = 1_000_000
_ANY_PORT = 1  # to see whether the kernel answers; what came in there does not matter


@dataclass(slots=True)
class _Ports:
    """The ports of the workers of one network namespace, what was last told of each, and when it
    was last seen to be so.

    ``addresses`` are those that a port listens on, None for all of them. A port is kept when its
    socket is closed: what has come in by it may still wait. ``outside`` has, by port, since when
    (nanoseconds) each connection has waited to be accepted that was seen to do so for long.
    """

    number: int
    diag: SockDiag
    workers: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    addresses: dict[int, set[str] | None] = field(default_factory=dict)
    told: dict[int, RequestRow] = field(default_factory=dict)
    looked_ns: dict[int, int] = field(default_factory=dict)
    outside: dict[int, dict[str, int]] = field(default_factory=dict)
    teller: int | None = None
    next_ns: int = 0


class RequestsOracle:
    """Counts what the listening ports of all workers owe; late is what waits ``min_stall_ns``."""

    name: ClassVar[str] = REQUESTS
    rows: ClassVar[RowType] = RequestRow

    def __init__(self, min_stall_ns: int) -> None:
        self._min_stall_ns = min_stall_ns
        self._ports: dict[int, _Ports] = {}

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why the connections of that process cannot be seen."""
        if watched.listening is None:
            return "its listening sockets are not known"
        try:
            number = procfs.namespace(watched.pid, "net")
            if number is None:
                return "its network namespace is not known"
            if number not in self._ports:
                self._ports[number] = _Ports(number, _asked(watched.pid))
        except ProcessLookupError:
            return "the process is gone"
        except OSError as error:
            return f"sock_diag in its network namespace: {error.strerror or error}"
        self._ports[number].workers.add(watched.pid)
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[RequestRow]:
        """A row for each port on which more or less is owed than before, or for another time."""
        ports = self._of(watched.pid)
        if ports is None:
            watched.rests_until_ns = NEVER_NS
            return
        if watched.listening and not watched.listening <= ports.names:
            _learn(ports, watched.listening - ports.names)
        if ports.teller is None:
            ports.teller = watched.pid
        watched.rests_until_ns = ports.next_ns
        if ports.teller == watched.pid:
            watched.idles_until_ns = ports.next_ns
        else:
            watched.rests_until_ns += _LOOK_NS  # then it may have become the teller
        if ports.teller != watched.pid or now_ns < ports.next_ns:
            return
        began_ns = time.thread_time_ns()
        try:
            arrived = ports.diag.arrived(ports.addresses.keys())
        except (OSError, struct.error):
            arrived = {}
        for port in ports.addresses:
            row = self._look(ports, port, arrived.get(port), now_ns)
            before = ports.told.get(port)
            if before is None or _differs(before, row):
                ports.told[port] = row
                until_ns = None if before is None else ports.looked_ns.get(port)
                yield structs.replace(row, before_until_ns=until_ns)
            ports.looked_ns[port] = now_ns
        spent_ns = time.thread_time_ns() - began_ns
        pause_ns = _CLOSE_NS if any(ports.outside.values()) else _LOOK_NS
        ports.next_ns = now_ns + max(pause_ns, int(spent_ns / _SHARE))
        watched.rests_until_ns = ports.next_ns

    def detach(self, watched: Watched) -> None:
        """Forgets that worker; another one tells everything anew if this one has told it."""
        ports = self._of(watched.pid)
        if ports is None:
            return
        ports.workers.discard(watched.pid)
        if ports.teller == watched.pid:
            ports.teller = None
            ports.told.clear()
            ports.looked_ns.clear()
            ports.outside.clear()
        if not ports.workers:
            del self._ports[ports.number]
            ports.diag.close()

    def _of(self, pid: int) -> _Ports | None:
        return next((ports for ports in self._ports.values() if pid in ports.workers), None)

    def _look(
        self, ports: _Ports, port: int, found: Sequence[Connection] | None, now_ns: int
    ) -> RequestRow:
        """What is owed on a port, given the connections that came in by it, None if not known."""
        addresses = ports.addresses[port]
        before = ports.outside.pop(port, {})
        if found is None:
            return RequestRow(now_ns, port, None, None, None)
        if addresses is not None:
            found = [one for one in found if one.local in addresses]
        outside = self._outside(found, now_ns)
        ports.outside[port] = outside
        of_queue = _queue_told(before, outside)
        owed = [(one.received_ago_ms, is_owed(one)) for one in found if one.is_accepted]
        if any(owes is None for _, owes in owed):
            return RequestRow(now_ns, port, None, None, None, *of_queue)
        ages_ns = [age_ms * _MS for age_ms, owes in owed if owes]
        late = sum(age_ns >= self._min_stall_ns for age_ns in ages_ns)
        since_ns = max(0, now_ns - max(ages_ns)) if ages_ns else None
        return RequestRow(now_ns, port, len(ages_ns), late, since_ns, *of_queue)

    def _outside(self, found: Iterable[Connection], now_ns: int) -> dict[str, int]:
        """Since when each has waited that nobody has accepted for so long, by its client."""
        waiting = (one for one in found if one.is_whole and not one.is_accepted)
        since_ns = {one.peer: max(0, now_ns - one.received_ago_ms * _MS) for one in waiting}
        return {peer: ns for peer, ns in since_ns.items() if now_ns - ns >= self._min_stall_ns}


def _queue_told(
    before: Mapping[str, int], outside: Mapping[str, int]
) -> tuple[int, int | None, int | None, int, int | None]:
    """What a row says of who waits to be accepted, and of who has done so since the last look."""
    let_in = [ns for peer, ns in before.items() if peer not in outside]
    still = list(outside.values())
    return len(still), min(still, default=None), _mean(still), len(let_in), _mean(let_in)


def _mean(some: Sequence[int]) -> int | None:
    return sum(some) // len(some) if some else None


def is_owed(connection: Connection) -> bool | None:
    """Whether the client has spoken last; None where that cannot be known.

    In one tick of the kernel's clock, a short answer and the next request look like a request and
    its quick answer: then it is owed for sure only if nobody has read it.
    """
    if not connection.received_bytes:
        return False
    if connection.sent_bytes == 0:
        return True
    if connection.received_ago_ms != connection.sent_ago_ms:
        return connection.received_ago_ms < connection.sent_ago_ms
    if connection.unread_bytes:
        return True
    return None if connection.sent_bytes is None else False


def _asked(pid: int) -> SockDiag:
    """A SockDiag that has answered once; OSError where it does not."""
    diag = SockDiag(pid)
    try:
        diag.arrived([_ANY_PORT])
    except OSError:
        diag.close()
        raise
    return diag


def _learn(ports: _Ports, names: Iterable[str]) -> None:
    """Adds the TCP sockets among these names."""
    for name in names:
        ports.names.add(name)
        address, _, port = name.rpartition(":")
        try:
            ip = ipaddress.ip_address(address.strip("[]"))
        except ValueError:  # the path of a unix socket
            continue
        known = ports.addresses.setdefault(int(port), set())
        if ip.is_unspecified:
            ports.addresses[int(port)] = None
        elif known is not None:
            known.add(str(ip))


def _differs(before: RequestRow, row: RequestRow) -> bool:
    if (before.owed, before.late, before.outside) != (row.owed, row.late, row.outside):
        return True
    if row.let_in:
        return True
    if before.since_ns is None or row.since_ns is None:
        return before.since_ns != row.since_ns
    return abs(before.since_ns - row.since_ns) > _SAME_NS
