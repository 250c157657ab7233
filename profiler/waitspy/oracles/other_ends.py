"""Whose message a thread waits for: who has the other end of the pipe or connection it reads from.

The kernel says in which call a thread stands, on which descriptor, and what is at its other end.
Which of the watched processes has that open is in their tables of descriptors; processes that were
forked have those of others, too. Of a process with one thread, this one has to answer. Else it is
the thread with a variable of its own that leads to that descriptor, or the one that runs the loop
which watches it: that is a hint. What nobody is known to answer, is not told.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from waitspy.kernel import pipe_fds, procfs
from waitspy.model import syscalls
from waitspy.model.clock import NS
from waitspy.model.wait_for import Held, Holder, WaitEdge
from waitspy.oracles import Watched
from waitspy.oracles.peers import Peers
from waitspy.oracles.reading import TRANSIENT
from waitspy.remote.end_users import EndUse
from waitspy.remote.memory import Unavailable
from waitspy.remote.reader import Reader

_READS = frozenset({"read", "readv", "recvfrom", "recvmsg"})
_POLLS = frozenset({"poll", "ppoll"})
_MOST_HOLDERS = 8
_KEPT_NS = NS  # for which what a process has open counts as known
_PIPE, _SOCKET = "pipe:[", "socket:["


class Readable(NamedTuple):
    """A process that is watched, and what reads its memory."""

    watched: Watched
    reader: Reader


class _Times(NamedTuple):
    """Since when one waits, and now: what was read in between is still so."""

    since_ns: int
    now_ns: int


@dataclass(slots=True)
class _OpenFiles:
    """What the descriptors of a process lead to, by their links, and when that was read."""

    at_ns: int
    fds: Mapping[str, list[int]]


class OtherEnds:
    """Finds them among all processes that are watched."""

    def __init__(self) -> None:
        self._polls = syscalls.numbers(_POLLS)
        self._files: dict[int, _OpenFiles] = {}
        self.calls = syscalls.numbers(_READS | _POLLS)
        """The numbers of the calls in which a thread may wait for a message."""

    def of(
        self,
        process: Readable,
        peers: Peers,
        tids: Iterable[int],
        every: Mapping[int, Readable],
        now_ns: int,
    ) -> Iterator[WaitEdge]:
        """What those threads wait for that stand in such a call, where it is known who answers.

        Raises:
            OSError: the process is ending, or may not be looked into.
        """
        watched = process.watched
        links = {tid: link for tid in tids if (link := self._awaited(process, tid))}
        others = _others(peers, links.values())
        for tid, link in links.items():
            since_ns = watched.blocked_since_ns.get(tid, now_ns)
            times = _Times(since_ns, now_ns)
            holders = tuple(self._holders(watched.pid, tid, others.get(link, ""), every, times))
            if holders and watched.stood(tid):
                inode = int(link.partition("[")[2][:-1])
                kind: Held = "reply" if _has_asked(process.reader, tid) else "message"
                yield WaitEdge(tid, kind, inode, holders[:_MOST_HOLDERS], whole=True)

    def of_fd(
        self, pid: int, fd: int, peers: Peers, every: Mapping[int, Readable], now_ns: int
    ) -> tuple[Holder, ...]:
        """Who may answer a process at the other end of that descriptor of it; others than its own
        threads.

        Raises:
            OSError: the process is ending, or may not be looked into.
        """
        link = procfs.link(pid, f"fd/{fd}")
        other = _others(peers, [link] if _is_stream(link) else ()).get(link, "")
        holders = self._holders(pid, 0, other, every, _Times(now_ns - _KEPT_NS, now_ns))
        return tuple(one for one in holders if one.pid is not None)[:_MOST_HOLDERS]

    def _awaited(self, process: Readable, tid: int) -> str:
        """The pipe or socket from which a thread waits to read, as a link of /proc tells it; empty
        if that is something else.
        """
        pid = process.watched.pid
        with suppress(*TRANSIENT, OSError, ValueError):  # it has gone on, or has ended
            call = pipe_fds.call(pid, tid)
            if call is None or call.number not in self.calls:
                return ""
            fd: int | None = call.args[0]
            if call.number in self._polls:
                one = call.args[1] == 1
                fd = process.reader.ends.polled(call.args[0]) if one else None
            link = "" if fd is None else procfs.link(pid, f"fd/{fd}")
            return link if _is_stream(link) else ""
        return ""

    # --- who answers ----------------------------------------------------------------------

    def _holders(
        self,
        pid: int,
        tid: int,
        other: str,
        every: Mapping[int, Readable],
        times: _Times,
    ) -> Iterator[Holder]:
        """The threads that may answer at that end: others than the one that waits."""
        at = {one: fds for one in every if other and (fds := self._fds(one, other, times))}
        if at.keys() - {pid}:
            at.pop(pid, None)  # whoever forks has both ends for a while, or for ever
        uses: dict[int, list[EndUse]] = {}
        with suppress(*TRANSIENT, OSError, Unavailable):  # one is ending, or changes: not known
            for one, fds in at.items():
                ends = every[one].reader.ends
                threads = set(ends.threads()) - ({tid} if one == pid else set())
                if len(at) == len(threads) == 1 and one != pid:
                    yield Holder(threads.pop(), "peer", pid=one)
                    return
                uses[one] = [use for use in ends.using(fds) if use.tid in threads]
            found = list(dict.fromkeys(_own(uses)))
            for one in at.keys() - {other for other, _ in found}:
                found += [(one, user) for user in _looped(one, at[one], every[one].reader)]
            for one, user in _without_acceptors(found, every):
                yield Holder(user, "reach", pid=None if one == pid else one)

    def _fds(self, pid: int, link: str, times: _Times) -> list[int]:
        """The descriptors of a process that lead there, and can be written to."""
        known = self._files.get(pid)
        if known is None or known.at_ns < times.since_ns:
            fds: dict[str, list[int]] = {}
            with suppress(OSError):  # it is ending
                for fd, to in procfs.fds(pid).items():
                    if to.startswith((_PIPE, _SOCKET)):
                        fds.setdefault(to, []).append(fd)
            known = self._files[pid] = _OpenFiles(times.now_ns, fds)
        found = known.fds.get(link, [])
        if link.startswith(_PIPE):
            return [fd for fd in found if _writes(pid, fd, link)]
        return found

    def forget(self, pid: int) -> None:
        """A process is watched no more."""
        self._files.pop(pid, None)


def _has_asked(reader: Reader, tid: int) -> bool:
    """Whether what a thread reads is the reply to what it has sent itself."""
    with suppress(*TRANSIENT, OSError, Unavailable):  # it is ending, or changes
        return reader.ends.has_asked(tid)
    return False


def _is_stream(link: str) -> bool:
    """Whether it leads to a pipe or socket."""
    return procfs.parse_pipe(link) is not None or procfs.parse_socket(link) is not None


def _others(peers: Peers, links: Iterable[str]) -> dict[str, str]:
    """What is at the other end of each: of a pipe the same."""
    found = {link: link for link in links}
    inodes = {link: inode for link in found if (inode := procfs.parse_socket(link)) is not None}
    others = peers.other_ends(inodes.values())
    return found | {
        link: f"{_SOCKET}{others[inode]}]" if inode in others else ""
        for link, inode in inodes.items()
    }


def _writes(pid: int, fd: int, link: str) -> bool:
    with suppress(OSError, ValueError):
        end = pipe_fds.end(pid, fd, procfs.parse_pipe(link) or 0)
        return end is not None and end.writes
    return False


def _own(uses: Mapping[int, Sequence[EndUse]]) -> Iterator[tuple[int, int]]:
    """The users without those whose frame others have, too: these are frames of a process from
    which they were forked, with the variables that it had then.
    """
    frames = Counter(frame for some in uses.values() for frame in {use.frame for use in some})
    for pid, some in uses.items():
        yield from ((pid, use.tid) for use in some if frames[use.frame] == 1)


def _looped(pid: int, fds: Collection[int], reader: Reader) -> Sequence[int]:
    """The threads that run the loops of that process which watch one of those descriptors."""
    epfds = {epfd for fd in fds for epfd in pipe_fds.watching(pid, fd)}
    if not epfds:
        return ()
    loops = (loop for loop in reader.loops(frames=False) if loop.epfd in epfds)
    return [loop.owner_tid for loop in loops if loop.owner_tid is not None]


def _without_acceptors(
    found: Sequence[tuple[int, int]], every: Mapping[int, Readable]
) -> Sequence[tuple[int, int]]:
    """Without those that wait for other connections: they have handed this one to somebody."""
    accepts = syscalls.accepts(platform.machine())
    left = [
        (pid, tid)
        for pid, tid in found
        if every[pid].watched.blocked.get(tid, (-1, 0))[0] not in accepts
    ]
    return left or found
