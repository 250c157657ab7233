"""When the asyncio oracle looks at a loop, and until when it may be left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from tests.examples.build import process
from waitspy.model.clock import NS
from waitspy.oracles import NEVER_NS, Watched
from waitspy.oracles.loops import LoopsOracle
from waitspy.recording.loops import LoopRow, LoopServed, LoopWaiting
from waitspy.remote.memory import Torn
from waitspy.remote.reader import Reader
from waitspy.remote.values import Callback, LoopFacts, LoopSnapshot, Service, Timer, Timers

EPFD, TID, ADDRESS = 5, 100, 0x10
ONSET_NS = 50_000_000
MS = 1_000_000


class Scripted:
    """A reader of one loop with a timer that is due at ``due_ms``; the time is ``now_ns``."""

    def __init__(self, due_ms: int) -> None:
        self.due_s = due_ms / 1000
        self.now_ns = 0
        self.served = 0
        self.torn = False
        self.looked_ms: list[int] = []

    def loops(self) -> tuple[LoopFacts, ...]:
        if self.torn:
            raise Torn("it changes")
        return (
            LoopFacts(
                0, ADDRESS, "asyncio", "loop", EPFD, running=True, running_tid=TID, owner_tid=TID,
                owner_how="running", closed=False, ready=0x20, pending=1,
            ),
        )  # fmt: skip

    def service(self, loop: LoopFacts) -> Service:
        return Service(0, 2 * self.served)

    def collecting(self, loop: LoopFacts) -> bool:
        return False

    def whole_snapshot(
        self, loop: LoopFacts, tries: int = 3, *, names: int = 8, tasks: bool = True
    ) -> LoopSnapshot:
        self.looked_ms.append(self.now_ns // MS)
        overdue = self.now_ns >= self.due_s * NS
        late = (Timer(self.due_s, Callback("call", None, None), guards=False, task=None),)
        timers = Timers(
            int(overdue), self.due_s if overdue else None, None if overdue else self.due_s,
            late if overdue else (),
        )  # fmt: skip
        return LoopSnapshot(
            self.now_ns, loop.address, TID, 0, 2 * self.served, (), timers, whole=True, cost_s=0.0
        )


class Worker:
    """An oracle at a worker whose thread polls, or does not."""

    def __init__(self, due_ms: int) -> None:
        self.reader = Scripted(due_ms)
        self.watched = Watched(process(TID), f"/proc/{TID}")
        self.watched.reader = cast("Reader", self.reader)
        self.oracle = LoopsOracle(ONSET_NS)
        assert self.oracle.attach(self.watched) == "ok"

    def at(self, ms: int, *, polls: bool, ran: bool) -> list[LoopRow]:
        self.reader.now_ns = ms * MS
        self.watched.polling = {TID: EPFD} if polls else {}
        self.watched.begin_tick(ran=ran)
        self.watched.rests_until_ns = 0
        return list(self.oracle.tick(self.watched, ms * MS))


@pytest.fixture(autouse=True)
def _free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks cost nothing, and take no time."""
    monkeypatch.setattr("time.thread_time_ns", lambda: 0)
    monkeypatch.setattr("time.monotonic_ns", lambda: 0)


def ticks() -> Iterator[tuple[int, bool, bool]]:
    """Polls, runs something at 1 s and stands outside of its poll until 3 s, polls again."""
    for ms in range(0, 4_000, 10):
        yield ms, not 1_000 <= ms < 3_000, ms in {0, 1_000, 3_000}


@pytest.mark.parametrize("due_ms", [500, 1_020, 1_500, 2_600, 9_000])
def test_a_loop_that_is_asked_only_when_it_does_not_rest_tells_the_same(due_ms: int) -> None:
    """What waits on it grows while its process stands still."""

    def told(*, rests: bool) -> tuple[list[LoopRow], list[int], list[int]]:
        worker, rows, onsets, asked = Worker(due_ms), [], [], 0
        for ms, polls, ran in ticks():
            if ran or not rests or worker.watched.due or ms * MS >= worker.watched.rests_until_ns:
                worker.reader.served += ran
                rows += worker.at(ms, polls=polls, ran=ran)
                onsets += [ms] * worker.watched.onset
                asked += 1
            worker.watched.before_ns = ms * MS
        assert rests == (asked < 200)
        return rows, onsets, worker.reader.looked_ms

    every = told(rests=False)
    assert told(rests=True) == every
    waiting = [row for row in every[0] if isinstance(row, LoopWaiting)]
    assert bool(every[1]) == (due_ms < 3_000) == any(row.work.overdue for row in waiting)


def test_it_rests_while_its_thread_polls_and_until_it_has_been_quiet() -> None:
    worker = Worker(due_ms=9_000)
    worker.at(0, polls=True, ran=True)
    worker.at(10, polls=True, ran=False)
    assert worker.watched.rests_until_ns == NEVER_NS
    worker.watched.before_ns = 490 * MS  # nobody asked it until then
    worker.at(500, polls=False, ran=True)
    worker.at(510, polls=False, ran=False)
    assert worker.watched.rests_until_ns == 490 * MS + ONSET_NS


def test_what_was_served_when_a_search_for_loops_failed_is_told_at_the_next_tick() -> None:
    """Though its process stands still by then: it would seem to have been served much later."""
    worker = Worker(due_ms=9_000)
    worker.at(0, polls=True, ran=True)
    worker.reader.served += 1
    worker.reader.torn = True
    assert worker.at(1_000, polls=False, ran=True) == []
    worker.reader.torn = False
    assert LoopServed(1_010 * MS, ADDRESS, 0, 2) in worker.at(1_010, polls=False, ran=False)
    assert worker.at(1_020, polls=False, ran=False) == []


@pytest.mark.parametrize(("late_ms", "told_ms"), [(4, 1_000), (90, 1_090)])
def test_what_is_read_late_within_a_look_is_dated_by_when_it_was_read(
    late_ms: int, told_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been served meanwhile, and long after the look began."""
    worker = Worker(due_ms=9_000)
    worker.at(0, polls=True, ran=True)
    worker.reader.served += 1
    monkeypatch.setattr("time.monotonic_ns", lambda: (1_000 + late_ms) * MS)
    served = LoopServed(told_ms * MS, ADDRESS, 0, 2)
    assert served in worker.at(1_000, polls=False, ran=True)


def test_it_idles_only_while_there_is_no_loop_and_it_knows_that_the_process_ran() -> None:
    """Whether the process has run since the last search is not known to who was not asked."""
    worker = Worker(due_ms=9_000)
    loops, worker.reader.loops = worker.reader.loops, tuple  # type: ignore[method-assign]
    worker.at(0, polls=False, ran=True)
    assert not worker.watched.idles_until_ns, "it has just searched"
    worker.at(10, polls=False, ran=True)
    until_ns = worker.watched.idles_until_ns
    assert 10 * MS < until_ns <= NS
    worker.watched.idles_until_ns = 0
    worker.at(20, polls=False, ran=False)
    assert worker.watched.idles_until_ns == until_ns == worker.watched.rests_until_ns
    worker.reader.loops = loops  # type: ignore[method-assign]
    worker.watched.idles_until_ns = 0
    assert worker.at(until_ns // MS, polls=False, ran=False), "it is found then"
    for ms in (10, 20):
        worker.at(until_ns // MS + ms, polls=False, ran=True)
        assert not worker.watched.idles_until_ns, "each time that it runs, a loop may have served"
