"""Our own sampler, on threads that are made up: who is read, what is told, and what is not."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from waitspy.model.clock import NS
from waitspy.model.recorded import Loss
from waitspy.model.stacks import Frame, Stack
from waitspy.recording.folder import Writer
from waitspy.recording.streams import Streams
from waitspy.remote.memory import Torn
from waitspy.remote.reader import Reader
from waitspy.remote.runtime import Gil
from waitspy.remote.thread_stacks import ThreadState
from waitspy.samplers import delta
from waitspy.samplers.delta import DeltaSampler

MS = NS // 1000
PID = 4711


def stack(*functions: str) -> Stack:
    return tuple(Frame(name, "/app/a.py", 1) for name in functions)


class _Made(Reader):
    """Threads as a test wants them; ``read`` are those that were, look by look."""

    def __init__(self, *tids: int) -> None:
        self.stacks_of = {tid: (stack("main", f"f{tid}"), True) for tid in tids}
        self.names = {tid: f"thread-{tid}" for tid in tids}
        self.listed = 0
        self.read: list[list[int]] = []
        self.held: dict[int, Gil] = {}
        self.fails: Exception | None = None

    def python_threads(self) -> dict[int, list[ThreadState]]:
        self.listed += 1
        return {tid: [ThreadState(tid << 8, tid)] for tid in self.stacks_of}

    def thread_names(self, first: int, many: int) -> tuple[dict[int, str], bool]:
        some = [*self.names.items()][first : first + many]
        return dict(some), len(self.names) > first + many

    def moving_stacks(self, threads: Sequence[ThreadState]) -> list[tuple[Stack, bool]]:
        if self.fails is not None:
            raise self.fails
        self.read.append([thread.ident for thread in threads])
        return [self.stacks_of[thread.ident] for thread in threads]

    def gils(self) -> dict[int, Gil]:
        return self.held


@dataclass
class _Seen:
    reader: Reader | str | None
    tids: set[int]
    ran: bool = True
    before_ns: int = 0
    running: set[int] = field(default_factory=set)
    stirred: set[int] = field(default_factory=set)
    has_room: bool = True


class _Run:
    """A sampler that is asked each 10 ms; ``went`` are the threads that ran since the last tick."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *tids: int) -> None:
        self.path = folder / "rec"
        self.now_ns = NS
        patch.setattr(time, "monotonic_ns", lambda: self.now_ns)
        self.writer = Writer(str(self.path), {})
        self.made = _Made(*tids)
        self.seen = _Seen(self.made, set(tids), stirred=set(tids))
        self.sampler = DeltaSampler(PID, self.writer)
        self.sampler.step(self.now_ns, 100)

    def tick(self, *went: int, at_once: bool = False, ms: int = 10) -> None:
        self.now_ns += ms * MS
        self.seen.ran = bool(went)
        self.seen.stirred.update(went)
        self.again = self.sampler.look(self.seen, self.now_ns, at_once=at_once)
        self.seen.before_ns = self.now_ns

    def rest(self, ms: int) -> None:
        """Ticks at which nothing had run, so that nobody was asked."""
        self.now_ns += ms * MS
        self.seen.before_ns = self.now_ns

    def end(self) -> list[Loss]:
        self.tick()  # what is seen in the very last look lasts for no time
        self.sampler.stop(self.now_ns)
        losses = self.sampler.step(self.now_ns, 100).losses
        assert self.sampler.done
        self.writer.close()
        return losses

    def shown(self) -> dict[int, list[Stack]]:
        """What each thread showed, as it is loaded."""
        lost: list[Loss] = []
        streams = Streams(str(self.path), lost, cut=False)
        found: dict[int, list[Stack]] = {}
        for row in self.sampler.segments:
            segment = streams.segment(row.as_json(), ())
            assert segment is not None
            for thread in segment.threads:
                found.setdefault(thread.tid, []).extend(i.stack for i in thread.intervals)
        assert lost == []
        return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Run:
    return _Run(tmp_path, monkeypatch, 1, 2, 3)


