"""Episodes of sockets for datagrams: something lay unread while all who read did other things.

Who reads is known from the calls of threads, and from looks at what their variables and code are.
That nobody has read for a while is proven twice: the threads stood still in other calls, or the
kernel's count of datagrams that were read, by whomever and from whichever socket, stood still. How
many datagrams lie there nobody knows, nor since when each of them does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from msgspec import structs

from waitspy.judge.episode import Item, Starvation
from waitspy.judge.listeners import (
    Done,
    held_by_fd,
    in_calls,
    is_blocked,
    may_accept,
    stood_still,
)
from waitspy.judge.spans import Span, common, inside, length_ns, union, without
from waitspy.judge.thread_time import cut
from waitspy.model import syscalls
from waitspy.model.activities import NO_ACTIVITIES, Activity
from waitspy.model.clock import NS
from waitspy.model.datagrams import DatagramEvent
from waitspy.model.judged import UnreadDatagrams
from waitspy.model.kinds import ACCEPT_BACKLOG, Verdict
from waitspy.model.oracle_names import DATAGRAMS, THREADS
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import WorkerRecord
from waitspy.model.waits import WaitKind

_READS = frozenset({"read", "readv", "recvfrom", "recvmmsg", "recvmsg"})
_LOOKS_APART_NS = 60_000_000  # a read may have been so much earlier than it is seen
_UNREAD_NS = NS


@dataclass(frozen=True, slots=True)
class DatagramQueue:
    """A socket for datagrams that is no event loop's: who reads from it, and what lay in it.

    ``rows`` say so in time order, the last one at the end. ``of_client`` says that whoever reads is
    known to have asked for something before.
    """

    name: str
    readers: tuple[ThreadKey, ...]
    rows: tuple[DatagramEvent, ...]
    of_client: bool

    @property
    def unread(self) -> list[Span]:
        """When something lay in it."""
        return union(
            (row.at_ns, after.at_ns)
            for row, after in pairwise(self.rows)
            if row.unread and row.at_ns < after.at_ns
        )

    @property
    def untaken(self) -> list[Span]:
        """When nobody in its network has read any datagram, as far as that is known."""
        found = []
        for row, after in pairwise(self.rows):
            end_ns = after.at_ns
            if row.taken is None:
                continue
            if after.taken != row.taken:
                end_ns = max(row.at_ns, end_ns - _LOOKS_APART_NS)
            found.append((row.at_ns, end_ns))
        return union(found)

    @property
    def shorter_ns(self) -> list[int]:
        """When it was seen that something was read from it."""
        return [
            after.at_ns
            for row, after in pairwise(self.rows)
            if (row.unread or 0) > (after.unread or 0)
        ]

    @property
    def never_shorter(self) -> list[Span]:
        """When it was not seen to become less; without times at which some found no room, as what
        is read makes room for the next one then, and those at which somebody has read something.
        """
        found: list[Span] = []
        first = self.rows[0]
        for row, after in pairwise(self.rows):
            is_read = None not in {row.taken, after.taken} and row.taken != after.taken
            is_less = (row.unread or 0) > (after.unread or 0)
            if is_less or is_read or row.dropped != after.dropped:
                found.append((first.at_ns, after.at_ns - _LOOKS_APART_NS))
                first = after
        found.append((first.at_ns, self.rows[-1].at_ns))
        return [span for span in found if span[0] < span[1]]

    @property
    def dropped(self) -> int:
        """How many datagrams found no room in it, as far as is known."""
        counts = [row.dropped for row in self.rows if row.dropped is not None]
        return max(0, counts[-1] - counts[0]) if counts else 0


@dataclass(frozen=True, slots=True)
class _HeldQueue:
    """A socket in one of the processes that hold it: what was told of it there."""

    worker: WorkerRecord
    events: Sequence[DatagramEvent]

    @property
    def pid(self) -> int:
        return self.worker.worker.pid

    @property
    def frames(self) -> set[tuple[int, int]]:
        """The threads that read from it, with the frames that do."""
        return {reader for event in self.events for reader in event.readers}


def find(workers: Sequence[WorkerRecord], arch: str, end_ns: int) -> list[DatagramQueue]:
    """The sockets for datagrams of these workers in which something was seen to lie for a while."""
    held: dict[int, list[_HeldQueue]] = {}
    for worker in workers:
        events: dict[int, list[DatagramEvent]] = {}
        for event in worker.datagrams:
            events.setdefault(event.inode, []).append(event)
        for inode, mine in events.items():
            held.setdefault(inode, []).append(_HeldQueue(worker, mine))
    calls = list(syscalls.numbers(_READS, arch))
    found = (_queue(inode, some, calls, end_ns) for inode, some in sorted(held.items()))
    return [queue for queue in found if queue is not None]


def _queue(
    inode: int, held: Sequence[_HeldQueue], calls: Sequence[int], end_ns: int
) -> DatagramQueue | None:
    events = sorted((e for one in held for e in one.events), key=lambda event: event.at_ns)
    name = next((event.name for event in events if event.name is not None), None)
    looked = [event for event in events if event.looked]
    if name is None or not looked or any(event.in_loop for event in looked):
        return None
    readers: set[ThreadKey] = set()
    asking: set[ThreadKey] = set()
    gone_ns = 0
    for one in held:
        worker = one.worker
        gone_ns = max(gone_ns, end_ns if worker.gone_ns is None else worker.gone_ns)
        by_fd = list(held_by_fd(one.events, inode))
        tids = {tid for tid in worker.states if in_calls(worker.states[tid], calls, by_fd)}
        tids |= _known_by_frames(one, held)
        readers |= {worker.thread(tid) for tid in tids}
        asking |= {worker.thread(tid) for event in one.events for tid in event.asking}
    told = [event for event in events if event.unread is not None or event.closed]
    last_ns = min(end_ns, gone_ns)
    told = [event for event in told if event.at_ns <= last_ns]
    if not told:
        return None
    told.append(structs.replace(told[-1], at_ns=last_ns, unread=0))
    readers -= asking
    return DatagramQueue(name, tuple(sorted(readers)), tuple(told), bool(asking) and not readers)


def _known_by_frames(mine: _HeldQueue, every: Sequence[_HeldQueue]) -> set[int]:
    """The threads of a process whose own code reads from it.

    A frame that the process which it was forked from has as well, or one that it has forked, may
    be that one's: who of them reads is not known.
    """
    me = mine.worker.worker
    kin = (one for one in every if one.pid == me.ppid or one.worker.worker.ppid == me.pid)
    theirs = {frame for one in kin for _, frame in one.frames}
    return {tid for tid, frame in mine.frames if frame not in theirs and tid in mine.worker.states}


def seen(workers: Sequence[WorkerRecord]) -> int:
    """How many sockets for datagrams were watched that are no event loop's, as far as is known."""
    events = [event for worker in workers for event in worker.datagrams]
    in_loops = {event.inode for event in events if event.in_loop}
    return len({event.inode for event in events if event.name is not None} - in_loops)


