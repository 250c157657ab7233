"""Threads live for less than the time between two samples, hundreds of them.

Each takes its own time and no more in the report, and no sample is missed for them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.live.running import TARGETS, record, target
from waitspy.judge import analysis
from waitspy.recording import loading


@pytest.mark.parametrize("seconds", [1.5, pytest.param(7.0, marks=pytest.mark.slow)])
def test_short_threads_are_told_as_short(tmp_path: Path, seconds: float) -> None:
    with target([sys.executable, TARGETS / "short_threads.py"]) as server:
        record(server.pid, tmp_path / "rec", seconds=seconds)
        truth = server.read_log()[-1]
    recording = loading.load(str(tmp_path / "rec"))
    (worker,) = recording.workers
    spent_s: dict[int, float] = {}
    for thread in analysis.analyse(recording).threads:
        length_s = int(thread.activities.length_ns.sum()) / 1e9
        spent_s[thread.tid] = spent_s.get(thread.tid, 0.0) + length_s
    assert spent_s.pop(server.pid) > seconds * 0.9
    assert spent_s, truth
    # Each was met by one sample or two; the kernel's rows are one look apart.
    assert max(spent_s.values()) < 0.1
    assert sum(spent_s.values()) < 2 * truth["lived_s"]
    assert worker.missed_samples is not None
    assert worker.missed_samples < 0.1 * seconds * recording.info.rate_hz
    assert not [loss for loss in recording.losses if "stacks" in loss.what]
