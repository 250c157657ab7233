"""Loops of one thread, and the episodes that the stages find in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.examples.build import (
    ARCH,
    DISPATCH,
    GIL_WORD,
    HANDLER,
    HEAP_WORD,
    MS,
    POLL,
    SOURCES,
    STACKS,
    THREAD,
    Shown,
    at,
    collected,
    ms,
    opened,
    ready,
    sock,
    stack,
    states,
    unread,
    worker,
)
from waitspy.judge import blame, classify, loop_episodes, loops, timeline
from waitspy.judge.episode import Starvation
from waitspy.model.epolls import EpollEvent
from waitspy.model.recorded import WorkerRecord
from waitspy.model.stacks import Stack
from waitspy.model.threads import KernelState

END = 10_000
NAP = "clock_nanosleep"
FUTEX = f"futex {HEAP_WORD}"
GIL = f"futex {GIL_WORD}"
OPEN = opened(0, 5, 1)
SPIN = DISPATCH + stack("handle@/app/views.py:21 > spin@/app/cpu.py:5")
POOL = THREAD + stack(
    "Thread.run@lib/threading.py:1010 > _worker@lib/concurrent/futures/thread.py:89"
)
HOLDER = THREAD + stack("Thread.run@lib/threading.py:1010 > crunch@/app/cpu.py:40")


def starvations(
    record: WorkerRecord,
    min_stall_ms: float = 100,
    end_ms: float = END,
    shared: Collection[int] = (),
) -> list[Starvation]:
    """Episodes of one worker, through the stages before them."""
    records = timeline.build(record, STACKS, at(end_ms))
    running = {r.tid for r in records if any(blame.shows_loop(i.stack) for i in r.intervals)}
    own = loops.find(record, at(end_ms), ARCH, running, set())
    named = {}
    for one in records:
        epfds = frozenset(loop.epfd for loop in own if loop.tid == one.tid)
        context = classify.Context(ARCH, SOURCES, epfds, record.runtime_span)
        named[one.tid] = classify.activities(one, context)
    return list(
        loop_episodes.find(record, named, own, at(end_ms), round(min_stall_ms * MS), set(shared))
    )


def told(found: Sequence[Starvation]) -> list[tuple[str, float, float]]:
    """Kind and bounds in milliseconds; latent ones are marked."""
    return [("latent " * s.latent + s.kind.name, ms(s.start_ns), ms(s.end_ns)) for s in found]


def one_callback(
    what: str, start: float = 1_000, end: float = 1_600, shown: Stack = HANDLER
) -> tuple[dict[int, list[Shown]], dict[int, Sequence[KernelState]]]:
    """A loop that serves one long callback and is idle before and after."""
    stacks = {1: [(0.0, start, POLL), (start, end, shown), (end, float(END), POLL)]}
    kernel = states(
        (0, "epoll_wait 5"), (start, "run"), (start + 1, what), (end - 1, "run"),
        (end, "epoll_wait 5"),
    )  # fmt: skip
    return stacks, {1: kernel}


def looked(*rows: tuple[float, Sequence[int]]) -> list[EpollEvent]:
    """Looks that found those inodes unread, nothing having been read of any of them."""
    return [unread(at_ms, 5, *(sock(inode, read=0) for inode in inodes)) for at_ms, inodes in rows]


def blocked(pid: int = 100, share: int = 1, start: float = 1_000) -> WorkerRecord:
    """A loop that sleeps for 600 ms while three clients wait during the last 500; a pool idles."""
    end = start + 600
    kernel = states(
        (0, "epoll_wait 5"),
        (start, "run"),
        (start + 1, NAP),
        (end - 1, "run"),
        (end, "epoll_wait 5"),
    )
    looks = [
        unread(start + 200, 5, sock(pid, read=0)),
        unread(start + 400, 5, sock(pid, read=0), sock(pid + 1), sock(pid + 2)),
    ]
    return worker(
        pid,
        shown={
            pid: [(0, start, POLL), (start, end, HANDLER), (end, END, POLL)],
            pid + 50: [(0, END, POOL)],
        },
        kernel={pid: kernel, pid + 50: states((0, f"futex {HEAP_WORD}"))},
        epolls=[opened(0, 5, share), ready(start + 100, 5), *looks, collected(end, 5)],
    )
