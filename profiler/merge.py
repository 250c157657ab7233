"""Many workers' activities become one weighted profile.

A call into C is no Python frame, so a stack that sleeps ends in the function that called
``time.sleep``. Merged stacks therefore end in a *wait frame* that names the wait: its function is
the kind in brackets, then the call where it is known (``[sleep] time.sleep``, ``[lock]``), its file
is empty and its line is None. ``wait_kind`` recognises it. Stacks on the CPU, and those whose wait
is not known, get none and end in their deepest Python frame; but a stack without any frame is shown
as its kind alone (``[unknown]``, ``[on-cpu]``), so that no time disappears.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiler.model import (
    NS,
    Activity,
    Frame,
    Profile,
    Stack,
    ThreadActivity,
    Wait,
    WaitKind,
    WeightedStack,
)

_NOT_A_WAIT = frozenset({WaitKind.ON_CPU, WaitKind.UNKNOWN})
_KINDS = {kind.value: kind for kind in WaitKind}


@dataclass(slots=True)
class _Sum:
    wall_ns: int = 0
    starved_ns: int = 0
    victim_ns: int = 0


def merge(
    threads: Sequence[ThreadActivity],
    *,
    title: str,
    start_ns: int,
    end_ns: int,
    lines: bool = False,
    pid: int | None = None,
) -> Profile:
    """All threads of all workers, or those of worker ``pid``, as one profile.

    ``merged`` joins equal stacks of different workers and threads, each with its wait frame, and is
    sorted by stack; frames are equal when function and file are (their line is then None), and with
    ``lines`` when the line is too. ``threads`` is sorted by pid, tid and time; its activities are
    passed on as they came, with lines and without wait frames. ``start_ns`` and ``end_ns``
    (CLOCK_MONOTONIC) are the profile's clock; activities are not cut to them.
    """
    chosen = sorted((one for one in threads if pid in {None, one.pid}), key=_thread_key)
    sums: dict[Stack, _Sum] = {}
    for thread in chosen:
        for activity in thread.activities:
            total = sums.setdefault(merged_stack(activity, lines=lines), _Sum())
            total.wall_ns += activity.end_ns - activity.start_ns
            total.starved_ns += activity.starved_ns
            total.victim_ns += activity.victim_ns
    merged = tuple(
        WeightedStack(stack, total.wall_ns / NS, total.starved_ns / NS, total.victim_ns / NS)
        for stack, total in sorted(sums.items(), key=lambda item: stack_key(item[0]))
        if total.wall_ns or total.starved_ns or total.victim_ns
    )
    return Profile(title, start_ns, end_ns, merged, tuple(chosen))


def merged_stack(activity: Activity, *, lines: bool) -> Stack:
    """The stack, root first, with its wait frame; without ``lines`` every line is None."""
    stack = activity.stack
    if not lines:
        stack = tuple(Frame(frame.function, frame.file) for frame in stack)
    if activity.wait.kind in _NOT_A_WAIT and stack:
        return stack
    return (*stack, wait_frame(activity.wait))


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


def _thread_key(thread: ThreadActivity) -> tuple[int, int, int, str]:
    # A thread id can be used again by a later thread of the same process.
    first_ns = thread.activities[0].start_ns if thread.activities else 0
    return (thread.pid, thread.tid, first_ns, thread.name)
