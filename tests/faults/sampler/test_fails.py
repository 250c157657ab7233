"""py-spy refuses to work, or crashes, each time that it is started.

The recording goes on to its end with all that needs no stacks, and says once in py-spy's own words what is missing; so does `waitspy doctor`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.sampler.fakes import looked_beside, run_with
from tests.live.session import BY_PYSPY, load, losses

REFUSING = """#!/bin/sh
echo 'Error: this machine is not for me' >&2
exit 1
"""
DYING = """#!/bin/sh
kill -SEGV $$
"""


@pytest.mark.parametrize(
    ("seconds", "pyspy", "why"),
    [
        ("0.4", REFUSING, "this machine is not for me"),
        ("0.4", DYING, "SIGSEGV"),
        pytest.param(
            "3.5",  # time for five attempts
            REFUSING,
            "this machine is not for me",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["refuses", "dies", "refuses for long"],
)
def test_a_pyspy_that_fails_is_a_loss(
    tmp_path: Path, target: subprocess.Popen[str], seconds: str, pyspy: str, why: str
) -> None:
    code, out, err = run_with(tmp_path, pyspy, *BY_PYSPY, target.pid, "-d", seconds, "-o", "rec")
    assert (code, err) == (0, "")
    recording = load(tmp_path / "rec")
    (told,) = losses(recording)
    assert f"stacks of pid {target.pid}" in told
    assert why in told
    assert why in out
    looked_beside(recording)


def test_the_doctor_says_what_is_wrong_with_pyspy(tmp_path: Path) -> None:
    code, out, _ = run_with(tmp_path, REFUSING, "doctor")
    assert code == 0
    assert "this machine is not for me" in out
