"""How a stack is shown: with a frame that names its wait.

A call into C is no Python frame, so a stack that sleeps ends in the function that called
``time.sleep``. Merged stacks therefore end in a *wait frame* that names the wait: its function is
the kind in brackets, then the call where it is known (``[sleep] time.sleep``, ``[lock]``), its file
is empty and its line is None. ``wait_kind`` recognises it. Stacks on the CPU, and those whose wait
is not known, get none and end in their deepest Python frame; but a stack without any frame is shown
as its kind alone (``[unknown]``, ``[on-cpu]``), so that no time disappears.
"""

from __future__ import annotations

from waitspy.model.stacks import Frame, Stack
from waitspy.model.waits import Wait, WaitKind

_NOT_A_WAIT = frozenset({WaitKind.ON_CPU, WaitKind.UNKNOWN})
_KINDS = {kind.value: kind for kind in WaitKind}


def merged_stack(stack: Stack, wait: Wait, *, lines: bool) -> Stack:
    """The stack, root first, with its wait frame; without ``lines`` every line is None."""
    if not lines:
        stack = tuple(frame.without_line() for frame in stack)
    if wait.kind in _NOT_A_WAIT and stack:
        return stack
    return (*stack, wait_frame(wait))


def wait_frame(wait: Wait) -> Frame:
    """The frame that stands for a wait: ``[kind] call`` or ``[kind]``, without file and line."""
    call = f" {wait.call}" if wait.call else ""
    return Frame(f"[{wait.kind}]{call}", "")


def wait_kind(frame: Frame) -> WaitKind | None:
    """The kind that a wait frame names; None for a frame of code."""
    if frame.file or frame.line is not None or not frame.function.startswith("["):
        return None
    return _KINDS.get(frame.function[1:].partition("]")[0])


def stack_key(stack: Stack) -> tuple[tuple[str, str, int], ...]:
    """The order of stacks: by function, file and line of each frame, root first."""
    return tuple(
        (frame.function, frame.file, -1 if frame.line is None else frame.line) for frame in stack
    )
