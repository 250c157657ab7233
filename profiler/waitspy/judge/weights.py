"""What each activity cost others: how long it starved something, and how many waited meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from waitspy.judge import blame
from waitspy.judge.episode import Starvation
from waitspy.judge.spans import pieces
from waitspy.model.activities import Activities
from waitspy.model.columns import int64s
from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Stack
from waitspy.model.waits import Wait, WaitKind

_LARGEST = 1 << 62


def weigh(
    done: Mapping[ThreadKey, Activities], found: Sequence[Starvation]
) -> dict[ThreadKey, Activities]:
    """The activities, cut at the bounds of the episodes that they starved, with both weights."""
    held: dict[ThreadKey, list[_Held]] = {}
    starving = [s for s in found if not s.latent and not s.of_tasks]
    # So many that the sum of all that waited fits into a column, whatever a recording says.
    most = _LARGEST // max(1, sum(s.end_ns - s.start_ns for s in starving))
    for s in starving:
        one = s.start_ns, s.end_ns, min(s.waiting, most), len(s.held_by)
        for key in s.held_by:
            held.setdefault(key, []).append(one)
    return {
        key: _weighed(activities, held[key]) if key in held else activities
        for key, activities in done.items()
    }


_Held = tuple[int, int, int, int]
"""From, to, how many waited, and how many threads starved them together."""


def _weighed(activities: Activities, held: Sequence[_Held]) -> Activities:
    """Threads that starve something together share the time: weights add up to what was starved."""
    bounds = int64s(at_ns for one in held for at_ns in one[:2])
    start_ns, end_ns, owner = pieces(activities.start_ns, activities.end_ns, bounds)
    length_ns = end_ns - start_ns
    holds = activities.of_kind(_holds)[owner]
    starved_ns, victim_ns = np.zeros_like(length_ns), np.zeros_like(length_ns)
    for from_ns, to_ns, waiting, many in held:
        first, last = np.searchsorted(start_ns, from_ns), np.searchsorted(end_ns, to_ns, "right")
        here = slice(int(first), int(last))
        own_ns = np.where(holds[here], length_ns[here], 0)
        starved_ns[here] = np.maximum(starved_ns[here], own_ns // many)
        victim_ns[here] += own_ns * waiting // many
    columns = (
        start_ns, end_ns, activities.stack[owner], activities.wait[owner], starved_ns, victim_ns,
    )  # fmt: skip
    return Activities(columns, activities.stacks, activities.waits)


def _holds(stack: Stack, wait: Wait) -> bool:
    """Waiting for work, in a loop's poll or as an idle thread of a pool, holds nobody up."""
    return wait.kind is not WaitKind.POOL_IDLE and blame.holds_up(stack, wait)
