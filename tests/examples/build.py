"""Small builders of the real values that the stages exchange, in a notation that reads in a test.

Times are milliseconds after ``START_NS``. A stack is written ``function@file:line > …``, root
first; ``lib/`` stands for the standard library's folder, ``site/`` for installed packages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from waitspy.model import syscalls
from waitspy.model.activities import Activities, Activity
from waitspy.model.clock import NS
from waitspy.model.epolls import EpollEvent, EpollEvents, UnreadSocket
from waitspy.model.gil import MAIN as MAIN_INTERPRETER
from waitspy.model.gil import GilState, GilStates
from waitspy.model.loops import LoopEvent, LoopEvents
from waitspy.model.processes import Role, Worker
from waitspy.model.recorded import Recording, RecordingInfo, SourceLines, WorkerRecord
from waitspy.model.stacks import Frame, Stack, StackTable
from waitspy.model.threads import (
    Dump,
    Interval,
    Intervals,
    KernelState,
    KernelStates,
    SampledThread,
    Segment,
)
from waitspy.model.waits import Wait, WaitTable

MS = 1_000_000
START_NS = 1_000 * NS
LIB = "/usr/lib/python3.12"
SITE = "/app/.venv/lib/python3.12/site-packages"
ARCH = "x86_64"
PERIOD_NS = 10 * MS
RUNTIME_SPAN = (0x7000_0000, 0x7010_0000)
GIL_WORD = 0x7000_0420
HEAP_WORD = 0x55AA_0000_1230
WOKE_NS = 20_000
"""CPU time that a thread uses to go from one blocking call to the next."""

_NUMBERS = {name: number for number, name in syscalls.TABLES[ARCH].items()}


def at(ms: float) -> int:
    """The clock's nanoseconds at that many milliseconds."""
    return START_NS + round(ms * MS)


def ms(at_ns: int) -> float:
    """The reverse of ``at``."""
    return (at_ns - START_NS) / MS


def frame(text: str) -> Frame:
    """``function@file:line``; without ``:line`` the line is not known."""
    function, _, place = text.strip().partition("@")
    file, colon, line = place.rpartition(":")
    if not colon:
        file, line = place, ""
    for short, folder in (("lib/", LIB), ("site/", SITE)):
        if file.startswith(short):
            file = f"{folder}/{file.removeprefix(short)}"
    return Frame(function, file, int(line) if line else None)


def stack(text: str) -> Stack:
    """Frames separated by `` > ``, root first; "" is the empty stack."""
    return tuple(frame(part) for part in text.split(" > ")) if text else ()


MAIN = stack("<module>@/app/main.py:90 > serve@/app/main.py:70")
BASE = MAIN + stack(
    "run@lib/asyncio/runners.py:194 > Runner.run@lib/asyncio/runners.py:118"
    " > BaseEventLoop.run_until_complete@lib/asyncio/base_events.py:674"
    " > BaseEventLoop.run_forever@lib/asyncio/base_events.py:641"
    " > BaseEventLoop._run_once@lib/asyncio/base_events.py:1948"
)
POLL = BASE + stack("EpollSelector.select@lib/selectors.py:468")
DISPATCH = (
    *BASE[:-1],
    frame("BaseEventLoop._run_once@lib/asyncio/base_events.py:1987"),
    frame("Handle._run@lib/asyncio/events.py:88"),
)
HANDLER = DISPATCH + stack("handle@/app/views.py:21 > fetch@/app/client.py:41")
THREAD = stack(
    "Thread._bootstrap@lib/threading.py:1030 > Thread._bootstrap_inner@lib/threading.py:1073"
)
PARKED = THREAD + stack(
    "Worker.run@/app/worker.py:13 > Worker.next_message@/app/worker.py:16"
    " > Queue.get@lib/queue.py:171 > Condition.wait@lib/threading.py:355"
)
SOURCES: dict[str, dict[int, str]] = {
    "/app/client.py": {41: "        time.sleep(backoff_s)"},
    "/app/views.py": {21: "    return fetch(name)"},
    "/app/worker.py": {13: "job = self.next_message()", 16: "return self.inbox.get()"},
}


Span = tuple[int, int]


def apart(steps: Iterable[tuple[int, int]]) -> list[Span]:
    """Spans in time order without overlap, from the gap before and the length of each."""
    found, now = [], 0
    for gap, length in steps:
        found.append((now + gap, now + gap + length))
        now += gap + length
    return found


