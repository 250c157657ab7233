"""Whose frame is to blame: what a thread shows above the base stack of its event loop.

The base is what the thread shows while its loop polls. A stack that goes through the loop's own
runner is a callback of the running loop; one that does not has left the loop parked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from waitspy.model.activities import Activities, Activity
from waitspy.model.code_origin import Origin, base_name
from waitspy.model.stacks import Frame, Stack
from waitspy.model.waits import Wait, WaitKind

C_CALLBACK, NATIVE_CODE = "a C callback", "native code"
"""Who is blamed where no code of a file is there; the second of a Node.js."""

_RUNNERS = frozenset({"_run_once", "unrolled_run"})  # asyncio (nest_asyncio too), trio
_REACTOR = ("mainLoop", "twisted/internet/base.py")  # polls one frame above, as those do
_ENTRIES = ("asyncio/runners.py", "uvloop/__init__.py")  # their run() has no other frame of uvloop
_TRIO_POLLS = "/trio/_core/_io_"  # called by its run() itself, beside unrolled_run
_GREENLETS = ("/gevent/", "/eventlet/greenthread.py")  # what a hub runs begins there
_OTHER_LOOPS = (*_GREENLETS, "/eventlet/hubs/", "/twisted/internet/", "/curio/")
_GEVENT_THREADS = "/gevent/threadpool.py"  # begins the stacks of threads that run no loop
_MACHINERY = {
    "asyncio/events.py": {"_run"},
    "/threading.py": {"_bootstrap", "_bootstrap_inner", "run"},
    "concurrent/futures/thread.py": {"_worker", "run"},
    "concurrent/futures/process.py": {"_process_worker"},
    "multiprocessing/pool.py": {"worker", "mapstar", "starmapstar"},
    "anyio/_backends/_asyncio.py": {"run"},
    "asgiref/sync.py": {"thread_handler"},
    "/node:internal/timers": {"processImmediate", "processTimers", "listOnTimeout"},
    "/node:internal/process/task_queues": {"processTicksAndRejections", "runNextTicks"},
    "/node:native": {"(program)", "(garbage collector)"},
}
_RUN_MODULE = "asyncio/runners.py"
_RUNS_LOOP = (".run_until_complete", ".run_forever")
_COMPREHENSIONS = frozenset({"<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"})
_LONG_POLL_NS = 200_000_000  # several samples at any rate but the lowest
_LEAST_POLLED = 0.1  # of what the thread polled: where samples come late, any stack has some of it
_GREENLET_HUBS = ("gevent/hub.py", "eventlet/hubs/hub.py")


def base_stack(activities: Activities) -> Stack | None:
    """What the thread showed for the longest time while its loop polled; None if never seen.

    A stack in which the loop's runner calls ``select`` is known to be one, and so is one that
    stands in the call which runs a loop that is written in C. Of others, a poll too
    short to be sampled falls into whatever stack stood around it. So only those count that the
    thread showed mostly while it polled, or during a long poll, and in more than a few of its
    polls: a C function that a loop in C calls shows the stack of the poll as well. A poll that
    has ended shows the same stack until the thread has the GIL.
    """
    stacks, waits, kind = activities.kinds()
    spent_ns = np.bincount(kind, activities.length_ns, len(stacks))
    longest_ns = np.zeros(len(stacks))
    np.maximum.at(longest_ns, kind, activities.length_ns)
    shown: Counter[int] = Counter()
    polled: dict[int, tuple[float, float]] = {}
    for n, (stack, wait) in enumerate(zip(stacks.tolist(), waits.tolist(), strict=True)):
        if activities.waits[wait].kind is not WaitKind.GIL:
            shown[stack] += spent_ns[n]
        if activities.waits[wait].kind is WaitKind.LOOP_POLL:
            before_ns, before_longest_ns = polled.get(stack, (0.0, 0.0))
            longest = max(before_longest_ns, longest_ns[n])
            polled[stack] = before_ns + spent_ns[n], longest
    running = {
        stack
        for stack, wait in zip(stacks.tolist(), waits.tolist(), strict=True)
        if stack in polled and _runs_loop(activities.stacks[stack], activities.waits[wait])
    }
    own = {
        stack: length_ns
        for stack, (length_ns, _) in polled.items()
        if stack in running or _selects(activities.stacks[stack])
    }
    least_ns = _LEAST_POLLED * sum(length_ns for length_ns, _ in polled.values())
    own = own or {
        stack: length_ns
        for stack, (length_ns, longest) in polled.items()
        if length_ns >= least_ns and (length_ns * 2 >= shown[stack] or longest >= _LONG_POLL_NS)
    }
    return activities.stacks[max(own, key=lambda stack: own[stack])] if own else None


def _runs_loop(stack: Stack, wait: Wait) -> bool:
    """Whether the last Python call there is the one that runs an event loop."""
    in_runner = bool(stack) and stack[-1].rooted.endswith(_RUN_MODULE)
    return in_runner or (wait.call or "").endswith(_RUNS_LOOP)


def _selects(stack: Stack) -> bool:
    """Whether the runner of a loop is what polls there."""
    return _last_runner(stack) == len(stack) - 2 and stack[-1].rooted.endswith("/selectors.py")


def in_loop(stack: Stack, base: Stack | None, *, never_idle: bool = False) -> bool:
    """Whether the loop is running below that stack, rather than parked.

    Other loops show no runner frame: there what runs them in the base must lie below.
    With no base at all, a stack without a runner counts as parked, unless the loop is known to
    have been served all the time (``never_idle``), or it is that of a greenlet.
    """
    if _last_runner(stack) is not None:
        return True
    if base is None:
        return never_idle or _is_greenlet(stack)
    if _last_runner(base) is not None:
        return False
    if any(frame.rooted.endswith(_GREENLET_HUBS) for frame in base):
        return True  # greenlets have stacks of their own; the hub is never below them
    return _loops_own(stack, base) is not None


def _loops_own(stack: Stack, base: Stack) -> int | None:
    """How many frames of the stack run the loop, by a base without a runner; None if none do.

    The program's own frames must be at the same lines: elsewhere it may do anything, for instance
    wait for its next job. A library's functions, and whatever calls ``select``, both poll and call
    handlers, so that their lines tell nothing; the function that they call to poll is not below.
    """
    own = len(base)
    selects = own > 1 and base[-1].rooted.endswith("/selectors.py")
    if own > 1 and (selects or _library(base[-2]) == _library(base[-1]) is not None):
        own -= 1
    library = _library(base[own - 1]) if own else None
    exact = own - 1 if selects else own
    while exact and library is not None and _library(base[exact - 1]) == library:
        exact -= 1
    if len(stack) < own or stack[:exact] != base[:exact]:
        return None
    same = all(map(_is_same_function, stack[exact:own], base[exact:own]))
    return own if same else None


def _library(frame: Frame) -> str | None:
    """What a frame belongs to if that calls the program's code: a framework, a library's file."""
    if frame.origin is Origin.FRAMEWORK:
        return frame.home.package
    starts_threads = frame.rooted.endswith("/threading.py")
    return frame.file if frame.origin is Origin.STDLIB and not starts_threads else None


def _is_same_function(one: Frame, other: Frame) -> bool:
    return (one.function, one.file) == (other.function, other.file)


def holds_up(stack: Stack, wait: Wait) -> bool:
    """Whether a thread with that stack and wait keeps a loop of its own from serving.

    A poll is what a thread does when it has nothing to do, unless a callback of one loop runs
    another one: then the outer loop waits for the inner one's poll.
    """
    return wait.kind is not WaitKind.LOOP_POLL or bool(_below_inner_loop(stack))


def guilty_frames(activity: Activity, base: Stack | None) -> Stack:
    """The frames above the loop's base; of a callback that runs another loop, its own frames."""
    if activity.wait.kind is WaitKind.LOOP_POLL:
        return _below_inner_loop(activity.stack)
    return above(activity.stack, base)


