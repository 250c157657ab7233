"""When a py-spy starts and ends, with helpers that are only said to run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from waitspy.model.clock import NS
from waitspy.model.recorded import Loss
from waitspy.samplers import pyspy
from waitspy.samplers.pyspy import PySpySampler

MS = NS // 1000
CPU_NS = 40 * MS


class _Helper:
    """Can sample ``ready_ms`` after its start, writes at once when it is asked to end."""

    ready_ms = 100
    clock_ns = 0
    grows_a_second = 0
    stops = False

    def __init__(
        self,
        argv: Sequence[str],
        stdout: IO[bytes],
        stderr: IO[bytes],
        *,
        can_wait: bool = False,
        keep: Sequence[int] = (),
    ) -> None:
        self.argv = argv
        self.can_wait = can_wait
        self.started_ns = _Helper.clock_ns
        self.code: int | None = None
        self.said = stdout

    def catches(self, number: signal.Signals) -> bool:
        return _Helper.clock_ns >= self.started_ns + self.ready_ms * MS

    def poll(self) -> int | None:
        return self.code

    def stopped(self) -> bool:
        return _Helper.stops

    def signal(self, number: signal.Signals) -> None:
        if number is signal.SIGCONT:
            return
        if not self.catches(number):
            self.code = -number
            return
        self.code = 0
        self.said.write(b"Samples: 7 Errors: 0\n")
        Path(self.argv[self.argv.index("--output") + 1]).write_text("[]")

    def cpu_ns(self) -> int:
        return CPU_NS + (_Helper.clock_ns - self.started_ns) // 100

    def rss_bytes(self) -> int:
        seconds = (_Helper.clock_ns - self.started_ns) / NS
        return 6_000_000 + int(seconds * self.grows_a_second)


class _Run:
    """A sampler stepped every 50 ms; ``alive`` are the numbers of its segments at each step."""

    def __init__(self, folder: Path, room: bool = True) -> None:
        self.room = room
        self.asked_ns: list[int] = []
        self.alive: dict[int, list[int]] = {}
        self.losses: list[Loss] = []
        self.sampler = PySpySampler(4711, str(folder), segment_ns=5 * NS, may_spend=self._may_spend)

    def _may_spend(self, cpu_ns: int) -> bool:
        self.asked_ns.append(cpu_ns)
        return self.room

    def until(self, end_ms: int, rate_hz: float = 100.0) -> None:
        while _Helper.clock_ns < end_ms * MS:
            _Helper.clock_ns += 50 * MS
            now_ns = _Helper.clock_ns
            self.losses += self.sampler.step(now_ns, rate_hz).losses
            ended = [row.end_ns is not None for row in self.sampler.segments]
            self.alive[now_ns // MS] = [n for n, over in enumerate(ended) if not over]

    def together_ms(self) -> list[int]:
        return [at_ms for at_ms, alive in self.alive.items() if len(alive) > 1]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Run:
    monkeypatch.setattr(_Helper, "clock_ns", 0)
    monkeypatch.setattr(pyspy, "Child", _Helper)
    return _Run(tmp_path)


def test_what_a_sample_costs_was_measured(run: _Run) -> None:
    # 2 to 5 % of a core at 100 Hz with one thread, 16 to 100 % with fifty.
    assert 0.02 < run.sampler.cost_s(1) * 100 < 0.05
    assert 0.16 < run.sampler.cost_s(50) * 100 < 1.0
    assert run.sampler.cost_s(0) == run.sampler.cost_s(1)


def test_a_segment_ends_as_soon_as_the_next_has_its_first_sample(run: _Run) -> None:
    run.until(12_000)
    assert len(run.sampler.segments) == 3
    assert all(run.alive.values()), "there is always one"
    # Ready after 100 ms, its first sample two periods later, looked at every 50 ms: twice.
    assert len(run.together_ms()) <= 2 * 300 // 50


def test_a_segment_waits_for_a_successor_that_takes_long_to_attach(
    run: _Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Helper, "ready_ms", 3000)
    run.until(12_000)
    assert all(run.alive.values())
    assert all(row.samples == 7 for row in run.sampler.segments if row.end_ns is not None)
    assert len(run.together_ms()) >= 3000 // 50


def test_without_room_for_two_a_segment_ends_first_and_the_gap_is_told(run: _Run) -> None:
    run.until(1000)
    run.room = False
    run.until(9000)
    assert run.together_ms() == []
    assert run.alive[6900] == [0], "for a while it waits for room"
    assert run.alive[9000] == []
    run.room = True
    run.until(9500)
    assert run.alive[9500] == [1]
    run.sampler.stop(9500 * MS)
    run.until(9600)
    (loss,) = run.losses
    assert "1.9 s" in loss.what or "2.0 s" in loss.what
    assert "budget" in loss.why


def test_a_pause_lasts_until_there_is_room(run: _Run) -> None:
    run.until(1000)
    run.room = False
    run.sampler.pause(1000 * MS)
    run.until(1400)
    assert run.alive[1100] == run.alive[1400] == []
    run.room = True
    run.until(1500, rate_hz=30.0)
    assert [row.rate_hz for row in run.sampler.segments] == [100, 30]
    assert [row.why for row in run.sampler.segments] == [None, None]
    run.sampler.stop(1800 * MS)
    run.until(2000)
    assert len(run.losses) == 1  # the last one was asked to end before it could sample
    assert "attached" in run.losses[0].why


def test_who_is_only_starting_is_not_paused(run: _Run) -> None:
    """It would die of it, having cost all that a start costs."""
    run.until(100)
    run.sampler.pause(100 * MS)
    run.until(1000)
    assert run.alive[1000] == [0]


def test_a_rate_that_is_too_fast_changes_soon_even_without_room(run: _Run) -> None:
    run.until(500)
    run.until(1500, rate_hz=80.0)
    assert len(run.sampler.segments) == 1, "a little too fast is no reason"
    run.room = False
    run.until(1600, rate_hz=70.0)
    assert run.alive[1600] == []


def test_a_sample_costs_what_was_used_since_sampling_began(run: _Run) -> None:
    run.until(1150)
    told = run.sampler.sampling()
    assert told.samples == pytest.approx(100, abs=10)
    assert told.cpu_ns == pytest.approx(10 * MS, rel=0.1)  # one percent, the start left out


def test_a_start_is_expected_to_cost_what_earlier_ones_did_and_both_samplers_samples(
    run: _Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "CPU_NS", 40 * MS)
    run.until(12_000)
    first, *later = run.asked_ns
    assert first == pyspy.START_COST_NS
    assert len(later) == 2
    for asked_ns in later:  # started and sampling for 100 ms; then two samples of 0.1 ms
        assert asked_ns == pytest.approx(41.2 * MS, rel=0.02)


def test_one_that_was_stopped_gets_a_successor(run: _Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.until(2000)
    monkeypatch.setattr(_Helper, "stops", True)
    run.until(2600)
    monkeypatch.setattr(_Helper, "stops", False)
    run.until(4000)
    assert run.alive[4000] == [1]
    assert run.losses == []


def test_no_look_is_taken_without_room(run: _Run) -> None:
    run.room = False
    assert not run.sampler.dump(NS)
    run.room = True
    assert run.sampler.dump(NS)
    assert not run.sampler.dump(NS), "one is under way"


def test_what_would_take_long_to_write_is_written_sooner(
    run: _Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Helper, "grows_a_second", 2_000_000)
    run.until(5000)
    assert len(run.sampler.segments) == 3
    assert all(run.alive.values())