def test_all_are_read_once_and_then_only_who_ran(run: _Run) -> None:
    run.tick(1, 2, 3)
    run.tick()
    run.tick(2)
    run.tick()
    assert run.made.read == [[1, 2, 3], [2]]
    assert run.made.listed == 1
    run.made.stacks_of[2] = stack("main", "other"), True
    run.tick(2)
    assert run.end() == []
    assert run.shown() == {
        1: [stack("main", "f1")],
        2: [stack("main", "f2"), stack("main", "other")],
        3: [stack("main", "f3")],
    }


def test_one_that_runs_is_read_at_each_tick_as_long_as_the_process_does(run: _Run) -> None:
    run.tick(1, 2, 3)
    run.seen.running = {3}
    run.tick(1)
    run.tick()
    assert [sorted(tids) for tids in run.made.read[1:]] == [[1, 3]]


def test_who_ran_between_two_samples_is_read_at_the_next(run: _Run) -> None:
    run.sampler.step(run.now_ns + 2 * NS, 10)  # a tenth as often
    run.tick(1, 2, 3)
    run.tick(2)
    for _ in range(9):
        run.tick()
    assert run.made.read == [[1, 2, 3], [2]]
    run.tick(3)
    run.tick(1, at_once=True)
    assert sorted(run.made.read[-1]) == [1, 3]


def test_what_is_torn_is_cut_counted_and_read_again_but_not_for_ever(run: _Run) -> None:
    run.made.stacks_of[2] = stack("main"), False
    run.made.stacks_of[3] = (), False
    run.tick(1, 2, 3)
    for _ in range(10):
        run.tick()
    assert [sorted(tids) for tids in run.made.read] == [[1, 2, 3], *[[2, 3]] * 3]
    run.made.stacks_of[2] = stack("main", "f2"), True
    run.tick(2)
    assert run.sampler.segments[0].errors == 2 * 4
    run.end()
    assert run.shown() == {1: [stack("main", "f1")], 2: [stack("main"), stack("main", "f2")]}


def test_threads_come_and_go(run: _Run) -> None:
    run.tick(1, 2, 3)
    del run.made.stacks_of[2]
    run.made.stacks_of[4] = stack("main", "f4"), True
    run.made.names[4] = "new"
    run.seen.tids = {1, 3, 4}
    run.tick(4)
    assert run.made.read[-1] == [4]
    run.tick(1, ms=200)  # names come a little later
    assert run.sampler.segments[0].samples == 3 + 3 + 3
    run.end()
    assert run.shown().keys() == {1, 2, 3, 4}
    rows = [json.loads(line) for line in (run.path / "stacks").iterdir().__next__().open()]
    names = {row[2]: row[3] for row in rows if isinstance(row, list) and row[0] == "thread"}
    assert names == {1: "thread-1", 2: "thread-2", 3: "thread-3", 4: "new"}
    (gone,) = (row for row in rows if isinstance(row, list) and row[0] == "shows" and not row[3])
    assert gone[2] == 2


def test_who_is_not_known_to_python_is_asked_for_now_and_then_only(run: _Run) -> None:
    for _ in range(10):
        run.tick(1, 99)
    assert run.made.listed == 1
    assert all(tids == [1] for tids in run.made.read[1:])


def test_another_rate_begins_another_segment_in_which_all_go_on(run: _Run) -> None:
    run.tick(1, 2, 3)
    run.tick()
    run.sampler.step(run.now_ns + 3 * NS, 95)
    assert len(run.sampler.segments) == 1
    start_ns = run.sampler.segments[0].zero_ns
    run.sampler.step(start_ns + 3 * NS, 10)
    one, following = run.sampler.segments
    assert (one.end_ns, following.n, following.rate_hz) == (following.zero_ns, 1, 10)
    run.tick(1, ms=1000)
    run.end()
    assert run.shown() == {tid: [stack("main", f"f{tid}")] * 2 for tid in (1, 2, 3)}


def test_a_slower_rate_holds_at_once_in_the_segment_that_goes_on(run: _Run) -> None:
    run.tick(1, 2, 3)
    run.sampler.step(run.now_ns, 10)
    for _ in range(15):
        run.tick(1)
    assert len(run.sampler.segments) == 1
    assert run.made.read[1:] == [[1]] * 2
    run.sampler.step(run.now_ns, 100)
    for _ in range(20):
        run.tick(1)
    assert run.made.read[-10:] == [[1]] * 10, "as often again once there is room"
    assert len(run.made.read) > 3 + 10


