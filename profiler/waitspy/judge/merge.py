"""Many workers' activities become one weighted profile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from waitspy.model.activities import ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.judged import Profile, RootTime, WeightedStack
from waitspy.model.stacks import Stack
from waitspy.model.wait_frames import merged_stack, stack_key


def merge(
    threads: Sequence[ThreadActivity],
    roots: Sequence[RootTime] = (),
    *,
    title: str,
    start_ns: int,
    end_ns: int,
    lines: bool = False,
    pid: int | None = None,
) -> Profile:
    """All threads of all workers, or those of worker ``pid``, as one profile; with what is at the
    ``roots`` of chains.

    ``merged`` joins equal stacks of different workers and threads, each with its wait frame, and is
    sorted by stack; frames are equal when function and file are (their line is then None), and with
    ``lines`` when the line is too. ``threads`` is sorted by pid, tid and time; its activities are
    passed on as they came, with lines and without wait frames. ``start_ns`` and ``end_ns``
    (CLOCK_MONOTONIC) are the profile's clock; activities are not cut to them.
    """
    chosen = sorted((one for one in threads if pid in {None, one.pid}), key=_thread_key)
    sums: dict[Stack, list[int]] = {}
    shown: dict[tuple[int, int, int], list[int]] = {}  # by table, stack and wait
    for thread in chosen:
        done = thread.activities
        stacks, waits, kind = done.kinds()
        totals = np.zeros((len(stacks), 4), np.int64)
        columns = [done.length_ns, done.starved_ns, done.victim_ns, done.root_ns]
        np.add.at(totals, kind, np.stack(columns, 1))
        for stack, wait, added in zip(
            stacks.tolist(), waits.tolist(), totals.tolist(), strict=True
        ):
            key = id(done.stacks), stack, wait
            total = shown.get(key)
            if total is None:
                whole = merged_stack(done.stacks[stack], done.waits[wait], lines=lines)
                total = shown[key] = sums.setdefault(whole, [0, 0, 0, 0])
            for n, value in enumerate(added):
                total[n] += value
    elsewhere = tuple(one for one in roots if pid in {None, one.pid})
    for root in elsewhere:
        whole = merged_stack(root.stack, root.wait, lines=lines)
        sums.setdefault(whole, [0, 0, 0, 0])[-1] += root.root_ns
    merged = tuple(
        WeightedStack(stack, *(value / NS for value in total))
        for stack, total in sorted(sums.items(), key=lambda item: stack_key(item[0]))
        if any(total)
    )
    return Profile(title, start_ns, end_ns, merged, tuple(chosen), roots=elsewhere)


def _thread_key(thread: ThreadActivity) -> tuple[int, int, int, str]:
    # A thread id can be used again by a later thread of the same process.
    first_ns = thread.activities[0].start_ns if len(thread.activities) else 0
    return (thread.pid, thread.tid, first_ns, thread.name)
