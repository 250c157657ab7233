"""Who has started a thread waits until that gets the CPU."""

from __future__ import annotations

import pytest

from tests.examples.build import ARCH, activities, activity, at, ms, stack, states, worker
from waitspy.judge import listeners
from waitspy.judge.episode import Starvation
from waitspy.model.listeners import ListenerEvent
from waitspy.model.stacks import Stack
from waitspy.model.threads import KernelState, KernelStates
from waitspy.model.waits import Wait, WaitKind

ROWS = (
    ListenerEvent(at(0), 500, name="127.0.0.1:80", fd=3),
    ListenerEvent(at(100), 500, waiting=2),
    ListenerEvent(at(200), 500, accepted=1, acceptors=(100,)),
    ListenerEvent(at(900), 500, waiting=0),
)
UNTIL = " > Event.wait@lib/threading.py:629 > Condition.wait@lib/threading.py:327"
START = stack(f"process_request@lib/socketserver.py:700 > Thread.start@lib/threading.py:969{UNTIL}")
FOR_ANSWER = stack(f"view@/app/views.py:7{UNTIL}")
WAITS = Wait(WaitKind.LOCK, "Event.wait", "futex")
SEEN_LATE = KernelStates.of([KernelState(at(900), "S", 0, 0, 1_000, 800_000_000)])
AT_ONCE = KernelStates.of([KernelState(at(110), "S", 0, 0, 1_000, 2_000)])
UNKNOWN = KernelStates.of([KernelState(at(900), "S", 0, 0)])


def found(*others: KernelStates, shown: Stack = START) -> list[Starvation]:
    kernel = dict(enumerate((states((0, "futex 1")), *others), start=100))
    made = worker(kernel=kernel, listeners=ROWS)
    done = {made.thread(100): activities(activity(100, 900, shown, WAITS))}
    return [
        starved
        for listener in listeners.find([made], ARCH)
        for starved in listeners.starvations(listener, [made], done, at(3_000), 100_000_000)
    ]


@pytest.mark.parametrize("new", [states((110, "queue"), (900, "gone")), SEEN_LATE])
def test_a_new_thread_that_gets_no_cpu_is_not_the_program_s_fault(new: KernelStates) -> None:
    (one,) = found(new)
    assert (one.kind.name, one.held_by) == ("no-cpu", {})
    assert (ms(one.start_ns), ms(one.end_ns)) == (100, 900)
    assert one.detail == "connections to 127.0.0.1:80: its only worker waiting for a new thread"
    (other,) = found(new, shown=FOR_ANSWER)
    assert other.kind.name == "accept-backlog"


@pytest.mark.parametrize(
    "new", [AT_ONCE, UNKNOWN, states((110, "futex 1")), states((10, "queue"), (900, "gone"))]
)
def test_unless_that_is_seen_the_wait_is_told(new: KernelStates) -> None:
    """One that wants the GIL, say, or was there long before."""
    (one,) = found(new)
    assert one.kind.name == "accept-backlog"
    (alone,) = found()
    assert alone.kind.name == "accept-backlog"
