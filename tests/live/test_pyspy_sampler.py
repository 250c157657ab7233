"""The py-spy sampler against a process whose two stacks take turns."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.live.session import kept_from_running, running_target, spies, still_works
from waitspy.judge import timeline
from waitspy.model.clock import NS
from waitspy.model.processes import Worker
from waitspy.model.recorded import Loss, WorkerRecord
from waitspy.model.stacks import StackTable
from waitspy.model.threads import Interval, Segment
from waitspy.recording.dumps import DumpRow
from waitspy.recording.streams import Streams
from waitspy.samplers.pyspy import PySpySampler

pytestmark = pytest.mark.ptrace

SEGMENT_NS = 13 * NS // 10
_PATIENCE_S = 60


@pytest.fixture
def target() -> Iterator[subprocess.Popen[str]]:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    with running_target() as process:
        yield process
    assert {p.pid for p in psutil.Process().children(recursive=True)} == before


@dataclass
class Driver:
    """Steps a sampler as the capture does, and keeps what it says."""

    sampler: PySpySampler
    folder: Path
    losses: list[Loss] = field(default_factory=list)
    dumps: list[DumpRow] = field(default_factory=list)

    def until(self, true: Callable[[], object], rate_hz: float = 100.0) -> None:
        deadline_s = time.monotonic() + _PATIENCE_S
        while not true():
            assert time.monotonic() < deadline_s
            status = self.sampler.step(time.monotonic_ns(), rate_hz)
            self.losses += status.losses
            self.dumps += status.dumps
            time.sleep(0.02)

    def stop(self) -> None:
        self.sampler.stop(time.monotonic_ns())
        self.until(lambda: self.sampler.done)

    def segments(self) -> list[Segment]:
        return self.read()[0]

    def read(self) -> tuple[list[Segment], StackTable]:
        """What the sampler has written, with the table of its stacks."""
        unread: list[Loss] = []
        streams = Streams(str(self.folder), unread, cut=False)
        found = [streams.segment(row.as_json(), ()) for row in self.sampler.segments]
        assert unread == []
        return [segment for segment in found if segment is not None], streams.stacks

    def turns(self, name: str = "take_turns") -> list[Interval]:
        """The intervals of the thread that takes turns, on one clock."""
        pid = self.sampler.pid
        worker = Worker(pid, 1, "worker", "alternating", 1, python="3", threads=2)
        segments, table = self.read()
        end_ns = max(segment.end_ns for segment in segments)
        record = WorkerRecord(worker, attached_ns=segments[0].start_ns, segments=tuple(segments))
        for thread in timeline.build(record, table, end_ns):
            shown = [i for i in thread.intervals if any(f.function == name for f in i.stack)]
            if shown:
                return shown
        raise AssertionError(f"no thread shows {name}")


@pytest.fixture
def driver(target: subprocess.Popen[str], tmp_path: Path) -> Iterator[Driver]:
    (tmp_path / "stacks").mkdir()
    sampler = PySpySampler(target.pid, str(tmp_path / "stacks"), segment_ns=SEGMENT_NS)
    driven = Driver(sampler, tmp_path)
    yield driven
    sampler.kill()
    driven.until(lambda: sampler.done)


def lasting(seconds: float) -> Callable[[], bool]:
    end_s = time.monotonic() + seconds
    return lambda: time.monotonic() >= end_s


def leaf(interval: Interval) -> str:
    return interval.stack[-1].function


def test_joints_show_no_gap_and_nothing_twice(driver: Driver) -> None:
    driver.until(lambda: len(driver.sampler.segments) == 4)
    driver.until(lasting(1))
    driver.stop()
    segments = driver.segments()
    assert len(segments) == 4
    assert driver.losses == []
    assert all(row.samples for row in driver.sampler.segments)
    for one, following in itertools.pairwise(segments):
        assert one.start_ns < following.start_ns < one.end_ns
    turns = driver.turns()
    for turn, after in itertools.pairwise(turns):
        assert turn.end_ns <= after.start_ns
        assert leaf(turn) != leaf(after), "a turn was lost or cut in two"
    # Every turn lasts as long as the others: nothing of one is missing or counted twice.
    lengths = sorted(i.end_ns - i.start_ns for i in turns[1:-1])
    usual = lengths[len(lengths) // 2]
    assert usual / 2 < lengths[0]
    assert lengths[-1] < usual * 2
    covered = sum(i.end_ns - i.start_ns for i in turns)
    assert covered > 0.97 * (turns[-1].end_ns - turns[0].start_ns)


def test_a_killed_pyspy_costs_its_segment_and_no_more(driver: Driver) -> None:
    sampler = driver.sampler
    driver.until(lambda: len(sampler.segments) == 2)
    driver.until(lambda: time.monotonic_ns() > sampler.segments[1].zero_ns + 1.1 * NS)
    (spy,) = (s for s in spies(sampler.pid) if s.cmdline()[-1].endswith("-1.trace.json"))
    spy.kill()
    driver.until(lambda: driver.losses)
    (loss,) = driver.losses
    assert loss.pid == sampler.pid
    assert "stacks" in loss.what
    assert "SIGKILL" in loss.why
    assert loss.remedy == "sampling went on"
    driver.until(lambda: len(sampler.segments) == 3)
    driver.until(lasting(0.8))
    driver.stop()
    assert [bool(row.samples) for row in sampler.segments] == [True, False, True]
    assert len(driver.segments()) == 2
    assert len(driver.losses) == 1


@pytest.mark.parametrize("blocking", [False, True])
def test_a_killed_pyspy_leaves_the_target_running(
    target: subprocess.Popen[str], tmp_path: Path, blocking: bool
) -> None:
    sampler = PySpySampler(target.pid, str(tmp_path), blocking=blocking)
    driver = Driver(sampler, tmp_path)
    for n in range(1, 4):
        driver.until(lambda n=n: len(sampler.segments) == n)  # type: ignore[misc]
        driver.until(lasting(0.2))
        for spy in spies(target.pid):
            spy.kill()
        driver.until(lambda n=n: sampler.segments[n - 1].why)  # type: ignore[misc]
        still_works(target)
    sampler.kill()
    driver.until(lambda: sampler.done)
    still_works(target)


def test_stopping_before_pyspy_has_attached_is_told(driver: Driver) -> None:
    driver.until(lambda: driver.sampler.segments)
    os.kill(spies(driver.sampler.pid)[0].pid, signal.SIGKILL)
    driver.until(lambda: driver.sampler.segments[0].why)
    driver.stop()  # while it waits for its next attempt
    (loss,) = driver.losses
    assert "stacks" in loss.what
    assert "SIGKILL" in loss.why


def test_kill_does_not_wait_for_a_pyspy_that_hangs(driver: Driver) -> None:
    driver.until(lambda: driver.sampler.sampling().samples)
    with kept_from_running(spies(driver.sampler.pid)):
        driver.sampler.stop(time.monotonic_ns())
        driver.until(lasting(0.3))
        assert not driver.sampler.done
        driver.sampler.kill()
        driver.until(lambda: driver.sampler.done)
    (loss,) = driver.losses
    assert "killed before it could write" in loss.why


def test_a_lower_rate_starts_a_new_segment(driver: Driver) -> None:
    driver.until(lasting(1.1))
    driver.until(lambda: len(driver.sampler.segments) == 2, rate_hz=10.0)
    driver.until(lambda: driver.sampler.segments[0].samples, rate_hz=10.0)
    driver.stop()
    assert [row.rate_hz for row in driver.sampler.segments] == [100, 10]
    one, following = driver.segments()
    assert following.start_ns < one.end_ns


def test_a_dump_has_all_threads_now(driver: Driver) -> None:
    asked_ns = time.monotonic_ns()
    driver.sampler.dump(asked_ns)
    driver.until(lambda: driver.dumps)
    (dump,) = driver.dumps
    functions = {frame.function for stack in dump.stacks.values() for frame in stack}
    assert dump.at_ns == asked_ns
    assert {"count", "take_turns"} <= functions
    assert functions & {"ping", "pong"}
    assert all(s[0].function in {"<module>", "Thread._bootstrap"} for s in dump.stacks.values())


def test_a_process_that_has_ended_gives_what_was_seen(
    driver: Driver, target: subprocess.Popen[str]
) -> None:
    driver.until(lambda: driver.sampler.segments)
    driver.until(lasting(0.5))
    target.kill()
    target.wait()
    driver.until(lambda: driver.sampler.segments[0].samples)
    driver.stop()
    assert driver.turns()
