"""py-spy's clock against a target that prints its own CLOCK_MONOTONIC times."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.live.running import TARGETS, record, target
from waitspy.judge import timeline
from waitspy.model.threads import Interval
from waitspy.recording import loading

pytestmark = [pytest.mark.ptrace, pytest.mark.alone]

_ERROR_S = 0.020


def test_a_change_of_stack_is_seen_when_it_happened(tmp_path: Path) -> None:
    """As sampled it is one sample (10 ms) late at most, plus the error of alignment, which must stay
    small; settled by the kernel's states it is seen at the next look."""
    with target([sys.executable, TARGETS / "left_right.py"]) as changing:
        record(changing.pid, tmp_path / "rec", "--sampler", "py-spy", seconds=6)
        log = changing.read_log()
    recording = loading.load(str(tmp_path / "rec"))
    (worker,) = recording.workers
    (segment,) = worker.segments
    sampled = _errors(segment.threads[0].intervals, log)
    assert abs(statistics.median(sampled)) <= _ERROR_S, sampled
    (thread,) = timeline.build(worker, recording.stacks, recording.info.end_ns)
    settled = _errors(thread.intervals, log)
    assert abs(statistics.median(settled)) <= _ERROR_S, settled
    within = sum(abs(error) <= _ERROR_S for error in settled)
    assert within >= 0.9 * len(settled), settled


def _errors(intervals: Sequence[Interval], log: list[dict[str, Any]]) -> list[float]:
    """By how much each change of function, the first one left out, was seen late (seconds)."""
    errors = []
    for interval in intervals[1:]:
        function, at_s = interval.stack[-1].function, interval.start_ns / 1e9
        starts = [line["start"] for line in log if line["function"] == function]
        if starts:
            errors.append(min((at_s - start for start in starts), key=abs))
    assert len(errors) >= 20
    return errors
