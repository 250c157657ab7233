"""The single looks that py-spy takes between two samples fail, hang, or do not stop writing.

Sampling goes on, the stalls are found all the same, and how many looks failed is told with the cause.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import PYSPY, STARVING, run_with
from tests.live.session import load
from tests.live.started import started


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("echo '{]'", "py-spy ended with code 0: {]"),
        ("kill -SEGV $$", "py-spy was killed by SIGSEGV"),
        ("exec yes", "py-spy wrote messages without end"),
        pytest.param(
            "trap '' INT; while :; do sleep 0.2; done",
            "py-spy did not answer within 5 s",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["garbage", "dies", "does not stop", "hangs"],
)
def test_looks_that_fail(tmp_path: Path, does: str, why: str) -> None:
    pyspy = f'#!/bin/sh\ncase "$1" in dump) {does};; *) exec {PYSPY} "$@";; esac\n'
    with started([sys.executable, "-c", STARVING]) as (process, _):
        args = ("record", process.pid, "-d", "1.5", "-r", "10", "-o", "rec")
        code, out, err = run_with(tmp_path, pyspy, *args)
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (loss,) = recording.losses
    assert loss.what.endswith(" single looks at the stacks")
    assert int(loss.what.split()[0]) >= 1
    assert (loss.why, loss.remedy) == (why, "sampling went on")
    assert "blocked loop" in out
    assert "time.sleep" in out
    assert recording.workers[0].segments
