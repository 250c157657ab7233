"""Names what a thread did in each interval: from its stack, kernel state and source line."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from waitspy.judge import blame, waits
from waitspy.judge.spans import pieces, runs
from waitspy.model import syscalls
from waitspy.model.activities import Activities
from waitspy.model.code_origin import Origin, base_name
from waitspy.model.columns import UNKNOWN, Int64s, int64s, one_of, one_value
from waitspy.model.recorded import SourceLines
from waitspy.model.stacks import Frame, Stack, StackTable
from waitspy.model.threads import NOT_LOOKED, KernelState, KernelStates, ThreadRecord
from waitspy.model.waits import Wait, WaitKind, WaitTable

_LETTER_BITS = 21  # of any character
_NO_CALL = -2
_MEANING_BITS = 16  # there are some for each system call
_WORK_ITEM = "/concurrent/futures/thread.py", "run"
_WITH = re.compile(r"(?:async\s+)?with\s+(.+?)(?:\s+as\s+\w+)?:")


class Names:
    """The waits of a recording by number, and which of them each stack in each state is.

    What is named once for a stack and what the kernel means by its state holds for all threads.
    """

    __slots__ = ("_known", "_meanings", "_numbers", "waits")

    def __init__(self) -> None:
        self.waits = WaitTable()
        self._meanings: list[_Meaning] = []
        self._numbers: dict[_Meaning, int] = {}
        self._known: dict[int, int] = {}

    def meanings(self, told: Iterable[_Meaning]) -> Int64s:
        """The numbers of those meanings."""
        found = []
        for one in told:
            number = self._numbers.setdefault(one, len(self._meanings))
            if number == len(self._meanings):
                self._meanings.append(one)
            found.append(number)
        return int64s(found)

    def numbers(
        self, stack: Int64s, meaning: Int64s, table: StackTable, sources: SourceLines
    ) -> Int64s:
        """The numbers of the waits of stacks that mean that, by number."""
        shown, back = np.unique(stack << _MEANING_BITS | meaning, return_inverse=True)
        keys = shown.tolist()
        waits = [*map(self._known.get, keys)]
        for n, wait in enumerate(waits):
            if wait is None:
                means = self._meanings[keys[n] & (1 << _MEANING_BITS) - 1]
                named = _name(table[keys[n] >> _MEANING_BITS], means, sources)
                waits[n] = self._known[keys[n]] = self.waits.number(named)
        return int64s(waits)[back]


@dataclass(frozen=True, slots=True)
class Context:
    """What is needed beside the thread itself.

    ``epfds`` are the epoll descriptors of loops that this thread runs, ``own_epfds`` those of them
    that a loop object calls its own; ``runtime_span`` is where the interpreter's globals lie: the
    GIL is there, while Python's own locks are on the heap. ``idle`` are the futexes for which
    threads of a pool wait while there is no work. ``names`` are the recording's.
    """

    arch: str
    sources: SourceLines
    epfds: frozenset[int] = frozenset()
    runtime_span: tuple[int, int] | None = None
    own_epfds: frozenset[int] = frozenset()
    idle: frozenset[int] = frozenset()
    names: Names = field(default_factory=Names)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a kernel state says of a thread whatever its stack; all None where it is not known.

    ``polls`` is ``"own"`` where it polls the epoll that a loop object on it calls its own, and
    ``"epoll"`` where that is not known.
    """

    runs: bool | None = None
    stopped: bool = False
    call: str | None = None
    polls: Literal["own", "epoll"] | None = None
    wants_gil: bool = False
    idles: bool = False


def activities(thread: ThreadRecord, context: Context) -> Activities:
    """The thread's intervals, split where the kernel state changed what they mean."""
    shown, states = thread.intervals, thread.states
    meanings, meaning_of = _meanings(states, context)
    start_ns, end_ns, owner = pieces(shown.start_ns, shown.end_ns, states.at_ns)
    stack = shown.stack[owner]
    row = np.searchsorted(states.at_ns, start_ns, "right") - 1
    known = context.names.meanings(meanings)
    meaning = known[np.where(row >= 0, np.append(meaning_of, 0)[row], 0)]
    wait = context.names.numbers(stack, meaning, shown.table, context.sources)
    at = runs(end_ns, start_ns, stack, wait)
    last = np.append(at[1:], len(start_ns)) - 1 if len(at) else at
    none = one_value(0, len(at))
    columns = (start_ns[at], end_ns[last], stack[at], wait[at], none, none, none)
    return Activities(columns, shown.table, context.names.waits)


