"""What event loop objects said of themselves, as recorded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from waitspy.model.columns import UNKNOWN, Int64s, int64s
from waitspy.model.event_columns import EventColumns
from waitspy.model.gil import MAIN


class LoopInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an event loop object says of itself; ``how`` the owning thread is known (or None).

    ``interpreter`` is the number of the one that it lives in.
    """

    kind: str
    epfd: int | None
    owner_tid: int | None
    how: str | None
    closed: bool | None
    interpreter: int = MAIN


class LateTimer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An overdue timer; ``guards`` says that it limits the time of something else."""

    due_ns: int
    name: str
    where: str | None
    guards: bool


class LoopWork(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The work that waited on a loop when it was looked at.

    ``ready`` callbacks, the first of them as (name, ``file:line``, whether it is a task that can
    run); ``overdue`` timers (None when they cannot be read), the oldest of them in ``late``; not
    ``named`` when it was not looked up which tasks those would wake.
    """

    ready: int
    first: tuple[tuple[str, str | None, bool], ...]
    overdue: int | None
    late: tuple[LateTimer, ...]
    named: bool = True


class LoopEvent(msgspec.Struct, frozen=True, gc=False):
    """A row about one event loop object (by its address); one of the fields is set.

    ``service`` is the length of its ready queue and how often that queue was changed. With
    ``collecting``, whether garbage is collected was looked at because it served nothing. With
    ``unseen``, nobody looked at it from then on until its next row, and it served meanwhile.
    """

    at_ns: int
    loop: int
    facts: LoopInfo | None = None
    service: tuple[int, int] | None = None
    work: LoopWork | None = None
    collecting: bool | None = None
    unseen: bool = False


class LoopEvents(EventColumns[LoopEvent]):
    """The events of a process's loops; columns are times, loops and the numbers of ``service``.

    A loop is the place of its address in ``addresses``, which are sorted.
    """

    __slots__ = ("addresses",)

    def __init__(
        self,
        columns: tuple[Int64s, ...],
        others: Mapping[int, LoopEvent],
        addresses: tuple[int, ...],
    ) -> None:
        super().__init__(columns, others)
        self.addresses = addresses

    @classmethod
    def of(cls, events: Iterable[LoopEvent] = ()) -> LoopEvents:
        """The columns of those events."""
        rows = list(events)
        addresses = tuple(sorted({event.loop for event in rows}))
        number = {address: n for n, address in enumerate(addresses)}
        columns = (
            int64s(event.at_ns for event in rows),
            int64s(number[event.loop] for event in rows),
            int64s(event.service and event.service[0] for event in rows),
            int64s(event.service and event.service[1] for event in rows),
        )
        others = {n: event for n, event in enumerate(rows) if event.service is None}
        return cls(columns, others, addresses)

    @property
    def numbers(self) -> dict[int, int]:
        """The loops by their addresses."""
        return {address: n for n, address in enumerate(self.addresses)}

    @property
    def served(self) -> LoopEvents:
        """Those that tell of the ready queue alone."""
        return self.kept(self.columns[2] != UNKNOWN)

    @property
    def facts(self) -> tuple[LoopEvent, ...]:
        """The events that say what a loop is."""
        return tuple(event for event in self.others.values() if event.facts is not None)

    def about(self, loops: Collection[int]) -> LoopEvents:
        """Those of loops with these addresses."""
        numbers = [n for n, address in enumerate(self.addresses) if address in loops]
        return self.kept(np.isin(self.columns[1], numbers))

    def with_more(self, more: Sequence[tuple[int, LoopEvent]]) -> LoopEvents:
        """With other events of the same loops, each given with the place before which it stands.

        Places are sorted; more of them than one may be the same.
        """
        if not more:
            return self
        places = [place for place, _ in more]
        numbers = self.numbers
        added = [(e.at_ns, numbers[e.loop], UNKNOWN, UNKNOWN) for _, e in more]
        columns = tuple(
            np.insert(column, places, values)
            for column, values in zip(self.columns, zip(*added, strict=True), strict=True)
        )
        others = {n + bisect_right(places, n): event for n, event in self.others.items()}
        others |= {place + n: event for n, (place, event) in enumerate(more)}
        return self._like(columns, dict(sorted(others.items())))

    def _like(self, columns: tuple[Int64s, ...], others: Mapping[int, LoopEvent]) -> LoopEvents:
        return LoopEvents(columns, others, self.addresses)

    def _event(self, *row: int) -> LoopEvent:
        at_ns, loop, ready, changes = row
        return LoopEvent(at_ns, self.addresses[loop], service=(ready, changes))
