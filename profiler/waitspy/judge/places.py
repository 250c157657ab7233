"""Where to look next: the lines at which tasks and threads have waited the longest. No finding.

A wait at a line says nothing of who suffers from it: an idle server waits at many. So each place
says what it waits in, and whether idle tasks and threads usually wait so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from waitspy.judge import blame, object_servers
from waitspy.judge.classify import source_line
from waitspy.model.activities import Activities, Activity, by_process
from waitspy.model.clock import NS
from waitspy.model.code_origin import Origin, base_name
from waitspy.model.columns import UNKNOWN
from waitspy.model.judged import Place, PlaceWait, TasksLooked
from waitspy.model.oracle_names import PLACES, THREADS
from waitspy.model.places import PlacesEvent, TaskGroup
from waitspy.model.processes import ThreadKey
from waitspy.model.recorded import SourceLines, WorkerRecord
from waitspy.model.stacks import Frame, Stack
from waitspy.model.threads import NO_STATES, KernelStates
from waitspy.model.unsent import Unsent
from waitspy.model.waits import Wait, WaitKind

_LEAST_NS = NS  # of a thread's wait
_LEAST_SHARE = 0.5  # of the time in which it was watched
_TOGETHER_NS = NS // 4  # waits that end so soon after each other are over for one reason

_NOT_WAITS = frozenset({WaitKind.ON_CPU, WaitKind.GIL, WaitKind.LOOP_POLL, WaitKind.UNKNOWN})
_IDLE_WAITS = frozenset({WaitKind.POOL_IDLE, WaitKind.QUEUE, WaitKind.SLEEP, WaitKind.JOIN})
_FUTURES = {"_GatheringFuture": "gather"}

_LOCKS = {
    "/asyncio/locks.py": frozenset({"acquire"}),
    "/tornado/locks.py": frozenset({"__aenter__"}),
}
_IDLE = {
    "/asyncio/queues.py": frozenset({"get", "join"}),
    "/asyncio/streams.py": frozenset({"read", "readline", "readuntil", "readexactly"}),
    "/asyncio/tasks.py": frozenset({"sleep"}),
    "/asyncio/base_events.py": frozenset({"serve_forever"}),
}
"""Functions of asyncio, and Tornado, that wait for what others hold, and those in which idle tasks
wait.
"""

_SERVER = "/socketserver.py", "serve_forever"
_HANDED_OUT = {
    "/socketserver.py": frozenset({"finish_request"}),
    "/concurrent/futures/thread.py": frozenset({"run"}),
    "/multiprocessing/pool.py": frozenset({"worker"}),
}
"""Functions of the library: in which an idle server waits, and that run what was asked for."""

_COMMAND_LINES = frozenset({"click", "typer"})  # what they call is the whole program


@dataclass(frozen=True, slots=True)
class _Seen:
    """Tasks of one loop, or a thread, that wait at one place; ``Place`` without what is shared."""

    pid: int
    frame: Frame
    awaits: str
    wait: PlaceWait
    count: int
    longest_ns: int | None
    sure: bool
    unsent: Unsent | None = None


def find(
    workers: Sequence[WorkerRecord],
    done: Mapping[ThreadKey, Activities],
    sources: SourceLines,
    end_ns: int,
) -> tuple[Place, ...] | None:
    """Where tasks wait at the last look at each loop, and where threads stood most of the time.

    None when neither is known of any worker. Places at which idle ones wait come last, the others
    by how much has been waited there.
    """
    of_tasks = [worker for worker in workers if _is_known(worker)]
    of_threads = [worker for worker in workers if worker.oracles.get(THREADS) == "ok"]
    if not of_tasks and not of_threads:
        return None
    tasks = (one for worker in of_tasks for one in _tasks_of(worker, end_ns))
    mine = by_process(done)
    threads = (
        one
        for worker in of_threads
        for one in _threads_of(worker, mine.get(worker.thread(0), {}), end_ns)
    )
    places = [*_grouped("task", tasks, sources), *_grouped("thread", threads, sources)]
    return tuple(sorted(places, key=_order))


def looked(workers: Iterable[WorkerRecord], end_ns: int) -> TasksLooked | None:
    """How many tasks there were at the last looks, and were looked at; None: not known."""
    known = [worker for worker in workers if _is_known(worker)]
    if not known:
        return None
    last = [look for worker in known for look, _ in _last_looks(worker, end_ns)]
    return TasksLooked(sum(one.pending for one in last), sum(one.looked for one in last))


def _is_known(worker: WorkerRecord) -> bool:
    """Whether its tasks were looked at, or it has no loop that could have any."""
    if worker.oracles.get(PLACES) != "ok":
        return False
    return bool(worker.places) or not worker.loops.facts


def _tasks_of(worker: WorkerRecord, end_ns: int) -> Iterator[_Seen]:
    for look, at_ns in _last_looks(worker, end_ns):
        for group in look.groups or ():
            yield _of_group(worker.worker.pid, group, look.at_ns, at_ns)


def _last_looks(worker: WorkerRecord, end_ns: int) -> Iterator[tuple[PlacesEvent, int]]:
    """Of each loop that was there at the last look: what was told last, and until when it held."""
    if not worker.places or (worker.gone_ns is not None and worker.gone_ns < end_ns):
        return
    last_ns = worker.places[-1].at_ns
    told: dict[int, PlacesEvent] = {}
    for event in worker.places:
        if event.groups is not None:
            told[event.loop] = event
    loops = {event.loop for event in worker.places if event.at_ns == last_ns}
    yield from ((told[loop], last_ns) for loop in sorted(loops) if loop in told)


def _of_group(pid: int, group: TaskGroup, told_ns: int, at_ns: int) -> _Seen:
    frame = blame.blamed(group.stack) or Frame("?", "")
    since_ns = group.since_ns
    if since_ns is None and at_ns > told_ns:  # all of them were there again
        since_ns = told_ns
    longest_ns = None if since_ns is None else at_ns - since_ns
    awaits, wait = _awaited(group, frame)
    return _Seen(pid, frame, awaits, wait, group.count, longest_ns, group.still, group.unsent)


def _awaited(group: TaskGroup, frame: Frame) -> tuple[str, PlaceWait]:
    """What the tasks at that frame wait for in the end.

    That is the innermost function of a package, or of the library the outermost one of the file
    that waits: ``StreamReader.readline`` says more than what it calls. Without either, it is the
    future itself.
    """
    before, below = _around(group.stack, frame) if frame in group.stack else ((), ())
    if not below:
        future = group.future or "?"
        return _FUTURES.get(future, future), _usual(frame, None)
    last = below[-1]
    run = [
        one
        for one in below
        if one.file == last.file and not base_name(one.function).startswith("__")
    ]
    called = run[0] if run and last.origin is Origin.STDLIB else last
    line = "" if called.line is None else f":{called.line}"
    usual = _usual(frame, called)
    if usual == "idle" and frame.origin is Origin.USER and _is_for_request(before, below):
        usual = "other"
    return f"{called.function} ({called.home.short}{line})", usual


def _is_for_request(before: Stack, below: Stack) -> bool:
    """Whether a framework runs the program's code for somebody, and that does not wait for the
    framework: for what its client says next, for instance.
    """
    return any(map(_hands_out, before)) and all(one.origin is not Origin.FRAMEWORK for one in below)


def _usual(frame: Frame, called: Frame | None) -> PlaceWait:
    if called is not None and _is_one(called, _LOCKS):
        return "lock"
    if frame.origin in {Origin.FRAMEWORK, Origin.STDLIB}:
        return "idle"  # a framework's own task: it waits for the next request
    return "idle" if called is not None and _is_one(called, _IDLE) else "other"


def _is_one(frame: Frame, known: Mapping[str, frozenset[str]]) -> bool:
    return any(
        frame.file.endswith(file) and base_name(frame.function) in names
        for file, names in known.items()
    )


# --- threads -----------------------------------------------------------------------------------


def _threads_of(
    worker: WorkerRecord, own: Mapping[ThreadKey, Activities], end_ns: int
) -> Iterator[_Seen]:
    """Its threads that waited at one place for most of the time, and those that did with what was
    asked for when such a wait was seen last: where each request has a thread of its own, none of
    them is there for long.

    Only in a wait of the program's own code: a server's idle threads are the server's matter.
    """
    until_ns = end_ns if worker.gone_ns is None else min(end_ns, worker.gone_ns)
    least_ns = max(_LEAST_NS, int((until_ns - worker.attached_ns) * _LEAST_SHARE))
    shorter: list[tuple[ThreadKey, Activity]] = []
    for key, activities in own.items():
        longest = max(_waits(activities, least_ns), key=_length_ns, default=None)
        if longest is not None:
            states = worker.states.get(key.tid, NO_STATES)
            yield from _waiting(key.pid, longest, states, least_ns)
        else:
            asked = [one for one in _waits(activities, _LEAST_NS) if _is_asked_for(one)]
            shorter += [(key, one) for one in asked[-1:]]
    last_ns = max((one.end_ns for _, one in shorter), default=0)
    for key, one in shorter:
        if last_ns - one.end_ns <= _TOGETHER_NS:
            states = worker.states.get(key.tid, NO_STATES)
            yield from _waiting(key.pid, one, states, _LEAST_NS)


def _waits(activities: Activities, least_ns: int) -> list[Activity]:
    long = [activities[n] for n in (activities.length_ns >= least_ns).nonzero()[0].tolist()]
    return [one for one in long if one.wait.kind not in _NOT_WAITS]


def _is_asked_for(wait: Activity) -> bool:
    """Whether it is a wait of the program's code with what somebody has asked for."""
    frame = _own(wait.stack)
    return frame is not None and any(map(_hands_out, _around(wait.stack, frame)[0]))