def _meanings(states: KernelStates, context: Context) -> tuple[list[_Meaning], Int64s]:
    """What differs among those states, and which one each row is; the first is "not known"."""
    call = np.where(states.syscall == UNKNOWN, _NO_CALL, states.syscall)
    first, end = context.runtime_span or (0, 0)
    meant = one_of(states.arg0, context.epfds).astype(np.int64)
    for holds in (
        one_of(states.arg0, context.own_epfds),
        (states.arg0 >= first) & (states.arg0 < end),
    ):
        meant = meant << 1 | holds
    key = call << 3 + _LETTER_BITS | meant << _LETTER_BITS | states.state
    _, at, back = np.unique(key, return_index=True, return_inverse=True)
    return [_Meaning(), *(_meaning(states[n], context) for n in at.tolist())], back + 1


def _meaning(state: KernelState | None, context: Context) -> _Meaning:
    if state is None or state.state == NOT_LOOKED:
        return _Meaning()
    if state.state in "Tt":
        return _Meaning(stopped=True)  # it waits for nothing of its own
    if state.syscall is None:
        return _Meaning(runs=True)
    call = syscalls.name(state.syscall, context.arch)
    polls: Literal["own", "epoll"] | None = None
    if call in syscalls.EPOLL_WAITS and state.arg0 in context.epfds:
        polls = "own" if state.arg0 in context.own_epfds else "epoll"
    span, arg0 = context.runtime_span, state.arg0
    in_runtime = span is not None and arg0 is not None and span[0] <= arg0 < span[1]
    futex = call == "futex"
    return _Meaning(False, False, call, polls, futex and in_runtime, futex and arg0 in context.idle)


def name_wait(stack: Stack, state: KernelState | None, context: Context) -> Wait:
    """The wait of one stack in one kernel state; without a state, from the stack alone."""
    return _name(stack, _meaning(state, context), context.sources)


def _name(stack: Stack, meaning: _Meaning, sources: SourceLines) -> Wait:
    if meaning.stopped:
        return Wait(WaitKind.UNKNOWN)
    if meaning.runs:
        return Wait(WaitKind.ON_CPU)
    # A selector of the program's own looks like a loop's, but for the stack above it.
    if meaning.polls == "own" or (meaning.polls and not blame.in_callback(stack)):
        return Wait(WaitKind.LOOP_POLL, syscall=meaning.call)
    if meaning.wants_gil:
        return Wait(WaitKind.GIL, syscall=meaning.call)
    if meaning.idles:
        return Wait(WaitKind.POOL_IDLE, syscall=meaning.call)
    row = _frame_row(stack)
    if row is not None:
        known = meaning.runs is not None
        if not known and row.call == "selectors.select" and polls_by_frames(stack):
            return Wait(WaitKind.LOOP_POLL)
        return Wait(row.kind, row.call, meaning.call)
    return _by_source(stack, meaning.call, sources)


def polls_by_frames(stack: Stack) -> bool:
    """Whether an asyncio loop polls, by its frames: of a new one, the epoll is not known yet."""
    return (
        len(stack) > 1
        and stack[-1].is_one_of("/selectors.py", "select")
        and base_name(stack[-2].function) == "_run_once"
    )


def _frame_row(stack: Stack) -> waits.FrameRow | None:
    start = len(stack)
    while start > 0 and (
        stack[start - 1].origin is Origin.STDLIB or stack[start - 1].rooted.endswith(waits.ASGIREF)
    ):
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
            and frame.rooted.endswith(row.file)
            and not (row.leaf and inner is not None)
            and (not row.inner or inner in row.inner)
        ):
            return row
    return None


def _by_source(stack: Stack, syscall: str | None, sources: SourceLines) -> Wait:
    if not stack and syscall in syscalls.EPOLL_WAITS:
        return Wait(WaitKind.UNKNOWN, syscall=syscall)  # of whose epoll, nobody can say
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
    # is a line that was sampled a moment before or after. ``self.fn`` says nothing of a C function.
    known = (
        len(found) == 1
        and not stack[-1].is_one_of(*_WORK_ITEM)
        and (kind is WaitKind.SLEEP or not waits.CALLS[0].pattern.search(found[0]))
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
        tree = _parsed(attempt)
        if tree is not None:
            return [
                name
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and (name := _dotted(node.func))
            ]
    return []


def _parsed(text: str) -> ast.Module | None:
    for _ in range(2):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes in the target's source
                return ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None
        except SystemError:  # CPython 3.11 miscounts its own depth now and then (gh-106905)
            continue
    return None


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
