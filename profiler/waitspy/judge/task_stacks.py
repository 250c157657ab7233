"""What suspended tasks do, by their awaits: what they wait in, and whether that is for work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from waitspy.judge import blame
from waitspy.judge.episode import Item
from waitspy.judge.spans import Span
from waitspy.model.activities import Activity
from waitspy.model.code_origin import Origin
from waitspy.model.stacks import Stack
from waitspy.model.stream_reads import read_of, reads
from waitspy.model.unsent import drain_of, drains
from waitspy.model.waits import Wait, WaitKind

_FOR_WORK: Mapping[str, frozenset[str]] = {
    "/asyncio/queues.py": frozenset({"get", "join"}),
    "/asyncio/locks.py": frozenset({"wait"}),
    "/asyncio/base_events.py": frozenset({"serve_forever"}),
    "/anyio/_backends/_asyncio.py": frozenset({"wait"}),
}
"""Functions in which a task waits for something to do, or for a signal."""

_SLEEPS, _STREAMS, _PROCESSES = "/asyncio/tasks.py", "/asyncio/streams.py", "/asyncio/subprocess.py"


def is_slow(stack: Stack) -> bool:
    """Whether a task is in the middle of something, rather than waiting for something to do."""
    if drains(stack) or reads(stack):
        return True
    for frame in reversed(stack):
        for file, names in _FOR_WORK.items():
            if frame.is_one_of(file, *names):
                return False
        if frame.origin is Origin.USER:
            break
    return True


def wait_of(stack: Stack) -> Wait:
    """What a task waits in: the outermost library function below the program's own code."""
    frame = blame.blamed(stack)
    below = stack[stack.index(frame) + 1 :] if frame is not None else ()
    if not below:
        return Wait(WaitKind.UNKNOWN)
    kind = WaitKind.UNKNOWN
    for each in below:
        if each.is_one_of(_SLEEPS, "sleep"):
            kind = WaitKind.SLEEP
        elif each.rooted.endswith(_STREAMS) or drain_of(each) or read_of(each):
            kind = WaitKind.SOCKET
        elif each.rooted.endswith(_PROCESSES):
            kind = WaitKind.SUBPROCESS
    return Wait(kind, below[0].function)


def name_of(stack: Stack) -> str:
    """What tasks do, by the program's own function: those of a server all begin alike."""
    frame = blame.blamed(stack)
    return "?" if frame is None else frame.function


def shared(holders: Sequence[tuple[Stack, int]], span: Span) -> Iterator[Activity]:
    """A span, shared among the places at which tasks hold something by how many do there."""
    total = sum(count for _, count in holders)
    at_ns, done = span[0], 0
    for stack, count in holders:
        done += count
        until_ns = span[0] + (span[1] - span[0]) * done // total
        yield Activity(at_ns, until_ns, stack, wait_of(stack))
        at_ns = until_ns


def task_item(stack: Stack, span: Span, count: int) -> Item:
    """The tasks that waited, by what they do."""
    frame = blame.blamed(stack)
    where = None if frame is None else f"{frame.file}:{frame.line}"
    return Item("task", name_of(stack), where, *span, count=count)
