"""The ``libuv`` oracle: which thread of Node.js runs which loop, and since when a timer is late.

It reads the target's own memory, and tells in the rows of loops: a loop that it finds; that this
may have turned, each time that the clock it keeps has changed; and, as long as it does not poll,
whether a timer of JavaScript is overdue. What that timer calls is not known.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from waitspy.kernel import descriptors
from waitspy.model.clock import NS
from waitspy.model.loops import LateTimer, LoopInfo, LoopWork
from waitspy.model.oracle_names import LIBUV
from waitspy.oracles import NEVER_NS, Watched
from waitspy.recording.loops import LoopFound, LoopRow, LoopServed, LoopWaiting
from waitspy.recording.rows import RowType
from waitspy.remote.libuv import NodeLoop, NodeLoops
from waitspy.remote.memory import Unavailable, Unreadable

_KIND, _RUNS = "libuv", "running"
_TIMER = "setTimeout or setInterval"
_LOOK_NS = NS // 5
_RESCAN_NS = NS // 2


@dataclass(slots=True)
class _OfNode:
    """One loop and what was last seen of it.

    ``turns`` is how often its clock was seen to change, ``told_ns`` since when a timer is due (0:
    none is).
    """

    facts: NodeLoop
    quiet_since_ns: int
    turned_ms: int = -1
    turns: int = -1
    next_look_ns: int = 0
    told_ns: int | None = None


@dataclass(slots=True)
class _WatchedNode:
    reader: NodeLoops
    loops: dict[int, _OfNode] = field(default_factory=dict)
    next_scan_ns: int = 0
    unseen: bool = True


class LibuvOracle:
    """Watches the loops of Node.js; one that did not poll for ``onset_ns`` is looked at."""

    name: ClassVar[str] = LIBUV
    rows: ClassVar[RowType] = LoopRow

    def __init__(self, onset_ns: int) -> None:
        self._onset_ns = onset_ns
        self._processes: dict[int, _WatchedNode] = {}

    def attach(self, watched: Watched) -> str:
        """``"ok"``, or why this process cannot be read."""
        try:
            self._processes[watched.pid] = _WatchedNode(NodeLoops(watched.pid))
        except Unavailable as error:
            return error.why
        except ProcessLookupError:
            return "the process is gone"
        except Unreadable:
            return "its memory is not laid out as known"
        except OSError as error:
            return f"process_vm_readv: {error.strerror}"
        return "ok"

    def tick(self, watched: Watched, now_ns: int) -> Iterator[LoopRow]:
        """Rows for loops that appeared or ended, and for timers that are overdue, or no longer."""
        process = self._processes.get(watched.pid)
        if process is None:
            return
        process.unseen |= watched.ran
        try:
            if process.unseen and now_ns >= process.next_scan_ns:
                yield from self._rescan(process, watched, now_ns)
                process.unseen = False
            for loop in process.loops.values():
                with suppress(Unreadable):  # the next scan tells that it is gone
                    yield from self._look(process, watched, loop, now_ns)
        except OSError:  # it is ending
            process.loops.clear()
            process.next_scan_ns = now_ns + NS
        watched.rests_until_ns = self._rests_until_ns(process, watched)

    def detach(self, watched: Watched) -> None:
        """Forgets that worker."""
        self._processes.pop(watched.pid, None)

    def _rests_until_ns(self, process: _WatchedNode, watched: Watched) -> int:
        until_ns = process.next_scan_ns if process.unseen else NEVER_NS
        for loop in process.loops.values():
            if watched.polling.get(loop.facts.tid) != loop.facts.epfd:
                quiet_ns = loop.quiet_since_ns + self._onset_ns
                until_ns = min(until_ns, max(quiet_ns, loop.next_look_ns))
        return until_ns

    def _look(
        self, process: _WatchedNode, watched: Watched, loop: _OfNode, now_ns: int
    ) -> Iterator[LoopRow]:
        turned_ms = loop.turned_ms
        if watched.ran or turned_ms < 0:
            turned_ms = process.reader.turned_ms(loop.facts)
        if turned_ms != loop.turned_ms:
            loop.turned_ms, loop.quiet_since_ns, loop.told_ns = turned_ms, now_ns, None
            loop.turns += 1
            yield LoopServed(now_ns, loop.facts.address, 0, 2 * loop.turns)
        if watched.polling.get(loop.facts.tid) == loop.facts.epfd:
            loop.quiet_since_ns, loop.told_ns = now_ns, None
            return
        if now_ns < max(loop.quiet_since_ns + self._onset_ns, loop.next_look_ns):
            return
        loop.next_look_ns = now_ns + _LOOK_NS
        due_ns = process.reader.overdue_ns(loop.facts) or 0
        if due_ns and now_ns - due_ns >= self._onset_ns:
            watched.due = True
            watched.onset |= loop.told_ns != due_ns
            watched.suspects.add(loop.facts.tid)
        if due_ns != loop.told_ns:
            loop.told_ns = due_ns
            late = (LateTimer(due_ns, _TIMER, None, guards=False),) if due_ns else ()
            yield LoopWaiting(now_ns, loop.facts.address, LoopWork(0, (), len(late), late))

    def _rescan(self, process: _WatchedNode, watched: Watched, now_ns: int) -> Iterator[LoopRow]:
        began_ns = time.thread_time_ns()
        for address, loop in list(process.loops.items()):
            if loop.facts.tid not in watched.tids or not process.reader.is_there(loop.facts):
                del process.loops[address]
                yield LoopFound(now_ns, address, _info(loop.facts, closed=True))
        known = {(loop.facts.tid, loop.facts.epfd) for loop in process.loops.values()}
        epfds = set(descriptors.epoll_fds(watched.pid)) - {epfd for _, epfd in known}
        tids = {watched.pid, *watched.blocked} - {tid for tid, _ in known}
        for found in process.reader.find(epfds, sorted(tids)) if epfds else ():
            if not found.runs_javascript:
                continue
            process.loops[found.address] = _OfNode(found, now_ns)
            yield LoopFound(now_ns, found.address, _info(found, closed=False))
        spent_ns = time.thread_time_ns() - began_ns
        process.next_scan_ns = now_ns + max(_RESCAN_NS, int(spent_ns / watched.routine_share))


def _info(loop: NodeLoop, *, closed: bool) -> LoopInfo:
    return LoopInfo(_KIND, loop.epfd, loop.tid, _RUNS, closed)