def _below_inner_loop(stack: Stack) -> Stack:
    """What lies between the innermost loop and the one whose callback runs it, if there is one."""
    inner = _last_runner(stack)
    outer = _last_runner(stack[:inner], entries=()) if inner else None
    return () if outer is None else stack[outer + 1 : inner]


def above(stack: Stack, base: Stack | None) -> Stack:
    """The frames that belong to the callback, or to what the thread does outside its loop."""
    start = 0
    for mine, its in zip(stack, base or (), strict=False):
        if mine != its:
            break
        start += 1
    runner = _last_runner(stack)
    if base and runner is None and (own := _loops_own(stack, base)) is not None:
        polls = any(map(_is_same_function, stack[own : own + 1], base[own : own + 1]))
        start = max(start, own + polls)
    return stack[max(start, 0 if runner is None else runner + 1) :]


def blamed(frames: Stack) -> Frame | None:
    """The frame to blame among those above the base; None when only a C function is there.

    The deepest frame of the program itself, a comprehension as the function around it (they are
    inlined, or not, as the Python version has it). Where the program is an installed package: the
    deepest frame of the outermost package that is no framework. Else the framework's deepest
    frame, else the outermost library function, which then is the callback. Code that was made as
    the program ran comes after all that has a file, unless it is the callback itself.
    """
    own = [f for f in frames if f.origin is Origin.USER and not f.home.made]
    if own:
        n = len(own) - 1
        while n and _is_comprehension(own[n]) and own[n - 1].file == own[n].file:
            n -= 1
        return own[n]
    packages = _with_files(f for f in frames if f.origin is Origin.PACKAGE)
    if packages:
        outermost = packages[0].home.package
        return [f for f in packages if f.home.package == outermost][-1]
    rest = [f for f in frames if not _is_machinery(f)]
    frameworks = _with_files(f for f in rest if f.origin is Origin.FRAMEWORK)
    if frameworks:
        return frameworks[-1]
    library = [f for f in rest if not f.file.startswith("<frozen ")] or rest
    return library[0] if library else None