def test_without_room_samples_are_missed_and_who_ran_is_read_once_there_is_some(run: _Run) -> None:
    run.tick(1, 2, 3)
    run.tick()
    run.made.stacks_of[2] = stack("main", "other"), True
    run.seen.has_room = False
    for at_once in (False, True):
        run.tick(2, at_once=at_once)
        assert run.again
    taken = run.sampler.sampling().samples
    run.seen.has_room = True
    run.tick()
    assert run.made.read == [[1, 2, 3], [2]]
    assert run.sampler.sampling().samples == taken + 1
    assert run.end() == []
    assert run.shown()[2] == [stack("main", "f2"), stack("main", "other")]


def test_a_segment_that_has_grown_large_is_followed_by_another(
    run: _Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "_MOST_BYTES", 100)
    run.tick(1, 2, 3)
    run.sampler.step(run.now_ns, 100)
    assert [row.n for row in run.sampler.segments] == [0, 1]


def test_after_a_pause_it_is_told_until_when_a_stack_was_seen(run: _Run) -> None:
    run.tick(1, 2, 3)
    looked_ns = run.now_ns
    run.made.stacks_of[1] = stack("main", "later"), True
    run.tick(1, ms=1000)
    run.tick(2)
    run.end()
    lines = next((run.path / "stacks").iterdir()).read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if isinstance(row, list)]
    (late,) = (row for row in rows if row[0] == "shows" and row[1] > looked_ns)
    assert late[1:] == [looked_ns + NS, 1, late[3], looked_ns]


def test_whoever_is_left_over_is_not_known_and_comes_next_by_turns_with_those_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _Run(tmp_path, monkeypatch, *range(1, 41))
    run.tick(*range(1, 41))
    monkeypatch.setattr(delta, "_LOOK_CPU_NS", -1)
    run.tick(*range(1, 41))
    first = run.made.read[-1]
    assert len(first) == 16
    assert run.sampler.segments[0].samples == 40 + 16
    run.tick(1)  # it would never be read behind thousands that are left over
    assert run.made.read[-1] == [17, 1, *range(18, 32)]
    assert run.end() == []  # all were read once


def test_threads_there_was_no_time_for_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _Run(tmp_path, monkeypatch, *range(1, 61))
    monkeypatch.setattr(delta, "_LOOK_CPU_NS", -1)
    run.tick(*range(1, 61))
    run.tick(1)
    assert [loss.what for loss in run.end()] == ["stacks of 13 of 60 threads"]


def gil_ms(run: _Run) -> list[list[tuple[float, int, int | None, bool]]]:
    """What was told of each GIL, by segment: at which millisecond, and the rest as it stands."""
    streams = Streams(str(run.path), [], cut=False)
    segments = [streams.segment(row.as_json(), ()) for row in run.sampler.segments]
    return [
        [((g.at_ns - NS) / MS, g.interpreter, g.holder_tid, g.collects) for g in one.gil]
        for one in segments
        if one is not None
    ]


def test_at_each_tick_it_is_told_who_holds_the_gil_now_if_that_has_changed(run: _Run) -> None:
    run.made.held = {0: Gil(None, collects=False)}
    run.tick(1, 2, 3)
    run.made.held = {0: Gil(2 << 8, collects=False)}
    run.tick(2)
    run.tick(2)
    run.tick()
    run.made.held = {0: Gil(2 << 8, collects=True), 1: Gil(3 << 8, collects=False)}
    run.tick(2)
    run.made.held = {0: Gil(0xDEAD, collects=False)}  # a thread that nobody knows; 1 has ended
    run.tick(2)
    assert run.end() == []
    assert gil_ms(run) == [
        [
            (10, 0, None, False),
            (20, 0, 2, False),
            (50, 0, 2, True),
            (50, 1, 3, False),
            (60, 0, None, False),
            (60, 1, None, False),
        ]
    ]


def test_who_holds_the_gil_is_told_at_any_rate_and_again_in_another_segment(run: _Run) -> None:
    run.made.held = {0: Gil(1 << 8, collects=False)}
    run.tick(1, 2, 3)
    run.sampler.step(run.now_ns + 2 * NS, 1)  # a hundredth as often
    run.tick(3)
    run.made.held = {0: Gil(3 << 8, collects=False)}
    run.tick(3)
    assert run.made.read == [[1, 2, 3], [3]]
    run.end()
    assert gil_ms(run) == [[], [(10, 0, 1, False)]]
    run.sampler.segments[-1].end_ns = run.now_ns
    assert gil_ms(run)[-1] == [(10, 0, 1, False), (30, 0, 3, False)]


