"""py-spy hardly gets the CPU: it runs only when nothing else does, beside programs that never rest.

The recording ends in time; what was not sampled is told, and nothing is reported as if it had been seen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.sampler.fakes import ENDS_WITHIN_S, PYSPY, looked_beside, run_with, script
from tests.live.session import load


@pytest.mark.alone
def test_a_py_spy_that_comes_last(tmp_path: Path, target: subprocess.Popen[str]) -> None:
    cpu = max(os.sched_getaffinity(0))
    hog = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{cpu}])\nwhile True: pass"]
    pyspy = script(f'exec taskset -c {cpu} chrt --idle 0 {PYSPY} "$@"')
    began_s = time.monotonic()
    hogs = [psutil.Popen(hog) for _ in range(2)]
    try:
        code, out, err = run_with(tmp_path, pyspy, "record", target.pid, "-d", "1", "-o", "rec")
    finally:
        for one in hogs:
            one.kill()
            one.wait()
    assert (code, err) == (0, "")
    assert time.monotonic() - began_s < ENDS_WITHIN_S
    recording = load(tmp_path / "rec")
    looked_beside(recording)
    (worker,) = recording.workers
    if recording.losses:
        (loss,) = recording.losses
        assert "stacks" in loss.what
        assert loss.why in " ".join(out.split())
    else:  # it came to attach after all: what it missed is counted
        assert worker.samples is not None
        assert worker.missed_samples
