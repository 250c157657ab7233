"""What the threads of a pool do: wait for work, do it, or wait for a batch of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import numpy as np

from waitspy.judge import blame
from waitspy.judge.classify import source_line
from waitspy.judge.spans import Span
from waitspy.judge.thread_time import cut
from waitspy.model.activities import Activities, Activity
from waitspy.model.code_origin import Origin, base_name
from waitspy.model.recorded import SourceLines
from waitspy.model.stacks import Frame, Stack
from waitspy.model.waits import WaitKind

_HALF = 0.5
_ANYIO = "anyio/_backends/_asyncio.py"
_FUTURES = ("concurrent/futures/_base.py", "concurrent/futures/thread.py")
_MULTIPROCESSING = "/multiprocessing/pool.py"
_PROCESS = "concurrent/futures/process.py", "_process_worker"
_RESULT_WAITS = frozenset({"get", "wait", "next"})
_BATCH_WAITS = frozenset({"result", "exception", "wait", "as_completed", "result_iterator",
                          "shutdown", "__exit__"})  # fmt: skip
_GETS, _TASK_GETS = "queue.get(", "task = get()"
_TAKES = frozenset({"get", "wait"})
_JOINS = ("/queue.py", _MULTIPROCESSING)
_SERVERS = ("gunicorn/workers/gthread.py", "grpc/_server.py")

_BEGIN = ("/socketserver.py", "/cheroot/workers/threadpool.py")
"""Servers that are no frameworks by the place of their code."""

Idle = frozenset[Frame]
"""The frames in which a pool's threads wait for work, where these are no executor's."""


def busy(mine: Activities, start_ns: int, end_ns: int, idle: Idle) -> tuple[Activity, ...]:
    """What a thread did in that span other than to wait for work."""
    return tuple(a for a in cut(mine, start_ns, end_ns) if not is_idle(a, idle))


def is_idle(activity: Activity, idle: Idle) -> bool:
    """Whether the thread is proven to wait for work."""
    if activity.wait.kind is WaitKind.POOL_IDLE:
        return True
    own = caller(activity.stack)
    inner = activity.stack[len(activity.stack) - _waiting(activity.stack) :]
    return own in idle and (not inner or base_name(inner[0].function) in _TAKES)


def caller(stack: Stack) -> Frame | None:
    """The frame that called what a thread waits in."""
    at = len(stack) - _waiting(stack)
    return stack[at - 1] if at else None


def _waiting(stack: Stack) -> int:
    """How many frames at its end are those of a queue, or of a condition."""
    return next((n for n, frame in enumerate(reversed(stack)) if not _is_waiting(frame)), 0)


def in_anyio(mine: Activities) -> bool:
    """Whether it is one of AnyIO's worker threads."""
    return any(_anyio_run(stack) is not None for stack in _stacks(mine))


def anyio_idle(done: Iterable[Activities], sources: SourceLines) -> Idle:
    """Where AnyIO's worker threads wait for work: ``run`` calls ``Queue.get`` at one line.

    A function that they were given may be a ``get`` as well. Its call is at another line, as the
    source says; without it, the first of those lines is taken.
    """
    getting = {
        stack[run]
        for mine in done
        for stack in _stacks(mine)
        if (run := _anyio_run(stack)) is not None and any(map(_gets, stack[run + 1 : run + 2]))
    }
    return _with_call(getting, _GETS, sources)


def multiprocessing_idle(done: Iterable[Activities], sources: SourceLines) -> Idle:
    """Where workers of a ThreadPool wait for work: ``worker`` calls ``get``, a function in C, as
    what it is given may be.
    """
    getting = {
        mine.stacks[n][-1]
        for mine in done
        for n in np.unique(mine.stack[mine.stacks.topped(_is_worker)[mine.stack]]).tolist()
    }
    return _with_call(getting, _TASK_GETS, sources)


def _with_call(frames: AbstractSet[Frame], call: str, sources: SourceLines) -> Idle:
    """Those whose line has that call, as the source says; without it, the first of the lines."""
    told = {frame: source_line(frame, sources) for frame in frames}
    if any(line is not None for line in told.values()):
        return frozenset(frame for frame, line in told.items() if line and call in line)
    return frozenset(sorted(frames, key=lambda frame: frame.line or 0)[:1])


def _is_worker(frame: Frame) -> bool:
    return frame.is_one_of(_MULTIPROCESSING, "worker")


