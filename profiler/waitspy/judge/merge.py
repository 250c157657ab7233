"""Many workers' activities become one weighted profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from waitspy.model.activities import Activities, ThreadActivity
from waitspy.model.clock import NS
from waitspy.model.columns import Int64s
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
    for done, totals in _totals(chosen):
        for stack, wait, *added in totals:
            whole = merged_stack(done.stacks[stack], done.waits[wait], lines=lines)
            total = sums.setdefault(whole, [0, 0, 0, 0])
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


def _totals(threads: Sequence[ThreadActivity]) -> Iterator[tuple[Activities, list[list[int]]]]:
    """Rows of a stack, a wait and their sums, for all threads whose tables are the same."""
    alike: dict[int, list[Activities]] = {}
    for thread in threads:
        alike.setdefault(id(thread.activities.stacks), []).append(thread.activities)
    for group in alike.values():
        many_waits = max(1, len(group[0].waits))
        keys, sums = [], []
        for done in group:
            stacks, waits, kind = done.kinds()
            keys.append(stacks * many_waits + waits)
            lengths = done.length_ns, done.starved_ns, done.victim_ns, done.root_ns
            sums.append([_sums(column, kind, len(stacks)) for column in lengths])
        key, back = np.unique(np.concatenate(keys), return_inverse=True)
        columns = [np.concatenate(parts) for parts in zip(*sums, strict=True)]
        totals = [_sums(column, back, len(key)) for column in columns]
        rows = np.stack([key // many_waits, key % many_waits, *totals], 1)
        yield group[0], rows.tolist()


def _sums(column: Int64s, kind: Int64s, many: int) -> Int64s:
    total = np.zeros(many, np.int64)
    np.add.at(total, kind, column)
    return total


def _thread_key(thread: ThreadActivity) -> tuple[int, int, int, str]:
    # A thread id can be used again by a later thread of the same process.
    first_ns = thread.activities[0].start_ns if len(thread.activities) else 0
    return (thread.pid, thread.tid, first_ns, thread.name)