def _waiting(pid: int, longest: Activity, states: KernelStates, least_ns: int) -> Iterator[_Seen]:
    """That wait of a thread, if it is one of the program's own code."""
    frame = _own(longest.stack)
    if frame is not None and not blame.shows_loop(longest.stack):
        awaits, wait = _called(longest.wait)
        before, after = _around(longest.stack, frame)
        if any(one.is_one_of(*_SERVER) for one in after) or object_servers.keeps_objects(after):
            wait = "idle"
        elif any(map(_hands_out, before)):
            wait = "other"
        stood_ns = _stood_ns(states, longest)
        sure = stood_ns >= least_ns
        length_ns = stood_ns if sure else _length_ns(longest)
        yield _Seen(pid, frame, awaits, wait, 1, length_ns, sure)


def _around(stack: Stack, frame: Frame) -> tuple[Stack, Stack]:
    """What called that frame, and what it has called."""
    at = len(stack) - 1 - stack[::-1].index(frame)
    return stack[:at], stack[at + 1 :]


def _hands_out(frame: Frame) -> bool:
    """Whether it runs what somebody has asked for: who waits in that is not idle."""
    home = frame.home
    if home.origin is Origin.FRAMEWORK:
        return home.package not in _COMMAND_LINES
    return _is_one(frame, _HANDED_OUT)


