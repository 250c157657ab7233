"""py-spy's clock against a target that prints its own CLOCK_MONOTONIC times."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest

from profiler import loading
from tests.live.running import TARGETS, record, target

pytestmark = pytest.mark.ptrace

_ERROR_S = 0.020


def test_a_change_of_stack_is_seen_when_it_happened(tmp_path: Path) -> None:
    """As sampled, before kernel states settle anything: one sample (10 ms) late at most, plus the
    error of alignment."""
    with target([sys.executable, TARGETS / "left_right.py"]) as changing:
        record(changing.pid, tmp_path / "rec", seconds=6)
        log = changing.read_log()
    (worker,) = loading.load(str(tmp_path / "rec")).workers
    (segment,) = worker.segments
    (thread,) = segment.threads
    seen = [(i.stack[-1].function, i.start_ns / 1e9) for i in thread.intervals[1:]]
    errors = []
    for function, at_s in seen:
        if function not in {"left", "right"}:
            continue
        nearest = min(
            (line for line in log if line["function"] == function),
            key=lambda line: abs(line["start"] - at_s),
        )
        errors.append(at_s - nearest["start"])
    assert len(errors) >= 20
    assert abs(statistics.median(errors)) <= _ERROR_S, errors
    within = sum(abs(error) <= _ERROR_S for error in errors)
    assert within >= 0.9 * len(errors), errors