def test_a_new_thread_that_keeps_the_gil_is_told_once_it_is_known(run: _Run) -> None:
    run.tick(1, 2, 3)
    run.made.stacks_of[4] = stack("main", "f4"), True
    run.made.held = {0: Gil(4 << 8, collects=False)}
    run.sampler.step(run.now_ns + 2 * NS, 1)
    run.tick(4)
    run.seen.tids = {1, 2, 3, 4}
    run.tick(4, at_once=True)
    run.end()
    assert gil_ms(run)[-1] == [(20, 0, None, False), (30, 0, 4, False)]


def test_without_a_look_at_the_gil_stacks_go_on(run: _Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended() -> dict[int, Gil]:
        raise ProcessLookupError

    monkeypatch.setattr(run.made, "gils", ended)
    run.tick(1, 2, 3)
    assert run.end() == []
    assert run.shown().keys() == {1, 2, 3}


def test_while_nothing_runs_nobody_asks_and_all_is_known(run: _Run) -> None:
    run.tick(1, 2, 3)
    assert not run.again
    run.rest(1000)
    run.made.stacks_of[1] = stack("main", "later"), True
    run.tick(1)
    assert run.sampler.sampling().samples == pytest.approx(102, abs=2)
    run.rest(500)
    run.sampler.kill()
    (segment,) = run.sampler.segments
    assert segment.end_ns == run.now_ns
    assert segment.samples == 3 * run.sampler.sampling().samples
    run.writer.close()
    lines = next((run.path / "stacks").iterdir()).read_text().splitlines()
    assert not [row for row in map(json.loads, lines) if isinstance(row, list) and row[-1] == NS]
    assert run.shown()[1] == [stack("main", "f1"), stack("main", "later")]


def test_no_sample_is_missed_where_nothing_runs_but_others_have_it_looked_at(run: _Run) -> None:
    run.tick(1, 2, 3)
    for _ in range(20):
        run.rest(38)
        run.tick(ms=13)  # some oracle has something to look at
    assert run.sampler.sampling().samples == pytest.approx(20 * 5.1, abs=2)
    run.rest(400)
    assert run.sampler.sampling().samples == pytest.approx(20 * 5.1 + 40, abs=2)


def test_it_wants_to_look_again_at_what_it_has_not_read(run: _Run) -> None:
    run.made.stacks_of[3] = (), False
    run.tick(1, 2, 3)
    assert run.again
    run.sampler.step(run.now_ns + 2 * NS, 10)
    for _ in range(40):
        run.tick()
    assert not run.again
    run.tick(1)
    assert run.again, "it is not yet time for a sample"


def test_without_a_reader_nothing_is_sampled_and_the_end_says_why(run: _Run) -> None:
    run.seen.reader = "free-threaded builds cannot be read"
    run.tick(1)
    (loss,) = run.end()
    assert (loss.what, loss.why, loss.pid) == (
        "stacks",
        "free-threaded builds cannot be read",
        PID,
    )


def test_what_fails_once_is_read_at_the_next_tick(run: _Run) -> None:
    run.made.fails = Torn("it changed")
    run.tick(1, 2, 3)
    run.made.fails = None
    run.tick(1)
    assert run.made.read == [[1, 2, 3]]
    assert run.end() == []


def test_a_fault_of_ours_is_told_and_costs_one_look(run: _Run) -> None:
    run.made.fails = ZeroDivisionError("odd")
    run.tick(1, 2, 3)
    run.made.fails = None
    run.tick(1)
    (loss,) = run.end()
    assert "ZeroDivisionError: odd" in loss.why
    assert run.shown().keys() == {1, 2, 3}


def test_one_that_is_killed_ends_where_it_looked_last(run: _Run) -> None:
    run.tick(1, 2, 3)
    run.tick()
    run.sampler.kill()
    assert run.sampler.done
    assert run.sampler.segments[0].end_ns is not None
    run.writer.close()
    assert run.shown().keys() == {1, 2, 3}
