"""What threads did, in columns: stacks and waits over time, with what they cost others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from waitspy.model.columns import Int64s, Mask, Rows, int64s
from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Stack, StackTable
from waitspy.model.waits import Wait, WaitTable


@dataclass(frozen=True, slots=True)
class Activity:
    """What a thread did in an interval, and what that cost others.

    ``starved_ns`` is the part of the interval during which it starved something,
    ``victim_ns`` the same multiplied by how many items waited; ``root_ns`` is the part of the first
    that is not told at another stack, the root of a chain.
    """

    start_ns: int
    end_ns: int
    stack: Stack
    wait: Wait
    starved_ns: int = 0
    victim_ns: int = 0
    root_ns: int = 0


Answers = dict[tuple[int, int], bool]
"""Whether something holds, by the numbers of a stack and a wait."""


class Activities(Rows[Activity]):
    """The activities of one thread in time order, without overlap; each row is an Activity.

    ``stack`` and ``wait`` are numbers of the two tables.
    """

    __slots__ = (
        "end_ns", "root_ns", "stack", "stacks", "start_ns", "starved_ns", "victim_ns", "wait",
        "waits",
    )  # fmt: skip

    def __init__(self, columns: Sequence[Int64s], stacks: StackTable, waits: WaitTable) -> None:
        self.start_ns, self.end_ns, self.stack, self.wait, *weights = columns
        self.starved_ns, self.victim_ns, self.root_ns = weights
        self.stacks, self.waits = stacks, waits

    @classmethod
    def of(cls, rows: Iterable[Activity], stacks: StackTable, waits: WaitTable) -> Activities:
        """The columns of those rows."""
        kept = list(rows)
        columns = (
            int64s(a.start_ns for a in kept),
            int64s(a.end_ns for a in kept),
            int64s(stacks.number(a.stack) for a in kept),
            int64s(waits.number(a.wait) for a in kept),
            int64s(a.starved_ns for a in kept),
            int64s(a.victim_ns for a in kept),
            int64s(a.root_ns for a in kept),
        )
        return cls(columns, stacks, waits)

    @property
    def columns(self) -> tuple[Int64s, ...]:
        """All columns, in the order in which they are given."""
        return (
            self.start_ns, self.end_ns, self.stack, self.wait, self.starved_ns, self.victim_ns,
            self.root_ns,
        )  # fmt: skip

    @property
    def length_ns(self) -> Int64s:
        """How long each of them lasted."""
        return self.end_ns - self.start_ns

    def kinds(self) -> tuple[Int64s, Int64s, Int64s]:
        """The distinct pairs of a stack and a wait, and which pair each activity is."""
        key, back = np.unique(self.stack * len(self.waits) + self.wait, return_inverse=True)
        many = max(1, len(self.waits))
        return key // many, key % many, back

    def of_kind(
        self,
        holds: Callable[[Stack, Wait], bool],
        known: Answers | None = None,
    ) -> Mask:
        """Which of them have a stack and a wait of which that holds; each pair is asked once.

        ``known`` are the answers for pairs of the same tables, and get those that are new.
        """
        stacks, waits, kind = self.kinds()
        known = {} if known is None else known
        answers = []
        for pair in zip(stacks.tolist(), waits.tolist(), strict=True):
            answer = known.get(pair)
            if answer is None:
                answer = known[pair] = holds(self.stacks[pair[0]], self.waits[pair[1]])
            answers.append(answer)
        return np.array(answers, np.bool_)[kind]

    def in_wait(self, holds: Callable[[Wait], bool]) -> Mask:
        """Which of them have a wait of which that holds, whatever their stack is."""
        waits, which = np.unique(self.wait, return_inverse=True)
        return np.array([holds(self.waits[n]) for n in waits.tolist()], np.bool_)[which]

    def overlapping(self, start_ns: int, end_ns: int) -> slice:
        """Which of them share time with a span."""
        first = np.searchsorted(self.end_ns, start_ns, "right")
        return slice(int(first), int(np.searchsorted(self.start_ns, end_ns, "left")))

    def _row(self, *values: int) -> Activity:
        start_ns, end_ns, stack, wait, *weights = values
        return Activity(start_ns, end_ns, self.stacks[stack], self.waits[wait], *weights)

    def _like(self, columns: Sequence[Int64s]) -> Self:
        return type(self)(columns, self.stacks, self.waits)


NO_ACTIVITIES = Activities.of((), StackTable(), WaitTable())


def by_process(
    done: Mapping[ThreadKey, Activities],
) -> dict[ThreadKey, dict[ThreadKey, Activities]]:
    """What the threads of each process did, under the key that its thread 0 would have."""
    found: dict[ThreadKey, dict[ThreadKey, Activities]] = {}
    for key, activities in done.items():
        found.setdefault(key._replace(tid=0), {})[key] = activities
    return found


@dataclass(frozen=True, slots=True)
class ThreadActivity:
    """One thread's activities in time order, without overlap; gaps mean that nothing is known."""

    pid: int
    tid: int
    name: str
    activities: Activities
