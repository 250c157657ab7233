"""What a target logged of itself: its stalls, what waited, and the starvation that follows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from waitspy.model.clock import NS

MIN_STALL_NS = NS // 10  # the tool's default
SURE_NS = MIN_STALL_NS * 3 // 2  # shorter ones may be found or not
_MIXED = 0.4  # between this and 1 minus this, either is right
_SURE_AT_EDGE_NS = MIN_STALL_NS * 3  # the same where the recording's edge cuts it
_SURE_OF_TASKS_NS = NS  # the same where tasks wait for tasks: looks at these are seldom
_SURE_OF_TASKS_AT_EDGE_NS = NS * 3 // 2


@dataclass(frozen=True, slots=True)
class Stall:
    """What was done to starve something: ``end_ns`` None when it lasted to the target's end.

    ``function`` and ``lines`` may be blamed (no function: nobody may). ``pid`` or ``tid`` 0 mean
    that it is not one process or thread that should have served. ``root`` are the functions at
    which the chain of waits ends. ``of_tasks`` says that tasks waited for what tasks held.
    ``cpu_ns`` is how long the thread ran meanwhile.
    """

    pid: int
    tid: int
    kind: str
    function: str | None
    lines: tuple[int, ...]
    start_ns: int
    end_ns: int | None
    cpu_ns: int | None = None
    delay_ns: int | None = None
    root: str | None = None
    of_tasks: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that waited from when it was due until it was served (None: never)."""

    pid: int
    tid: int
    due_ns: int
    served_ns: int | None


@dataclass(frozen=True, slots=True)
class Truth:
    """All that the target logged."""

    stalls: tuple[Stall, ...]
    waits: tuple[Wait, ...]


@dataclass(frozen=True, slots=True)
class Starved:
    """A time in which due work of one loop or pool was not served, and what was done to it.

    ``cut`` says that an edge of the recording cut it. Without a stall nobody did it on purpose:
    the machine was late.
    """

    pid: int
    tid: int
    start_ns: int
    end_ns: int
    stall: Stall | None
    cut: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of finding that are right, the best first; none when the machine was late.

        What a thread did is measured: a busy callback that hardly ran was denied the CPU, and what
        ran or wanted to run most of the time was no blocking call.
        """
        if self.stall is None:
            return ()
        kind, ran_ns = self.stall.kind, self.stall.cpu_ns
        if ran_ns is None or self.stall.end_ns is None:
            return (kind,)
        on_cpu = "busy-loop" if ran_ns >= MIN_STALL_NS else "no-cpu"
        denied = (self.stall.delay_ns or 0) / (self.stall.end_ns - self.stall.start_ns)
        wanted = denied + ran_ns / (self.stall.end_ns - self.stall.start_ns)
        if kind == "busy-loop":
            # Of a piece it is not known in which part the thread ran; looks come every 10 ms.
            unsure = self.cut or abs(ran_ns - MIN_STALL_NS) < MIN_STALL_NS / 4
            return ("busy-loop", "no-cpu") if unsure and denied > _MIXED else (on_cpu,)
        if kind == "overloaded-loop" and denied > _MIXED:
            return ("no-cpu", kind) if denied < 1 - _MIXED else ("no-cpu",)
        if kind == "blocked-loop" and wanted > _MIXED:
            return (on_cpu, kind) if wanted < 1 - _MIXED else (on_cpu,)
        return (kind,)

    @property
    def sure(self) -> bool:
        """Whether it must be found."""
        least_ns = _SURE_AT_EDGE_NS if self.cut else SURE_NS
        if self.stall is not None and self.stall.of_tasks:
            least_ns = _SURE_OF_TASKS_AT_EDGE_NS if self.cut else _SURE_OF_TASKS_NS
        return self.stall is not None and self.end_ns - self.start_ns >= least_ns


def parse(lines: Iterable[str]) -> Truth:
    """The rows that ``targets/truth.py`` wrote."""
    begun: dict[tuple[int, int], dict[str, object]] = {}
    stalls: list[Stall] = []
    waits: list[Wait] = []
    for row in map(json.loads, lines):
        if "wait" in row:
            pid = 0 if row.get("anyone") else row["pid"]
            waits.append(Wait(pid, row["tid"], row["due_ns"], row["served_ns"]))
        elif "stall" in row:
            begun[row["pid"], row["stall"]] = row
        else:
            stalls.append(_stall(begun.pop((row["pid"], row["ended"])), row))
    stalls += [_stall(row, {"at_ns": None}) for row in begun.values()]
    return Truth(tuple(sorted(stalls, key=lambda s: s.start_ns)), tuple(waits))


def _stall(begin: dict, end: dict) -> Stall:  # type: ignore[type-arg]
    return Stall(
        pid=0 if begin.get("anyone") else begin["pid"],
        tid=begin["tid"],
        kind=begin["kind"],
        function=begin["function"],
        lines=tuple(begin["lines"]),
        start_ns=begin["at_ns"],
        end_ns=end["at_ns"],
        cpu_ns=end.get("cpu_ns"),
        delay_ns=end.get("delay_ns"),
        root=begin.get("root"),
        of_tasks=begin.get("of_tasks", False),
    )


def starved(truth: Truth, start_ns: int, end_ns: int) -> tuple[Starved, ...]:
    """The times of starvation between two times: the unions of waits of at least min-stall."""
    by_place: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for wait in truth.waits:
        served_ns = end_ns + 1 if wait.served_ns is None else wait.served_ns
        if served_ns - wait.due_ns >= MIN_STALL_NS:
            by_place.setdefault((wait.pid, wait.tid), []).append((wait.due_ns, served_ns))
    found = []
    for (pid, tid), spans in by_place.items():
        for a, b in union(spans):
            if a < end_ns and start_ns < b:
                stall = _cause(truth.stalls, pid, tid, a, b)
                cut = a < start_ns or b > end_ns
                found.append(Starved(pid, tid, max(a, start_ns), min(b, end_ns), stall, cut))
    return tuple(sorted(found, key=lambda s: s.start_ns))


def _cause(stalls: Sequence[Stall], pid: int, tid: int, start_ns: int, end_ns: int) -> Stall | None:
    """The stall that covers most of it, and at least half of it or of itself."""
    best, most = None, 0
    for stall in stalls:
        if (stall.pid, stall.tid) != (pid, tid):
            continue
        stall_end_ns = end_ns if stall.end_ns is None else stall.end_ns
        common = min(end_ns, stall_end_ns) - max(start_ns, stall.start_ns)
        least = min(end_ns - start_ns, stall_end_ns - stall.start_ns) / 2
        if common > most and common >= least:
            best, most = stall, common
    return best


def union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans that these cover, sorted."""
    merged: list[tuple[int, int]] = []
    for start_ns, end_ns in sorted(spans):
        if merged and start_ns <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end_ns)
        else:
            merged.append((start_ns, end_ns))
    return merged