# --- stacks ------------------------------------------------------------------------------------

Shown = tuple[float, float, Stack]
"""From, to (milliseconds) and the stack that was shown."""


STACKS = StackTable()
"""The stacks of all built recordings."""

WAITS = WaitTable()


def intervals(*shown: Shown) -> Intervals:
    """Intervals of those times."""
    rows = (Interval(at(start), at(end), stack_) for start, end, stack_ in shown)
    return Intervals.of(rows, STACKS)


def segment(
    start_ms: float,
    end_ms: float,
    threads: Mapping[int, Sequence[Shown]],
    period_ns: int = PERIOD_NS,
) -> Segment:
    """One sampler run; threads are named after their tid."""
    return Segment(
        at(start_ms),
        at(end_ms),
        period_ns,
        tuple(
            SampledThread(tid, f"thread-{tid}", intervals(*shown)) for tid, shown in threads.items()
        ),
    )


def with_gil(
    record: WorkerRecord, *rows: tuple[float, int | None, bool], interpreter: int = MAIN_INTERPRETER
) -> WorkerRecord:
    """The same, where our own sampler saw from each of those times (milliseconds) which thread had
    the GIL, and whether garbage was collected.
    """
    gil = GilStates.of(
        GilState(at(at_ms), interpreter, tid, collects) for at_ms, tid, collects in rows
    )
    return replace(record, segments=tuple(replace(one, gil=gil) for one in record.segments))


def dump(
    at_ms: float, stacks: Mapping[int, Stack], gil_tid: int | None = None, takes_ms: float = 60
) -> Dump:
    """The stacks of some threads, read within so long."""
    numbers = {tid: STACKS.number(shown) for tid, shown in stacks.items()}
    return Dump(at(at_ms), at(at_ms + takes_ms), numbers, gil_tid)


def activity(start_ms: float, end_ms: float, stack_: Stack, wait: Wait) -> Activity:
    """What a thread did, not yet weighed."""
    return Activity(at(start_ms), at(end_ms), stack_, wait)


def activities(*rows: Activity) -> Activities:
    """What one thread did, in columns."""
    return Activities.of(rows, STACKS, WAITS)


# --- kernel ------------------------------------------------------------------------------------


def states(*rows: tuple[float, str], schedstat: bool = True) -> KernelStates:
    """Kernel states ``(ms, what)``, with the times on the CPU and in its queue that follow.

    ``what`` is ``run`` (on the CPU), ``queue`` (runnable without it), ``stop`` (SIGSTOP), ``gone``
    or a system call with its first argument: ``epoll_wait 5``, ``futex 0x7000``. A blocked thread
    uses WOKE_NS before its next row.
    """
    found: list[KernelState] = []
    ran_ns = queued_ns = 0
    for n, (at_ms, what) in enumerate(rows):
        if n:
            length_ns = round((at_ms - rows[n - 1][0]) * MS)
            before = rows[n - 1][1]
            ran_ns += {"run": length_ns, "queue": 0, "stop": 0}.get(before, WOKE_NS)
            queued_ns += length_ns if before == "queue" else 0
        marks = (ran_ns, queued_ns) if schedstat else (None, None)
        found.append(_state(at(at_ms), what, *marks))
    return KernelStates.of(found)


def _state(at_ns: int, what: str, ran_ns: int | None, queued_ns: int | None) -> KernelState:
    if what == "gone":
        return KernelState(at_ns, "X")
    marks = (ran_ns, queued_ns)
    if what in {"run", "queue"}:
        return KernelState(at_ns, "R", None, None, *marks)
    if what == "stop":  # a stopped thread is outside of any call
        return KernelState(at_ns, "T", -1, None, *marks)
    name, _, arg0 = what.partition(" ")
    return KernelState(at_ns, "S", _NUMBERS[name], int(arg0, 0) if arg0 else 0, *marks)


def opened(at_ms: float, epfd: int, share: int) -> EpollEvent:
    """The epoll appeared; descriptors with the same share are the same epoll."""
    return EpollEvent(at(at_ms), epfd, share=share)


def ready(at_ms: float, epfd: int) -> EpollEvent:
    """I/O waits uncollected from now on."""
    return EpollEvent(at(at_ms), epfd, ready=True)


def collected(at_ms: float, epfd: int) -> EpollEvent:
    """Nothing waits any more."""
    return EpollEvent(at(at_ms), epfd, ready=False)


