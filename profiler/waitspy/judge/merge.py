"""Many workers' activities become one weighted profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from waitspy.model.clock import NS
from waitspy.model.judged import Profile, ThreadActivity, WeightedStack
from waitspy.model.stacks import Stack
from waitspy.model.wait_frames import merged_stack, stack_key


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


def _thread_key(thread: ThreadActivity) -> tuple[int, int, int, str]:
    # A thread id can be used again by a later thread of the same process.
    first_ns = thread.activities[0].start_ns if thread.activities else 0
    return (thread.pid, thread.tid, first_ns, thread.name)
