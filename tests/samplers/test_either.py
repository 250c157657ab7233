"""Which of two samplers is used: our own, unless it cannot read the process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from waitspy.errors import SamplerError
from waitspy.model.clock import NS
from waitspy.model.processes import Worker
from waitspy.recording.folder import Writer
from waitspy.remote.reader import Reader
from waitspy.samplers import Sampler, SamplerStatus, Sampling, SegmentRow, WhoRan
from waitspy.samplers.delta import DeltaSampler
from waitspy.samplers.either import EitherSampler
from waitspy.samplers.nothing import NoSampler
from waitspy.samplers.pyspy import PySpySampler
from waitspy.samplers.registry import DELTA, EITHER, PYSPY, chosen, make_sampler

REFUSED = "free-threaded builds cannot be read"
YOUNG_S = 0.5


class _Counting:
    """A sampler that counts what it is asked."""

    immediate = False
    done = False

    def __init__(self) -> None:
        self.segments: list[SegmentRow] = []
        self.asked: list[str] = []

    def look(self, seen: WhoRan, now_ns: int, *, at_once: bool = False) -> bool:
        self.asked.append("look")
        return False

    def step(self, now_ns: int, rate_hz: float) -> SamplerStatus:
        self.asked.append("step")
        return SamplerStatus()

    def dump(self, now_ns: int) -> bool:
        return False

    def pause(self, now_ns: int) -> None: ...

    def stop(self, now_ns: int) -> None:
        self.done = True

    def kill(self) -> None:
        self.done = True

    def cost_s(self, threads: int) -> float:
        return 0.001

    def cpu_ns(self) -> int:
        return 7

    def sampling(self) -> Sampling:
        return Sampling()

    def rss_bytes(self) -> int:
        return 0


class _Seen:
    ran = True
    before_ns = 0
    has_room = True
    tids: frozenset[int] = frozenset()
    running: frozenset[int] = frozenset()

    def __init__(self, reader: Reader | str | None) -> None:
        self.reader = reader
        self.stirred: set[int] = set()


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(str(tmp_path / "rec"), {})


def ticks(sampler: Sampler, reader: Reader | str | None, first_s: float, last_s: float) -> None:
    for tenth in range(int(first_s * 10), int(last_s * 10) + 1):
        sampler.look(_Seen(reader), tenth * NS // 10)
        sampler.step(tenth * NS // 10, 100)


def test_a_process_that_cannot_be_read_gets_the_other_sampler(writer: Writer) -> None:
    other = _Counting()
    sampler = EitherSampler(DeltaSampler(1, writer), lambda: other, YOUNG_S)
    assert sampler.immediate
    ticks(sampler, REFUSED, 0, 0.9)
    assert other.asked == []
    ticks(sampler, REFUSED, 1, 2)
    assert "look" in other.asked
    assert not sampler.immediate
    assert (sampler.cpu_ns(), sampler.cost_s(1)) == (7, 0.001)
    assert other.segments is sampler.segments
    assert [row.end_ns is not None for row in sampler.segments] == [True]
    sampler.stop(3 * NS)
    assert sampler.step(3 * NS, 100).losses == [], "it has lost nothing"
    assert sampler.done


def test_one_that_only_starts_is_waited_for(writer: Writer) -> None:
    sampler = EitherSampler(DeltaSampler(1, writer), lambda: pytest.fail("the other"), YOUNG_S)
    ticks(sampler, REFUSED, 0, 0.8)
    ticks(sampler, None, 0.9, 0.9)
    ticks(sampler, REFUSED, 1, 1.8)


def test_one_that_does_not_start_any_more_is_not_waited_for(writer: Writer) -> None:
    other = _Counting()
    sampler = EitherSampler(DeltaSampler(1, writer), lambda: other, 3600)
    ticks(sampler, REFUSED, 0, 0.2)
    assert "step" in other.asked


def test_without_the_other_the_end_says_why(writer: Writer) -> None:
    def missing() -> Sampler:
        raise SamplerError("there is no py-spy", "install it")

    sampler = EitherSampler(DeltaSampler(1, writer), missing, YOUNG_S)
    ticks(sampler, REFUSED, 0, 3)
    sampler.stop(3 * NS)
    (loss,) = sampler.step(3 * NS, 100).losses
    assert loss.why == REFUSED


def test_only_py_spy_can_stop_a_process_and_auto_is_one_of_them(writer: Writer) -> None:
    assert chosen(DELTA, blocking=True) == chosen("auto", blocking=True) == PYSPY
    assert chosen("auto", blocking=False) in {EITHER, PYSPY}
    worker = Worker(os.getpid(), 1, "worker", "python", 5, python="3.12.0")
    made = {
        name: make_sampler(
            name, worker, writer, blocking=False, first_segment=0, may_spend=lambda _: True
        )
        for name in (DELTA, EITHER, PYSPY)
    }
    assert {name: type(one) for name, one in made.items()} == {
        DELTA: DeltaSampler,
        EITHER: EitherSampler,
        PYSPY: PySpySampler,
    }


def test_a_process_that_is_no_python_has_no_sampler(writer: Writer) -> None:
    worker = Worker(os.getpid(), 1, "worker", "node", 5, node="20.0.0")
    sampler = make_sampler(
        EITHER, worker, writer, blocking=False, first_segment=0, may_spend=lambda _: True
    )
    assert type(sampler) is NoSampler
    ticks(sampler, REFUSED, 0, 3)
    assert sampler.step(3 * NS, 100) == SamplerStatus()
    assert (sampler.done, sampler.segments) == (True, [])
