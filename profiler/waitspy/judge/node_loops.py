"""What is special about Node: which epolls are loops, what proves that they starve, and which
threads are known without a stack.

Messages of other threads wake a loop by an eventfd. A pool's worker that waits in ``Atomics.wait``
for its next job takes that from the message queue by itself, and leaves the eventfd as it is. So an
epoll of Node that is ready says nothing; data in a socket of it, and a timer that is due, do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from waitspy.judge.loops import Loop, Pending, was_served
from waitspy.judge.spans import pieces
from waitspy.judge.thread_time import compose
from waitspy.model.activities import Activity
from waitspy.model.code_origin import Origin
from waitspy.model.columns import int64s
from waitspy.model.kinds import BLOCKED_LOOP, PARKED_LOOP, Kind
from waitspy.model.oracle_names import LIBUV
from waitspy.model.pools import PoolInfo
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack, StackTable
from waitspy.model.threads import Intervals, KernelStates, ThreadRecord

_NATIVE = "node:native"
_KIND, _PARKED_IN = "libuv", "futex"
_COLLECTOR = "(garbage collector)"
_HALF = 0.5
_FEW_LOOKS = 3


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


def is_collection(
    span: Pending, done: Sequence[Activity], states: Mapping[int, KernelStates]
) -> bool:
    """Whether garbage was collected for most of a span, by what its loop's thread did in it.

    Threads of V8 help with that. They may be the ones that keep it from the CPU.
    """
    length_ns = sum(a.end_ns - a.start_ns for a in done if _collects(a.stack))
    if length_ns < (span.end_ns - span.start_ns) * _HALF:
        return False
    spent = {tid: compose(own, span.start_ns, span.end_ns) for tid, own in states.items()}
    kept_ns = spent[span.loop.tid].kept_ns if span.loop.tid in spent else 0
    helped_ns = sum(one.ran_ns for tid, one in spent.items() if tid != span.loop.tid)
    return kept_ns < (span.end_ns - span.start_ns) * _HALF or helped_ns >= kept_ns * _HALF


def _collects(stack: Stack) -> bool:
    leaf = stack[-1] if stack else None
    return leaf is not None and leaf.origin is Origin.STDLIB and leaf.function == _COLLECTOR


def serves_all_along(span: Pending) -> bool:
    """Whether every look at the sockets behind a loop shows that some were read since the one
    before: then it is in no single callback, although it has not turned.
    """
    looks = [look for look in span.looks if look.sockets]
    return len(looks) > _FEW_LOOKS and len(was_served(looks)) == len(looks) - 1


def pool_threads(worker: WorkerRecord) -> frozenset[int]:
    """The threads of libuv's pool, of which there never is a stack."""
    return frozenset(tid for info in _pools(worker) for tid in info.tids)


def from_the_start(record: ThreadRecord) -> ThreadRecord:
    """The same with the time before its first stack: the inspector is opened only then, and the
    kernel tells what the thread waits in.
    """
    shown, states = record.intervals, record.states
    if not len(shown) or not len(states) or states.at_ns[0] >= shown.start_ns[0]:
        return record
    columns = (
        np.append(states.at_ns[:1], shown.start_ns),
        np.append(shown.start_ns[:1], shown.end_ns),
        np.append(int64s([0]), shown.stack),
    )
    return replace(record, intervals=Intervals(*columns, shown.table))


def with_lines_of_waits(record: ThreadRecord) -> ThreadRecord:
    """The same with lines only where the thread waits in a system call, or is in native code.

    There V8 knows whose line it is. As JavaScript runs, it tells lines of functions that it has
    compiled into another one as if they were that one's, whichever files they are in.
    """
    shown, table = record.intervals, record.intervals.table
    start_ns, end_ns, owner = pieces(shown.start_ns, shown.end_ns, record.states.at_ns)
    stack = shown.stack[owner]
    starts, ends = record.states.still
    span = np.searchsorted(starts, start_ns, "right") - 1
    waits = (span >= 0) & (start_ns < np.append(ends, 0)[span])
    numbers, back = np.unique(stack[~waits], return_inverse=True)
    stack[~waits] = int64s(_by_functions(table, number) for number in numbers.tolist())[back]
    return replace(record, intervals=Intervals(start_ns, end_ns, stack, table))


def _by_functions(table: StackTable, number: int) -> int:
    """The number of the same stack by where its functions begin, unless it is in native code."""
    whole = table[number]
    if not whole or whole[-1].file == _NATIVE:
        return number
    return table.number(frame.from_the_beginning() for frame in whole)


def idle(worker: WorkerRecord) -> frozenset[int]:
    """The futexes for which the threads of libuv's pool wait while there is no work."""
    return frozenset(address for info in _pools(worker) for address in info.signals)


def _pools(worker: WorkerRecord) -> Iterator[PoolInfo]:
    infos = (event.info for event in worker.pools if worker.worker.node is not None)
    return (info for info in infos if info is not None)
