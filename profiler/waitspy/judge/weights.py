"""What each activity cost others: how long it starved something, how many waited meanwhile, and
which part of that time is to be looked for elsewhere: at the root of its chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from waitspy.judge import blame
from waitspy.judge.episode import Root, Starvation
from waitspy.judge.spans import pieces
from waitspy.judge.wait_for import Chain, Chains
from waitspy.model.activities import Activities, Answers
from waitspy.model.columns import int64s
from waitspy.model.judged import RootTime
from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind

_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Weighed:
    """The activities, cut at the bounds of the episodes that they starved, with their weights; and
    what of the starved time is at other stacks, those at the roots of chains.
    """

    activities: dict[ThreadKey, Activities]
    roots: tuple[RootTime, ...]


def weigh(
    done: Mapping[ThreadKey, Activities],
    found: Sequence[Starvation],
    chains: Chains,
    names: Mapping[ThreadKey, str],
) -> Weighed:
    """Weighs what every thread did; of tasks there is time at roots only."""
    held: dict[ThreadKey, list[_Held]] = {}
    moved: Counter[Root] = Counter()
    starving = [s for s in found if not s.latent and not s.of_tasks]
    # So many that the sum of all that waited fits into a column, whatever a recording says.
    most = _LARGEST // max(1, sum(s.end_ns - s.start_ns for s in starving))
    for s in starving:
        waiting, many = min(s.waiting, most), len(s.held_by)
        for key in s.held_by:
            one = _Held(s.start_ns, s.end_ns, waiting, many, _root(s, key, chains))
            held.setdefault(key, []).append(one)
    known: Answers = {}
    weighed = {
        key: _weighed(activities, held[key], moved, known) if key in held else activities
        for key, activities in done.items()
    }
    for s in found:
        if s.of_tasks and not s.latent:
            moved.update(_of_tasks(s, chains))
    roots = (
        RootTime(key.pid, key.tid, names.get(key, ""), stack, wait, root_ns)
        for (key, stack, wait), root_ns in moved.items()
        if root_ns > 0
    )
    return Weighed(weighed, tuple(roots))


class _Held(NamedTuple):
    """A span in which a thread starved something: how many things waited, how many threads starved
    them together, and the root of the chain, where that is another one.
    """

    start_ns: int
    end_ns: int
    waiting: int
    many: int
    root: Root | None


def _root(s: Starvation, key: ThreadKey, chains: Chains) -> Root | None:
    """Where the chain of a thread that starved something ends; None: there, or nobody knows."""
    chain = None if s.links else chains.of(key, s.start_ns, s.end_ns)
    if chain is None or chain.ring or len(chain.links) < 2:
        return None
    return _end(chain)


def _end(chain: Chain) -> Root | None:
    did = chain.did[-1]
    return None if did is None else (chain.parties[-1].home, did.stack, did.wait)


def _of_tasks(s: Starvation, chains: Chains) -> dict[Root, int]:
    """The time of an episode of tasks, at the root of its chain, else where they hold things up."""
    whole_ns = s.end_ns - s.start_ns
    if s.root is not None:
        return {s.root: whole_ns}
    chain = chains.of(s.thread, s.start_ns, s.end_ns)
    end = None if chain is None or chain.ring else _end(chain)
    if end is not None:
        return {end: whole_ns}
    found: Counter[Root] = Counter()
    sum_ns = max(1, sum(a.end_ns - a.start_ns for a in s.guilty))
    for key, mine in s.held_by.items():
        for a in mine:
            found[key, a.stack, a.wait] += (a.end_ns - a.start_ns) * whole_ns // sum_ns
    return found


def _weighed(
    activities: Activities,
    held: Sequence[_Held],
    moved: Counter[Root],
    known: Answers,
) -> Activities:
    """Threads that starve something together share the time: weights add up to what was starved.

    What is to be told at roots is added to ``moved``.
    """
    bounds = int64s(at_ns for one in held for at_ns in (one.start_ns, one.end_ns))
    start_ns, end_ns, owner = pieces(activities.start_ns, activities.end_ns, bounds)
    length_ns = end_ns - start_ns
    holds = activities.of_kind(_holds, known)[owner]
    starved_ns, victim_ns, root_ns = (np.zeros_like(length_ns) for _ in range(3))
    spans: list[slice] = []
    for one in held:
        first = np.searchsorted(start_ns, one.start_ns)
        here = slice(int(first), int(np.searchsorted(end_ns, one.end_ns, "right")))
        spans.append(here)
        own_ns = np.where(holds[here], length_ns[here], 0)
        starved_ns[here] = np.maximum(starved_ns[here], own_ns // one.many)
        victim_ns[here] += own_ns * one.waiting // one.many
        if one.root is None:
            root_ns[here] = np.maximum(root_ns[here], own_ns // one.many)
    left_ns = starved_ns - root_ns
    for one, here in zip(held, spans, strict=True):
        if one.root is not None:
            moved[one.root] += int(left_ns[here].sum())
            left_ns[here] = 0
    columns = (
        start_ns, end_ns, activities.stack[owner], activities.wait[owner], starved_ns, victim_ns,
        root_ns,
    )  # fmt: skip
    return Activities(columns, activities.stacks, activities.waits)


def _holds(stack: Stack, wait: Wait) -> bool:
    """Waiting for work, in a loop's poll or as an idle thread of a pool, holds nobody up."""
    return wait.kind is not WaitKind.POOL_IDLE and blame.holds_up(stack, wait)
