"""What is special about Node: which epolls are loops, what proves that they starve, and which
threads are known without a stack.

Messages of other threads wake a loop by an eventfd. A pool's worker that waits in ``Atomics.wait``
for its next job takes that from the message queue by itself, and leaves the eventfd as it is. So an
epoll of Node that is ready says nothing; data in a socket of it, and a timer that is due, do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from waitspy.judge.episode import Starvation
from waitspy.judge.loops import Loop, Pending
from waitspy.model.activities import Activity
from waitspy.model.code_origin import Origin
from waitspy.model.kinds import BLOCKED_LOOP, GC_PAUSE, PARKED_LOOP, Kind
from waitspy.model.oracle_names import LIBUV
from waitspy.model.pools import PoolInfo
from waitspy.model.recorded import WorkerRecord

_KIND, _PARKED_IN = "libuv", "futex"
_COLLECTOR = "(garbage collector)"
_HALF = 0.5


def own(found: Sequence[Loop], worker: WorkerRecord) -> tuple[Loop, ...]:
    """Those that are loops of JavaScript: not what Node's own threads, and ``spawnSync``, poll."""
    if worker.oracles.get(LIBUV) != "ok":
        return tuple(found)
    proven = {
        (event.facts.epfd, event.facts.owner_tid)
        for event in worker.loops.facts
        if event.facts is not None
    }
    return tuple(loop for loop in found if (loop.epfd, loop.tid) in proven)


def is_one(loop: Loop) -> bool:
    """Whether libuv's own structure in the memory of a Node says what that loop is."""
    return any(event.facts and event.facts.kind == _KIND for event in loop.told)


def has_victims(span: Pending) -> bool:
    """Whether something in that span is known to have waited for the loop to turn."""
    sockets = (s for look in span.looks for s in look.sockets)
    return bool(span.items) or any(s.kind != "eof" for s in sockets)


def kind_of(activity: Activity) -> Kind:
    """What a wait makes of the loop whose thread is in it.

    A futex is ``Atomics.wait``: unless the program's own code is seen to call it, a worker of some
    pool that waits for its next job.
    """
    of_program = any(frame.origin is Origin.USER for frame in activity.stack)
    parked = activity.wait.syscall == _PARKED_IN and not of_program
    return PARKED_LOOP if parked else BLOCKED_LOOP


def collected(one: Starvation) -> Starvation:
    """The same, told as a collection of garbage where the profile says that it mostly was one."""
    whole_ns = collecting_ns = 0
    for activity in one.guilty:
        length_ns = activity.end_ns - activity.start_ns
        whole_ns += length_ns
        leaf = activity.stack[-1] if activity.stack else None
        if leaf is not None and leaf.origin is Origin.STDLIB and leaf.function == _COLLECTOR:
            collecting_ns += length_ns
    if not collecting_ns or collecting_ns < whole_ns * _HALF:
        return one
    return replace(one, kind=GC_PAUSE, verdict=GC_PAUSE.verdict)


def pool_threads(worker: WorkerRecord) -> frozenset[int]:
    """The threads of libuv's pool, of which there never is a stack."""
    return frozenset(tid for info in _pools(worker) for tid in info.tids)


def idle(worker: WorkerRecord) -> frozenset[int]:
    """The futexes for which the threads of libuv's pool wait while there is no work."""
    return frozenset(address for info in _pools(worker) for address in info.signals)


def _pools(worker: WorkerRecord) -> Iterator[PoolInfo]:
    infos = (event.info for event in worker.pools if worker.worker.node is not None)
    return (info for info in infos if info is not None)
