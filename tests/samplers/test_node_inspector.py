"""Profiles become segments on the machine's clock, and what went wrong is told once."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path

import pytest

from tests.samplers.test_v8_profile import profile
from waitspy.errors import SamplerError
from waitspy.model.clock import NS
from waitspy.model.recorded import HeldUp
from waitspy.model.stacks import StackTable
from waitspy.recording import stacks
from waitspy.recording.folder import Writer
from waitspy.samplers.inspector_session import MAIN, Profiled
from waitspy.samplers.node_inspector import NodeInspectorSampler

PID, OTHER = os.getpid(), os.getpid() + 1


class Conversation:
    """What a conversation has brought."""

    def __init__(self, *told: Profiled, lives: bool = True) -> None:
        self.profiles = deque(told)
        self.lives = lives
        self.failed: SamplerError | None = None
        self.left_open: str | None = None
        self.unmatched: set[str] = set()
        self.held_up = deque[HeldUp]()
        self.stopped = False

    def is_alive(self) -> bool:
        return self.lives

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(str(tmp_path / "rec"), {})


def sampler(writer: Writer, conversation: Conversation) -> NodeInspectorSampler:
    made = NodeInspectorSampler(PID, writer, first_segment=4)
    made._session, made._rate_hz = conversation, 100.0  # type: ignore[assignment]
    return made


def test_each_profile_is_a_segment_of_its_thread(writer: Writer) -> None:
    now_us = time.monotonic_ns() // 1000
    mine = profile(startTime=now_us - 9_000, endTime=now_us - 1_000)
    told = Conversation(Profiled(MAIN, PID, mine), Profiled("7", OTHER, mine))
    one = sampler(writer, told)
    first, second = one.step(0, 100).finished
    assert [row.file for row in (first, second)] == [f"{PID}-{n}.stacks.jsonl" for n in (4, 5)]
    assert (first.zero_ns, first.end_ns, first.samples) == (
        *((now_us - 9_000) * 1000, (now_us - 1_000) * 1000),
        5,
    )
    raw = Path(writer.file("stacks", second.file)).read_bytes()
    table = StackTable()
    read = stacks.segment(raw, table, second.zero_ns, NS // 100, second.end_ns, cut=False)
    (thread,) = read.segment.threads
    assert (thread.tid, thread.name, read.damaged) == (OTHER, "worker 7", 0)
    shown = [frame.function for interval in thread.intervals for frame in interval.stack]
    assert shown == ["serve", "(anonymous)", "(garbage collector)"]
    assert (one.done, one.sampling().samples) == (False, 10)


@pytest.mark.parametrize("start_us", [0, 1 << 52])
def test_a_profile_of_another_time_is_refused(writer: Writer, start_us: int) -> None:
    start, end = {"startTime": start_us}, {"endTime": start_us + 8_000}
    told = Conversation(Profiled(MAIN, PID, profile(**start, **end)), lives=False)
    one = sampler(writer, told)
    status = one.step(0, 100)
    assert (status.finished, one.segments) == ([], [])
    assert [loss.why for loss in status.losses] == ["they contradict themselves"]


def test_what_went_wrong_is_told_once_at_the_end(writer: Writer) -> None:
    told = Conversation(lives=False)
    told.failed = SamplerError("it did not open", "open it")
    told.left_open, told.unmatched = "127.0.0.1:9229", {"1", "2"}
    one = sampler(writer, told)
    losses = one.step(0, 100).losses
    assert [(loss.what, loss.pid) for loss in losses] == [
        ("stacks", PID),
        ("the end of its inspector, which is still open at 127.0.0.1:9229", PID),
        ("stacks of 2 worker threads", PID),
    ]
    assert one.done
    assert one.step(1, 100).losses == []


def test_one_that_does_not_answer_is_left_behind(writer: Writer) -> None:
    told = Conversation()
    one = sampler(writer, told)
    one.stop(0)
    assert told.stopped
    assert one.step(NS, 100).losses == []
    assert not one.done
    (loss,) = one.step(60 * NS, 100).losses
    assert "did not answer" in loss.why
    assert one.done


def test_for_how_long_a_thread_stood_to_begin_is_told_if_it_was_long(writer: Writer) -> None:
    told = Conversation()
    told.held_up += [HeldUp(PID, NS, NS + NS // 50), HeldUp(OTHER, NS, 2 * NS)]
    (loss,) = sampler(writer, told).step(0, 100).losses
    assert (loss.what, loss.pid) == (f"1.00 s of its thread {OTHER}", PID)
    assert loss.held_up == ((OTHER, NS, 2 * NS),)