def unread(queues: Sequence[DatagramQueue]) -> tuple[UnreadDatagrams, ...]:
    """Those from which nothing was read for a second and more while something lay in them, whoever
    it is that should have; and those in which more found no room.
    """
    found = []
    for queue in queues:
        if queue.of_client:
            continue
        known = [] if _is_of_unix(queue.name) else union([*queue.untaken, *queue.never_shorter])
        spans = common(queue.unread, known)
        longest_ns = max((end_ns - start_ns for start_ns, end_ns in spans), default=0)
        dropped = queue.dropped
        if dropped or longest_ns >= _UNREAD_NS:
            longest_s = longest_ns / NS if longest_ns >= _UNREAD_NS else None
            found.append(UnreadDatagrams(socket_name(queue.name), longest_s, dropped))
    return tuple(sorted(found, key=lambda one: (-(one.longest_s or 0.0), one.socket)))


def _is_of_unix(name: str) -> bool:
    return name.startswith(("/", "@"))


def socket_name(name: str) -> str:
    """What such a socket is called: ``UDP 127.0.0.1:53``, or its path."""
    return name if _is_of_unix(name) else f"UDP {name}"


def starvations(
    queue: DatagramQueue,
    workers: Sequence[WorkerRecord],
    done: Done,
    end_ns: int,
    min_stall_ns: int,
) -> Iterator[Starvation]:
    """The episodes of one socket: all who read from it were blocked, or at work with what they had
    read before.
    """
    owners = {worker.thread(tid): worker for worker in workers for tid in worker.states}
    if not queue.readers:
        return
    stood = reduce(
        common,
        (
            stood_still(owners[key], key.tid, done.get(key, NO_ACTIVITIES), end_ns, {})
            for key in queue.readers
        ),
    )
    # spans that touch are not joined: in between a thread may have read
    read_ns = queue.shorter_ns
    pieces = [piece for span in stood for piece in _between(span, read_ns)]
    stood = [(a, b - 1) for a, b in pieces if a < b - 1]
    idle = union(span for key in queue.readers for span in _idle(done, key))
    unseen = union(gap for key in queue.readers for gap in owners[key].gaps)
    untaken = [piece for span in queue.untaken for piece in without(span, union([*idle, *unseen]))]
    for start_ns, until_ns in common(queue.unread, union([*stood, *untaken])):
        if until_ns - start_ns < min_stall_ns:
            continue
        guilty = {
            key: spent
            for key in queue.readers
            if (spent := cut(done.get(key, NO_ACTIVITIES), start_ns, until_ns))
        }
        verdict = _verdict(guilty, (start_ns, until_ns), untaken)
        if verdict is None:
            continue
        what = "at work" if verdict == "late" else "blocked"
        name = socket_name(queue.name)
        pid, tid, process = min(guilty)
        yield Starvation(
            kind=ACCEPT_BACKLOG,
            verdict=verdict,
            pid=pid,
            tid=tid,
            process=process,
            place=name,
            start_ns=start_ns,
            end_ns=until_ns,
            held_by=guilty,
            base=None,
            evidence=(DATAGRAMS, THREADS),
            items=(unread_item(queue, (start_ns, until_ns)),),
            detail=f"datagrams on {name}: {who_reads(queue.readers)} {what}",
        )


