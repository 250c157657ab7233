"""Workers end and are replaced all the time.

Each new one is attached within half a second; those that ended keep what they gave, and nothing is lost.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.target.served import functions
from tests.live.running import TARGETS, record, target
from waitspy.model.clock import NS
from waitspy.recording import loading


@pytest.mark.alone
@pytest.mark.parametrize(
    ("seconds", "least"), [(3.2, 2), pytest.param(5, 3, marks=pytest.mark.slow)]
)
def test_new_workers_are_attached_soon_and_ended_ones_keep_what_they_gave(
    tmp_path: Path, seconds: float, least: int
) -> None:
    with target([sys.executable, TARGETS / "breeder.py", "1.0"]) as breeder:
        report = record(breeder.pid, tmp_path / "rec", seconds=seconds)
        log = breeder.read_log()
    started = {line["pid"]: line["start"] for line in log}
    workers = [w for w in loading.load(str(tmp_path / "rec")).workers if w.worker.pid in started]
    begin_s = report["recording"]["monotonic_start_s"]
    new = [w for w in workers if started[w.worker.pid] > begin_s]
    assert len(new) >= least
    for worker in new:
        late_s = worker.attached_ns / 1e9 - started[worker.worker.pid]
        assert late_s < 0.5, late_s
    ended = [w for w in workers if w.gone_ns is not None]
    assert len(ended) >= least
    for worker in ended:
        assert worker.gone_ns is not None
        if worker.gone_ns - worker.attached_ns < NS // 2:
            continue  # the first one may have been about to end
        assert "wait_as_a_worker" in functions(worker)
    youngest = max(new, key=lambda worker: worker.attached_ns).worker.pid
    assert [loss for loss in report["losses"] if loss["pid"] != youngest] == []