def _stood_ns(states: KernelStates, activity: Activity) -> int:
    """The longest part of it in which the thread did not run: so long it was one and the same wait.

    Zero without schedstat: a thread may have run and waited again between two looks.
    """
    if not (states.ran_ns != UNKNOWN).any():
        return 0
    start_ns, end_ns = states.still
    shared_ns = np.minimum(end_ns, activity.end_ns) - np.maximum(start_ns, activity.start_ns)
    return int(shared_ns.max(initial=0))


def _length_ns(activity: Activity) -> int:
    return activity.end_ns - activity.start_ns


def _own(stack: Stack) -> Frame | None:
    frame = blame.blamed(stack)
    return frame if frame is not None and frame.origin is Origin.USER else None


def _called(wait: Wait) -> tuple[str, PlaceWait]:
    idle = wait.kind in _IDLE_WAITS or (wait.syscall or "").startswith("accept")
    named = wait.call or str(wait.kind)
    return f"{named} ({wait.syscall})" if wait.syscall else named, "idle" if idle else "other"


def of_wait(pid: int, frame: Frame, wait: Activity, sources: SourceLines) -> Place:
    """A thread at that frame, in that wait."""
    awaits, usual = _called(wait.wait)
    seen = _Seen(pid, frame, awaits, usual, 1, _length_ns(wait), sure=False)
    return _place("thread", [seen], sources)


# --- places ------------------------------------------------------------------------------------


def _grouped(
    what: Literal["task", "thread"], seen: Iterable[_Seen], sources: SourceLines
) -> Iterator[Place]:
    groups: dict[tuple[Frame, str], list[_Seen]] = {}
    for one in seen:
        groups.setdefault((one.frame, one.awaits), []).append(one)
    for group in groups.values():
        yield _place(what, group, sources)


def _place(what: Literal["task", "thread"], group: Sequence[_Seen], sources: SourceLines) -> Place:
    first = group[0]
    ages = [(one.longest_ns, one.sure) for one in group if one.longest_ns is not None]
    longest_ns, sure = max(ages) if ages else (None, False)
    return Place(
        what=what,
        function=first.frame.function,
        file=first.frame.file or None,
        line=first.frame.line,
        source=source_line(first.frame, sources),
        awaits=first.awaits,
        wait=first.wait,
        count=sum(one.count for one in group),
        longest_s=None if longest_ns is None else longest_ns / NS,
        sure=sure,
        pids=tuple(sorted({one.pid for one in group})),
        own=bool(first.frame.file) and first.frame.origin is Origin.USER,
        unsent=_unsent([one.unsent for one in group if one.unsent is not None]),
    )


def _unsent(each: Sequence[Unsent]) -> Unsent | None:
    """That of several groups together."""
    if not each:
        return None
    most = max(each, key=lambda one: (one.refused, one.size))
    size, many = sum(one.size for one in each), sum(one.connections for one in each)
    return Unsent(most.peer, size, many, most.refused)


def _order(place: Place) -> tuple[bool, bool, float, int, str, int, str]:
    """Idle places last; of the others those of the program first, where the most is waited."""
    waited_s = place.count * (place.longest_s or 0.0)
    where = (place.file or place.function, place.line or 0, place.awaits)
    return place.wait == "idle", not place.own, -waited_s, -place.count, *where
