"""Names what a thread did in each interval: from its stack, kernel state and source line."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from waitspy.judge import blame, waits
from waitspy.model import syscalls
from waitspy.model.code_origin import Origin, base_name, origin
from waitspy.model.judged import Activity, Wait, WaitKind
from waitspy.model.recorded import SourceLines
from waitspy.model.stacks import Frame, Stack
from waitspy.model.threads import KernelState, ThreadRecord

_WITH = re.compile(r"(?:async\s+)?with\s+(.+?)(?:\s+as\s+\w+)?:")


@dataclass(frozen=True, slots=True)
class Context:
    """What is needed beside the thread itself.

    ``epfds`` are the epoll descriptors of loops that this thread runs, ``own_epfds`` those of them
    that a loop object calls its own; ``runtime_span`` is where the interpreter's globals lie: the
    GIL is there, while Python's own locks are on the heap.
    """

    arch: str
    sources: SourceLines
    epfds: frozenset[int] = frozenset()
    runtime_span: tuple[int, int] | None = None
    own_epfds: frozenset[int] = frozenset()


def activities(thread: ThreadRecord, context: Context) -> tuple[Activity, ...]:
    """The thread's intervals, split where the kernel state changed what they mean."""
    named: dict[tuple[Stack, bool | None, int | None, int | None], Wait] = {}
    result: list[Activity] = []
    n = 0
    states = thread.states
    for interval in thread.intervals:
        while n + 1 < len(states) and states[n + 1].at_ns <= interval.start_ns:
            n += 1
        at_ns, k = interval.start_ns, n
        while at_ns < interval.end_ns:
            known = k < len(states) and states[k].at_ns <= at_ns
            state = states[k] if known else None
            following = states[k + 1] if known and k + 1 < len(states) else None
            if not known and k < len(states):
                following = states[k]
            until_ns = min(interval.end_ns, following.at_ns if following else interval.end_ns)
            key = (
                interval.stack,
                None if state is None else state.state in "Tt",
                state.syscall if state else None,
                state.arg0 if state else None,
            )
            wait = named.get(key)
            if wait is None:
                wait = named[key] = name_wait(interval.stack, state, context)
            _append(result, Activity(at_ns, until_ns, interval.stack, wait))
            k += 1 if known else 0
            at_ns = until_ns
    return tuple(result)


def name_wait(stack: Stack, state: KernelState | None, context: Context) -> Wait:
    """The wait of one stack in one kernel state; without a state, from the stack alone."""
    if state is not None and state.state in "Tt":
        return Wait(WaitKind.UNKNOWN)  # stopped: it waits for nothing of its own
    if state is not None and state.syscall is None:
        return Wait(WaitKind.ON_CPU)
    call_name = syscalls.name(state.syscall, context.arch) if state else None
    if (
        state is not None
        and call_name in syscalls.EPOLL_WAITS
        and state.arg0 in context.epfds
        # A selector of the program's own looks like a loop's, but for the stack above it.
        and (state.arg0 in context.own_epfds or not blame.in_callback(stack))
    ):
        return Wait(WaitKind.LOOP_POLL, syscall=call_name)
    span = context.runtime_span
    arg0 = state.arg0 if state else None
    if call_name == "futex" and span and arg0 is not None and span[0] <= arg0 < span[1]:
        return Wait(WaitKind.GIL, syscall=call_name)
    row = _frame_row(stack)
    if row is not None:
        if state is None and row.call == "selectors.select" and _polls_by_frames(stack):
            return Wait(WaitKind.LOOP_POLL)
        return Wait(row.kind, row.call, call_name)
    return _by_source(stack, call_name, context.sources)


def _append(result: list[Activity], new: Activity) -> None:
    last = result[-1] if result else None
    if last and last.end_ns == new.start_ns and last.stack == new.stack and last.wait == new.wait:
        result[-1] = Activity(last.start_ns, new.end_ns, new.stack, new.wait)
    else:
        result.append(new)


def _polls_by_frames(stack: Stack) -> bool:
    return len(stack) > 1 and base_name(stack[-2].function) == "_run_once"


def _frame_row(stack: Stack) -> waits.FrameRow | None:
    start = len(stack)
    while start > 0 and origin(stack[start - 1].file) is Origin.STDLIB:
        start -= 1
    for n in range(start, len(stack)):
        row = _match(stack, n)
        if row is not None:
            return row
    return None


def _match(stack: Stack, n: int) -> waits.FrameRow | None:
    frame = stack[n]
    function = base_name(frame.function)
    inner = base_name(stack[n + 1].function) if n + 1 < len(stack) else None
    for row in waits.FRAMES:
        if (
            function in row.functions
            and frame.file.endswith(row.file)
            and not (row.leaf and inner is not None)
            and (not row.inner or inner in row.inner)
        ):
            return row
    return None


def _by_source(stack: Stack, syscall: str | None, sources: SourceLines) -> Wait:
    line = source_line(stack[-1], sources) if stack else None
    found = calls(line) if line is not None else []
    for row in waits.CALLS:
        for call in found:
            if row.pattern.search(call) and (not row.syscalls or syscall in row.syscalls):
                return Wait(row.kind, call, syscall)
    kind = waits.SYSCALLS.get(syscall or "", WaitKind.UNKNOWN)
    if kind is WaitKind.LOCK and line is not None and (entered := _WITH.match(line.strip())):
        return Wait(kind, f"with {entered[1]}", syscall)
    # Several calls on one line: which of them waits is not known. A sleep in another system call
    # is a line that was sampled a moment before or after.
    known = len(found) == 1 and (
        kind is WaitKind.SLEEP or not waits.CALLS[0].pattern.search(found[0])
    )
    return Wait(kind, found[0] if known else None, syscall)


def source_line(frame: Frame, sources: Mapping[str, Mapping[int, str]]) -> str | None:
    """The text of a frame's line, where it was read."""
    return sources.get(frame.file, {}).get(frame.line) if frame.line is not None else None


def calls(line: str) -> list[str]:
    """Dotted names of the calls on one source line, outermost first; [] when it is no Python.

    A line that is only part of a statement is completed by the simplest means.
    """
    text = line.strip()
    attempts: Sequence[str] = (
        text, f"{text}\n    pass", f"if 1:\n    pass\n{text}\n    pass", f"{text})", f"({text}",
        f"{text}]", f"try:\n    pass\n{text}\n    pass", f"async def f():\n    {text}",
        f"async def f():\n    {text}\n        pass", f"if 1:\n    pass\n{text}",
        f"try:\n    pass\n{text}", text.rstrip(",("), f"{text}0)",
    )  # fmt: skip
    for attempt in attempts:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes in the target's source
                tree = ast.parse(attempt)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        return [
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and (name := _dotted(node.func))
        ]
    return []


def _dotted(node: ast.expr) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    elif isinstance(node, ast.Call):
        parts.append(f"{_dotted(node.func) or ''}()")
    elif not parts:
        return None
    return ".".join(reversed(parts))