def _with_files(frames: Iterable[Frame]) -> list[Frame]:
    """Those that have a file, where some do."""
    found = list(frames)
    return [f for f in found if not f.file.startswith("<")] or found


def stand_in(frame: Frame | None, other: Frame | None) -> Frame | None:
    """The other frame where the blamed one is none of the program's own, or may be none.

    An installed package may be the program: only who waits for it in the program's code is before.
    """
    if other is None or (frame is not None and frame.origin is Origin.USER):
        return frame
    if frame is None or frame.origin is Origin.STDLIB:
        return other
    return other if other.file and other.origin is Origin.USER else frame


def shows_loop(stack: Stack) -> bool:
    """Whether the frames of a running event loop are in the stack (loops in C have none)."""
    other = next((frame for frame in stack if _is_of_other_loop(frame)), None)
    return _last_runner(stack) is not None or (
        other is not None and not other.rooted.endswith(_GEVENT_THREADS)
    )


def _is_greenlet(stack: Stack) -> bool:
    """Whether it begins in what gevent or eventlet has a hub run."""
    first = stack[0].rooted if stack else ""
    return any(place in first for place in _GREENLETS) and not first.endswith(_GEVENT_THREADS)


def _is_of_other_loop(frame: Frame) -> bool:
    return any(library in frame.rooted for library in (*_OTHER_LOOPS, _TRIO_POLLS))


def shows_asyncio(stack: Stack) -> bool:
    """Whether a loop of asyncio, or of uvloop, runs in it."""
    runner = _last_runner(stack)
    return runner is not None and foreign_loop(stack[runner : runner + 1]) is None


def foreign_loop(stack: Stack) -> str | None:
    """The library of a loop whose tasks and timers cannot be read: only its I/O is seen."""
    for frame in stack:
        turns = "/trio/" in frame.rooted and base_name(frame.function) == "unrolled_run"
        if turns or _TRIO_POLLS in frame.rooted:
            return "trio"
        for library in _OTHER_LOOPS:
            if library in frame.rooted:
                return library.strip("/").split("/")[0]
    return None


def starts_thread(stack: Stack) -> bool:
    """Whether it waits for a new thread to begin: that needs nothing but the CPU and the GIL."""
    return any(frame.is_one_of("/threading.py", "start") for frame in stack[-3:])


def in_callback(stack: Stack) -> bool:
    """Whether the stack is certainly inside a callback, so that its poll is not the loop's own.

    A loop polls from its runner (``select`` or the like is the one frame above it), one written
    in C from the ``run`` that entered it.
    """
    runner = _last_runner(stack)
    if runner is None:
        return False
    polls_one_above = base_name(stack[runner].function) in {*_RUNNERS, _REACTOR[0]}
    return len(stack) - 1 - runner > (1 if polls_one_above else 0)


def _last_runner(stack: Stack, entries: tuple[str, ...] = _ENTRIES) -> int | None:
    for n in range(len(stack) - 1, -1, -1):
        frame = stack[n]
        name = base_name(frame.function)
        if (
            (name in _RUNNERS and frame.origin is not Origin.USER)
            or (name == "run" and frame.file.endswith(entries))
            or (name == _REACTOR[0] and frame.file.endswith(_REACTOR[1]))
        ):
            return n
    return None


def _is_comprehension(frame: Frame) -> bool:
    return base_name(frame.function) in _COMPREHENSIONS


def _is_machinery(frame: Frame) -> bool:
    """Library frames between the loop and a callback, or between a thread and its function, and
    what V8 does itself.
    """
    name = base_name(frame.function)
    return any(frame.rooted.endswith(file) and name in names for file, names in _MACHINERY.items())
