"""Threads that were started and did not get the CPU: whoever starts one waits until it runs."""

from __future__ import annotations

from collections.abc import Iterable

from waitspy.judge.thread_time import compose
from waitspy.model.activities import Activity
from waitspy.model.columns import UNKNOWN
from waitspy.model.recorded import WorkerRecord
from waitspy.model.threads import KernelStates

_START = "/threading.py", "start"  # it waits at an Event, which the new thread sets first of all
_LOOKS_APART_NS = 60_000_000  # a thread may be seen so much later than it has begun
_HALF = 0.5


def are_awaited(worker: WorkerRecord, done: Iterable[Activity]) -> bool:
    """Whether most of that time was spent waiting for threads that are seen to have had no CPU."""
    known = list(done)
    waited_ns = sum(_length_ns(one) for one in known if _lacks_cpu(worker, one))
    return waited_ns > sum(map(_length_ns, known)) * _HALF


def _lacks_cpu(worker: WorkerRecord, wait: Activity) -> bool:
    if not any(frame.is_one_of(*_START) for frame in wait.stack[-3:]):
        return False
    from_ns, until_ns = wait.start_ns - _LOOKS_APART_NS, wait.end_ns + _LOOKS_APART_NS
    return any(
        _delay_ns(states, wait) >= _length_ns(wait) * _HALF
        for states in worker.states.values()
        if len(states) and from_ns <= states.at_ns[0] <= until_ns
    )


def _delay_ns(states: KernelStates, wait: Activity) -> int:
    """For how long a new thread had no CPU; what it had to wait before it was seen is counted."""
    first_ns = int(states.queued_ns[0])
    before_ns = 0 if first_ns == UNKNOWN else first_ns
    return before_ns + compose(states, wait.start_ns, wait.end_ns).queued_ns


def _length_ns(one: Activity) -> int:
    return one.end_ns - one.start_ns
