"""What threads and tasks need to go on, and which of them never get it.

Who needs something that only such ones hold as cannot go on themselves, cannot go on either: a ring
of those that wait for each other, and whoever waits for one of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from waitspy.model.processes import ThreadKey
from waitspy.model.stacks import Frame
from waitspy.model.wait_for import Held, How, WaitForEvent

FROM_OUTSIDE: frozenset[Held] = frozenset({"message", "reply"})
"""What another process has to send."""

_ONE_HOLDER: frozenset[Held] = FROM_OUTSIDE | {
    "lock", "thread", "future", "task", "loop", "file-lock",
}  # fmt: skip
"""What only the one can give that has it."""

_OPEN: frozenset[Held] = FROM_OUTSIDE | {"full-queue", "joined-queue"}
"""What others may do who were not seen to be able to."""


class Party(NamedTuple):
    """A thread; or a task, by its address, and the thread that runs its loop (tid zero: none)."""

    thread: ThreadKey
    task: int | None = None

    @property
    def process(self) -> ThreadKey:
        """The process that it is of."""
        return self.thread._replace(tid=0)

    @property
    def home(self) -> ThreadKey:
        """Its thread; the main one of a task whose loop none is seen to run."""
        return self.thread._replace(tid=self.thread.tid or self.thread.pid)


class HeldBy(NamedTuple):
    """One who holds something, how that is known, and where it was taken."""

    party: Party
    how: How
    at: Frame | None


class Need(NamedTuple):
    """What one of them waits for, and who holds it."""

    kind: Held
    subject: int
    holders: tuple[HeldBy, ...]

    @property
    def of_one(self) -> bool:
        """Whether there is one who can give it, and no other."""
        return self.kind in _ONE_HOLDER and [one.how != "reach" for one in self.holders] == [True]


Needs = Mapping[Party, Sequence[Need]]


def stuck(needs: Needs, event: WaitForEvent) -> set[Party]:
    """Those who need something that only such ones hold."""
    open_ = {  # others may have some of their connections
        pool.subject
        for pool in event.pools
        if pool.use is None
        or pool.use.lent is None
        or sum(holder.how != "reach" for holder in pool.holders) < pool.use.lent
    }
    closed: Counter[Party] = Counter()
    waiters: dict[Party, list[tuple[Party, int]]] = {}
    for party, mine in needs.items():
        for n, need in enumerate(mine):
            others = need.kind == "connections" and need.subject in open_
            others |= need.kind in _OPEN
            if not others and any(one.how != "reach" for one in need.holders):
                closed[party] += 1
                for holder in {one.party for one in need.holders}:
                    waiters.setdefault(holder, []).append((party, n))
    found = set(closed)
    free = [party for party in waiters if party not in found]
    opened: set[tuple[Party, int]] = set()
    while free:  # who needs nothing but what those hold who can go on, can go on itself
        for party, n in waiters.get(free.pop(), ()):
            if (party, n) not in opened:
                opened.add((party, n))
                closed[party] -= 1
                if not closed[party]:
                    found.remove(party)
                    free.append(party)
    return found