def serves(mine: Activities) -> bool:
    """Whether a server gives the thread its requests, through an executor of its own."""
    return bool(mine.stacks.having(_serves)[mine.stack].any())


def _serves(frame: Frame) -> bool:
    return frame.rooted.endswith(_SERVERS)


def is_begun_by_server(stack: Stack) -> bool:
    """Whether a server, or a framework, has given a thread what it does: that are requests."""
    for frame in stack:
        if frame.rooted.endswith(_BEGIN):
            return True
        if frame.origin is not Origin.STDLIB:
            return frame.origin is Origin.FRAMEWORK
    return False


def waits_for_future(mine: Activities, at_ns: int) -> bool:
    """Whether a thread waited for a future at that time."""
    return any(
        frame.is_one_of(_FUTURES[0], *_BATCH_WAITS) or _waits_for_result(frame)
        for activity in cut(mine, at_ns, at_ns + 1)
        for frame in activity.stack
    )


def _waits_for_result(frame: Frame) -> bool:
    """Whether it is in a method of a result of multiprocessing's pools."""
    return frame.is_one_of(_MULTIPROCESSING, *_RESULT_WAITS)


def waits_for_batch(stack: Stack) -> bool:
    """Whether the thread waits for work that it has handed in."""
    return any(
        frame.is_one_of(_FUTURES, *_BATCH_WAITS)
        or frame.is_one_of(_JOINS, "join")
        or _waits_for_result(frame)
        for frame in stack
    )


def awaited_by(done: Mapping[int, Activities], span: Span, but: AbstractSet[int]) -> set[int]:
    """The threads that waited for work they have handed in for half of a span and more."""
    half_ns = (span[1] - span[0]) * _HALF
    return {
        tid
        for tid, mine in done.items()
        if tid not in but
        for activity in cut(mine, *span)
        if activity.end_ns - activity.start_ns >= half_ns and waits_for_batch(activity.stack)
    }


def have_requests(done: Mapping[int, Activities], tids: AbstractSet[int], span: Span) -> bool:
    """Whether several of these threads have requests of a server to do, each its own."""
    mine = (
        any(is_begun_by_server(activity.stack) for activity in cut(done[tid], *span))
        for tid in tids
    )
    return sum(mine) > 1


def owner(done: Mapping[int, Activities], span: Span, but: AbstractSet[int]) -> Frame | None:
    """The frame of the program that waited for work it has handed in, for the longest time."""
    spent: Counter[Frame] = Counter()
    for tid in sorted(awaited_by(done, span, but)):
        for activity in cut(done[tid], *span):
            frame = blame.blamed(activity.stack) if waits_for_batch(activity.stack) else None
            if frame is not None and frame.origin is Origin.USER:
                spent[frame] += activity.end_ns - activity.start_ns
    return spent.most_common(1)[0][0] if spent else None


def named(name: str, where: str | None) -> Frame:
    """A work item's function as a frame; one without a file is written in C."""
    file, _, line = (where or "").rpartition(":")
    return Frame(name, file, int(line) if line.isdecimal() else None)


def functions(stack: Stack) -> frozenset[str]:
    """What the pool's thread may have been given: the outermost function of the program, or one of
    a package that calls it; none where no function of the program is there.

    A process that was forked shows below it what its parent did.
    """
    for n, frame in enumerate(stack):
        if frame.is_one_of(*_PROCESS) or _is_worker(frame):
            stack = stack[n + 1 :]
            break
    for n, frame in enumerate(stack):
        if frame.origin is Origin.USER and not frame.home.made:
            packages = (one for one in stack[:n] if one.origin is Origin.PACKAGE)
            return frozenset(base_name(one.function) for one in (*packages, frame))
    return frozenset()


def _stacks(mine: Activities) -> Iterable[Stack]:
    return (mine.stacks[n] for n in np.unique(mine.stack).tolist())


def _gets(frame: Frame) -> bool:
    return frame.is_one_of("/queue.py", "get")


def _is_waiting(frame: Frame) -> bool:
    return frame.rooted.endswith(("/queue.py", "/threading.py"))


def _anyio_run(stack: Stack) -> int | None:
    """Where AnyIO's worker thread waits for work and does it; None in any other thread."""
    for n, frame in enumerate(stack):
        if frame.is_one_of(_ANYIO, "run"):
            return n
        if not frame.rooted.endswith("/threading.py"):
            break
    return None