def unread_item(queue: DatagramQueue, span: Span) -> Item:
    """What lay there, however much it was."""
    return Item("io", f"datagrams unread on {socket_name(queue.name)}", None, *span)


def who_reads(readers: Sequence[ThreadKey]) -> str:
    """As in "all 2 threads that read them"."""
    many = len(readers)
    return f"all {many} threads that read them" if many > 1 else "the only thread that reads them"


def _between(span: Span, read_ns: Sequence[int]) -> Iterator[Span]:
    """The parts of a span between times at which something was read: by whom is not known."""
    start_ns, end_ns = span
    for at_ns in inside(read_ns, (start_ns, end_ns - _LOOKS_APART_NS)):
        yield start_ns, max(start_ns, at_ns - _LOOKS_APART_NS)
        start_ns = at_ns
    yield start_ns, end_ns


def _idle(done: Done, key: ThreadKey) -> list[Span]:
    """When a thread waited for something to come: why it did not take this is not known."""
    mine = done.get(key, NO_ACTIVITIES)
    waits = mine.of_kind(may_accept)
    return list(zip(mine.start_ns[waits].tolist(), mine.end_ns[waits].tolist(), strict=True))


def _verdict(
    guilty: Mapping[ThreadKey, Sequence[Activity]], span: Span, untaken: Sequence[Span]
) -> Verdict | None:
    """Late where they were at work with what they had read before; None where that is not known."""
    if is_blocked(guilty):
        return "starving"
    spent = [a for mine in guilty.values() for a in mine]
    busy = sum(a.end_ns - a.start_ns for a in spent if a.wait.kind is not WaitKind.UNKNOWN)
    long = sum(a.end_ns - a.start_ns for a in spent)
    is_proven = length_ns(common([span], untaken)) * 2 >= span[1] - span[0]
    return "late" if spent and is_proven and busy * 2 >= long else None
