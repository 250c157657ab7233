"""py-spy refuses one of several workers, or dies of a signal as it attaches to it.

The other workers are sampled as ever, and the one is told with its number and the cause.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import looked_beside, run_with, script
from tests.live.session import BY_PYSPY, load
from tests.live.started import started

WORKERS = """
import os, time
first = os.fork()
second = first and os.fork()
if second: print('ready', first, second, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("ends", "why"),
    [('echo "Error: not this one" >&2; exit 1', "not this one"), ("kill -BUS $$", "SIGBUS")],
)
def test_one_worker_that_pyspy_refuses_does_not_stop_the_others(
    tmp_path: Path, ends: str, why: str
) -> None:
    with started([sys.executable, "-c", WORKERS], ready="ready") as (process, line):
        refused_pid = line.split()[1]
        choosy = script(f'case " $* " in *" {refused_pid} "*) {ends};; esac\nexec $pyspy "$@"')
        args = (*BY_PYSPY, process.pid, "-d", "1.5", "-o", "rec")
        code, out, err = run_with(tmp_path, choosy, *args)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    assert len(recording.workers) == 3
    sampled = {w.worker.pid for w in recording.workers if w.segments}
    assert len(sampled) == 2
    assert int(refused_pid) not in sampled
    (loss,) = recording.losses
    assert (loss.pid, loss.what) == (int(refused_pid), "stacks")
    assert why in loss.why
    assert why in out
    looked_beside(recording)