def closed(at_ms: float, epfd: int) -> EpollEvent:
    """The epoll is gone."""
    return EpollEvent(at(at_ms), epfd, closed=True)


def unread(at_ms: float, epfd: int, *sockets: UnreadSocket) -> EpollEvent:
    """A look at the sockets behind the epoll."""
    return EpollEvent(at(at_ms), epfd, unread=sockets)


def sock(
    inode: int,
    size: int = 100,
    *,
    kind: Literal["tcp", "listener", "eof"] = "tcp",
    local: str = "127.0.0.1:8000",
    peer: str = "127.0.0.1:50000",
    inbound: bool = True,
    read: int | None = None,
) -> UnreadSocket:
    """A socket with something to read."""
    return UnreadSocket(inode, kind, size, local, peer, inbound, read)


# --- workers and recordings ----------------------------------------------------------------------


def process(pid: int = 100, role: Role = "worker", **more: Any) -> Worker:
    """A CPython process that can be attached."""
    known = {"ppid": 1, "command": "python main.py", "start_ticks": 5000, "python": "3.12.1"}
    return Worker(pid=pid, role=role, **{**known, **more})


def worker(
    pid: int = 100,
    *,
    shown: Mapping[int, Sequence[Shown]] | None = None,
    kernel: Mapping[int, Sequence[KernelState]] | None = None,
    epolls: Iterable[EpollEvent] = (),
    loops: Iterable[LoopEvent] = (),
    end_ms: float = 10_000,
    **more: Any,
) -> WorkerRecord:
    """One worker's record; ``shown`` becomes one segment from 0 to ``end_ms``."""
    segments = (segment(0, end_ms, shown),) if shown else ()
    known: dict[str, Any] = {
        "segments": segments,
        "states": {tid: KernelStates.of(rows) for tid, rows in (kernel or {}).items()},
        "epolls": EpollEvents.of(sorted(epolls, key=lambda e: e.at_ns)),
        "loops": LoopEvents.of(loops),
        "oracles": {"threads": "ok", "epoll": "ok"},
        "runtime_span": RUNTIME_SPAN,
    }
    return WorkerRecord(process(pid), at(0), **{**known, **more})


def info(end_ms: float = 10_000, min_stall_s: float = 0.1) -> RecordingInfo:
    """What a report says of a recording of that length."""
    return RecordingInfo(
        started_at="2026-01-02T03:04:05+00:00",
        monotonic_start_ns=START_NS,
        duration_s=end_ms / 1000,
        rate_hz=100.0,
        target="100",
        host="web-1",
        end_ns=at(end_ms),
        min_stall_s=min_stall_s,
    )


def recording(
    *workers: WorkerRecord,
    end_ms: float = 10_000,
    sources: SourceLines = SOURCES,
    min_stall_s: float = 0.1,
) -> Recording:
    """A recording of those workers, with the sources of the stacks above."""
    return Recording(info(end_ms, min_stall_s), workers, sources=sources, stacks=STACKS)


# --- sampler output ------------------------------------------------------------------------------


@dataclass
class Trace:
    """Writes events as py-spy does: only what changed, every thread under its root frame."""

    pid: int = 100
    events: list[dict[str, Any]] = field(default_factory=list)
    _open: dict[int, Stack] = field(default_factory=dict)

    def show(self, ts_us: int, pthread: int, root: str, stack_: Stack) -> Trace:
        """That thread shows this stack below the root frame from then on."""
        frames = (Frame(root, "", 0), *stack_)
        before = self._open.get(pthread, ())
        same = 0
        while same < min(len(before), len(frames)) and before[same] == frames[same]:
            same += 1
        for one in reversed(before[same:]):
            self._event(ts_us, pthread, "E", one)
        for one in frames[same:]:
            self._event(ts_us, pthread, "B", one)
        self._open[pthread] = frames
        return self

    def end(self, ts_us: int) -> str:
        """The file's text, with everything closed."""
        for pthread, frames in self._open.items():
            for one in reversed(frames):
                self._event(ts_us, pthread, "E", one)
        self._open.clear()
        return json.dumps(self.events, separators=(",", ":"))

    def _event(self, ts_us: int, pthread: int, phase: str, one: Frame) -> None:
        self.events.append(
            {
                "args": {"filename": one.file, "line": one.line or 0},
                "cat": "py-spy",
                "name": one.function,
                "ph": phase,
                "pid": self.pid,
                "tid": pthread,
                "ts": ts_us,
            }
        )
